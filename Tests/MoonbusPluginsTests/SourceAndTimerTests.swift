import MoonbusDispatch
import MoonbusEvents
import MoonbusPlugins
import MoonbusTesting
import Testing

/// Sources and timers in Lua, on thread lanes and a clock that the test moves.
@Suite(.timeLimit(.minutes(1))) struct SourceAndTimerTests {
    @Test func `a timer fires when its time has come`() async throws {
        let clock = ManualClock()
        try await Rig.run(clock: clock) { rig in
            var ticks = rig.bus.events(matching: try EventPattern("tick")).makeAsyncIterator()
            try await rig.host.load(
                "ticker", source: "bus.every('10s', { name = 'tick' }, function() bus.emit('tick', { n = kv.incr('n') }) end)")
            for number in 1...3 as ClosedRange<Int64> {
                clock.advance(by: .seconds(10))
                #expect(await ticks.next()?.data?.value == ["n": .integer(number)])
            }
        }
    }

    @Test func `timers need no names`() async throws {
        let clock = ManualClock()
        try await Rig.run(clock: clock) { rig in
            var ticks = rig.bus.events(matching: try EventPattern("tick")).makeAsyncIterator()
            try await rig.host.load(
                "ticker",
                source: """
                    bus.every("10s", function() bus.emit("tick", 1) end)
                    bus.every("10s", function() bus.emit("tick", 1) end)
                    bus.cron("0 7 * * 1-5", { tz = "Europe/Vienna" }, function() end)
                    bus.cron("@daily", function() end)
                    """)
            clock.advance(by: .seconds(10))
            for _ in 0..<2 { #expect(await ticks.next()?.data?.value == 1) }
            let names = await rig.bus.statistics().subscriptions.map(\.name)
            #expect(names == ["every-10s", "every-10s#2", "cron-0_7_*_*_1-5_Europe/Vienna", "cron-@daily"].map { "ticker.\($0)" })
        }
    }

    @Test func `a poller goes on from its cursor, also in a new version`() async throws {
        let clock = ManualClock()
        let polling = { (step: Int) in
            """
            bus.source({ name = "beat", every = "1s", poll = function(cursor)
              local n = (cursor or 0) + \(step)
              bus.emit("beat", n)
              return n
            end })
            """
        }
        try await Rig.run(clock: clock) { rig in
            var beats = rig.bus.events(matching: try EventPattern("beat")).makeAsyncIterator()
            try await rig.host.load("poller", source: polling(1))
            for expected in [1, 2] as [JSONValue] {
                clock.advance(by: .seconds(1))
                #expect(await beats.next()?.data?.value == expected)
            }
            try await rig.host.load("poller", source: polling(10))
            clock.advance(by: .seconds(1))
            #expect(await beats.next()?.data?.value == 12)
        }
    }

    @Test func `a source that runs emits at each wait and is replaced with its plugin`() async throws {
        let running = { (type: String) in
            """
            bus.source({ name = "feed", run = function()
              local n = 0
              while true do
                n = n + 1
                bus.emit("\(type)", n)
                time.sleep("1ms")
              end
            end })
            """
        }
        try await Rig.run { rig in
            var old = rig.bus.events(matching: try EventPattern("old")).makeAsyncIterator()
            var new = rig.bus.events(matching: try EventPattern("new")).makeAsyncIterator()
            try await rig.host.load("feed", source: running("old"))
            #expect(await old.next()?.data?.value == 1)
            #expect(await old.next()?.data?.value == 2)
            try await rig.host.load("feed", source: running("new"))
            #expect(await new.next()?.data?.value == 1)
            #expect(await new.next()?.data?.value == 2)
            #expect(await rig.status("feed")?.inFlight == 1)
        }
    }

    @Test func `a source that runs may emit any number of events, a thousand between two waits`() async throws {
        try await Rig.run { rig in
            var ends = rig.bus.events(matching: try EventPattern("end")).makeAsyncIterator()
            try await rig.host.load(
                "feed",
                source: """
                    bus.source({ name = "feed", run = function()
                      for n = 1, 2500 do
                        bus.emit("n", n)
                        if n % 500 == 0 then time.sleep("1ms") end
                      end
                      bus.emit("end")
                      while true do time.sleep("1s") end
                    end })
                    bus.subscribe("n", { name = "count" }, function() kv.incr("n") end)
                    """)
            _ = await ends.next()
            #expect(await rig.bus.statistics().recorded >= 2_501)
        }
    }

    @Test func `a handler that is cut while it sleeps leaves no timer`() async throws {
        try await Rig.run { rig in
            try await rig.host.load(
                "sleeper",
                source: """
                    bus.subscribe("go", { timeout = "1ms", retry = { attempts = 20, backoff = "1ms", max = "1ms" } }, function()
                      time.sleep("1d")
                    end)
                    """)
            let before = await rig.bus.owner.perform { rig.bus.owner.timerCount } ?? 0
            for _ in 0..<5 { #expect(try await rig.settle("go").results.map(\.status) == [.dead]) }
            // Of 100 attempts.
            let after = await rig.bus.owner.perform { rig.bus.owner.timerCount } ?? 0
            #expect(after < before + 50, "\(after - before) timers were left")
        }
    }

    @Test func `a source whose events have no room waits, and goes on where it was`() async throws {
        let clock = ManualClock()
        try await Rig.run(lanes: .threads(count: 1), clock: clock) { rig in
            let gate = AsyncStream<Void>.makeStream()
            let turns = Turns(gate.stream)
            try await rig.bus.subscribe(
                EventPattern("out"), name: "slow", policy: .init(key: .none, concurrency: 1, timeout: .seconds(86_400), queueLimit: 2)
            ) { _, _ in
                await turns.next()
                return nil
            }
            try await rig.host.load(
                "feed",
                source: """
                    local n = 0
                    bus.source({ name = "feed", run = function()
                      while true do
                        n = n + 1
                        bus.emit("out", n)
                        time.sleep("1s")
                      end
                    end })
                    bus.subscribe("ask", function() return n end)
                    """)
            for number in 1...3 as ClosedRange<Int64> {
                try await reaches(number, rig)
                clock.advance(by: .seconds(1))
            }
            // Two are in the queue, the third waits for room, and with it the sleep. The lane answers in order.
            for _ in 0..<20 { clock.advance(by: .seconds(1)) }
            #expect(try await rig.answer("ask") == 3)
            gate.continuation.yield()
            // Its sleep begins with the room.
            for _ in 0..<1_000 {
                clock.advance(by: .milliseconds(100))
                if try await rig.answer("ask") == 4 { break }
            }
            #expect(try await rig.answer("ask") == 4)
            gate.continuation.finish()
        }
    }

    /// Waits until the source has emitted for the n-th time.
    private func reaches(_ number: Int64, _ rig: Rig) async throws {
        for _ in 0..<1_000 {
            if try await rig.answer("ask") == .integer(number) { return }
        }
        Issue.record("the source did not get to \(number)")
    }

    /// One `next` for each turn that is given; none waits once they are finished.
    private actor Turns {
        private var iterator: AsyncStream<Void>.Iterator

        init(_ stream: AsyncStream<Void>) { iterator = stream.makeAsyncIterator() }

        func next() async {
            var iterator = iterator
            defer { self.iterator = iterator }
            _ = await iterator.next(isolation: self)
        }
    }
}
