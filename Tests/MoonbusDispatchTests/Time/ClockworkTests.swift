import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

/// The clock starts at 2026-01-01T00:00:00Z.
@Suite struct ClockworkTests {
    private func spec(
        _ trigger: SubscriptionSpec.Trigger, name: String = "p.tick", resultHandler: Int32? = nil, hasCursor: Bool = false
    ) -> SubscriptionSpec {
        SubscriptionSpec(
            name: name, plugin: "p", trigger: trigger, handler: 1, resultHandler: resultHandler, policy: .init(retry: .init(attempts: 2)),
            hasCursor: hasCursor)
    }

    @Test func `a timer ticks at its interval with the time when it was due`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [spec(.every(.seconds(10)))], by: endpoint)
        test.clock.advance(by: .seconds(35))
        #expect(endpoint.deliveries.map(\.event.typeText) == ["moonbus.timer", "moonbus.timer", "moonbus.timer"])
        #expect(endpoint.deliveries.map(\.event.source) == Array(repeating: "/plugins/p/timers/tick", count: 3))
        #expect(
            endpoint.deliveries.map { $0.event.data?.text } == [
                #"{"scheduled":"2026-01-01T00:00:10Z"}"#, #"{"scheduled":"2026-01-01T00:00:20Z"}"#,
                #"{"scheduled":"2026-01-01T00:00:30Z"}"#,
            ])
        #expect(await test.bus.statistics().recorded == 0)
    }

    @Test func `ticks that pass while one runs are skipped, and the rhythm stays`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in nil }
        try await test.replace("p", [spec(.every(.seconds(10)))], by: endpoint)
        test.clock.advance(by: .seconds(35))
        #expect(endpoint.deliveries.count == 1)
        try await test.onOwner { endpoint.settle([Outcome(delivery: endpoint.running[0].id, .done(nil))]) }
        test.clock.advance(by: .seconds(4))
        #expect(endpoint.deliveries.count == 1)
        test.clock.advance(by: .seconds(1))
        #expect(endpoint.deliveries.count == 2)
    }

    @Test func `a cron subscription ticks on its schedule`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [spec(.cron(CronSchedule("0 7 * * *")))], by: endpoint)
        test.clock.advance(by: .seconds(3 * 86_400))
        #expect(
            endpoint.deliveries.map { $0.event.data?.text } == [
                #"{"scheduled":"2026-01-01T07:00:00Z"}"#, #"{"scheduled":"2026-01-02T07:00:00Z"}"#,
                #"{"scheduled":"2026-01-03T07:00:00Z"}"#,
            ])
    }

    @Test func `a schedule follows the wall clock when that jumps, an interval does not`() async throws {
        let test = try await TestBus()
        let cron = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [spec(.cron(CronSchedule("0 7 * * *")))], by: cron)
        let every = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace(
            "q", [SubscriptionSpec(name: "q.tick", plugin: "q", trigger: .every(.seconds(3_600)), handler: 1)], by: every)
        test.clock.jump(to: Timestamp(microseconds: 1_767_225_600_000_000) + .seconds(6 * 3_600 + 3_599))
        test.clock.advance(by: .seconds(61))
        #expect(cron.deliveries.count == 1)
        #expect(every.deliveries.isEmpty)
        test.clock.jump(to: Timestamp(microseconds: 1_767_225_600_000_000))
        test.clock.advance(by: .seconds(3_539))
        #expect(every.deliveries.count == 1)
        #expect(cron.deliveries.count == 1)
    }

    @Test func `a tick that was due while the bus was down is made up for, once`() async throws {
        let clock = ManualClock()
        let journal = InMemoryJournal(limits: .init(), clock: clock)
        let first = try await TestBus(journal: journal, clock: clock)
        let before = TestEndpoint(first.bus) { _ in .done(nil) }
        try await first.replace("p", [spec(.every(.seconds(3_600)))], by: before)
        clock.advance(by: .seconds(3_700))
        #expect(before.deliveries.count == 1)
        await first.bus.stop()

        clock.jump(to: clock.now() + .seconds(5 * 3_600))
        let second = try await TestBus(journal: journal, clock: clock)
        let after = TestEndpoint(second.bus) { _ in .done(nil) }
        try await second.replace("p", [spec(.every(.seconds(3_600)))], by: after)
        clock.advance(by: .seconds(1))
        #expect(after.deliveries.count == 1)
        clock.advance(by: .seconds(3_600))
        #expect(after.deliveries.count == 2)
    }

    @Test func `a timer that restarts often keeps its long interval`() async throws {
        let clock = ManualClock()
        let journal = InMemoryJournal(limits: .init(), clock: clock)
        var count = 0
        for _ in 0..<5 {
            let test = try await TestBus(journal: journal, clock: clock)
            let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
            try await test.replace("p", [spec(.every(.seconds(100)))], by: endpoint)
            clock.advance(by: .seconds(30))
            count += endpoint.deliveries.count
            await test.bus.stop()
        }
        #expect(count == 1)
    }

    @Test func `a poller gets the cursor that was committed with its events`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { delivery in
            let seen = delivery.event.data?.value.integer ?? 0
            let effects: [Effect] = [emit("beat", "\(seen + 1)"), .cursor(JSON(trusted: Array("\(seen + 1)".utf8)))]
            return delivery.attempt == 1 && seen == 1
                ? TestEndpoint.Reply(verdict: .failed(Fault(.error, "x")), effects: effects) : .done(nil, effects)
        }
        let sink = try await test.plugin("sink", "beat")
        try await test.replace("p", [spec(.every(.seconds(10)), hasCursor: true)], by: endpoint)
        test.clock.advance(by: .seconds(31))
        #expect(endpoint.deliveries.map { $0.event.data?.text } == ["null", "1", "1", "2"])
        #expect(sink.deliveries.map { $0.event.data?.text } == ["1", "2", "3"])
        #expect(sink.deliveries.allSatisfy { $0.event.hops == 0 && $0.event.causeid == nil })
    }

    @Test func `a source hears what the handlers of its events answered`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { $0.handler == 1 ? .done(nil, [emit("beat")]) : .done(nil) }
        try await test.plugin("sink", "beat") { _ in .done(#"{"seen":1}"#) }
        try await test.replace("p", [spec(.every(.seconds(10)), resultHandler: 2)], by: endpoint)
        test.clock.advance(by: .seconds(10))
        #expect(endpoint.deliveries.map(\.handler) == [1, 2])
        let result = endpoint.deliveries[1]
        #expect(result.argument == .data && result.event.typeText == "moonbus.result")
        let data = try #require(result.event.data?.value)
        #expect(data["type"] == "beat")
        #expect(data["subscription"] == "sink.main")
        #expect(data["result"]?["seen"] == 1)
    }

    @Test func `a tick that fails is tried again and dies, and the next one comes all the same`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in .failed("boom") }
        try await test.replace("p", [spec(.every(.seconds(10)))], by: endpoint)
        test.clock.advance(by: .seconds(21))
        #expect(endpoint.deliveries.map(\.attempt) == [1, 2, 1, 2])
        #expect(try await test.bus.deadLetters().count == 2)
    }

    @Test func `a source that runs is started again with a wait that doubles, and anew after a good run`() async throws {
        let test = try await TestBus()
        let recorder = TimelineRecorder(clock: test.clock)
        let endpoint = TestEndpoint(test.bus) { _ in
            recorder.note("r")
            return .failed("connection refused")
        }
        try await test.replace("p", [spec(.start)], by: endpoint)
        test.clock.advance(by: .seconds(16))
        #expect(recorder.timeline.description == "rr-r---r-------r")
        #expect(Set(endpoint.ids).count == 5)
        #expect(try await test.bus.deadLetters().isEmpty)
    }

    @Test func `a long run resets the wait`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in nil }
        try await test.replace("p", [spec(.start)], by: endpoint)
        test.clock.advance(by: .seconds(300))
        #expect(endpoint.cancelReasons.isEmpty)
        try await test.onOwner { endpoint.settle([Outcome(delivery: endpoint.running[0].id, .done(nil))]) }
        test.clock.advance(by: .seconds(1))
        #expect(endpoint.deliveries.count == 2)
    }

    @Test func `a reload ends the old run and starts the new one at once`() async throws {
        let test = try await TestBus()
        let old = TestEndpoint(test.bus) { _ in nil }
        let new = TestEndpoint(test.bus) { _ in nil }
        try await test.replace("p", [spec(.start)], by: old)
        test.catchUp()
        try await test.replace("p", [spec(.start)], by: new)
        test.catchUp()
        #expect(old.cancelReasons == ["the plugin was reloaded"])
        #expect(new.running.count == 1 && old.running.isEmpty)
    }
}
