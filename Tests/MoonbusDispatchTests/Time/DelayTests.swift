import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

@Suite struct DelayTests {
    @Test func `an event with a delay is recorded when its time has come`() async throws {
        let test = try await TestBus()
        let recorder = TimelineRecorder(clock: test.clock)
        try await test.plugin("source", "in") { delivery in
            .done(nil, [emit("out", nil, .init(id: "later-\(delivery.event.id)", delay: .seconds(4)))])
        }
        try await test.plugin("sink", "out") { delivery in
            recorder.note(delivery.event.id.last ?? "?")
            return .done(nil)
        }
        try await Timeline("a-b-------").play(on: test.clock) { try await test.bus.emit(event("in", id: "\($0)")) }
        #expect(recorder.timeline.description == "----a-b---")
    }

    @Test func `an event for an instant comes then, and at once if that has passed`() async throws {
        let test = try await TestBus()
        let start = test.clock.now()
        try await test.plugin("source", "in") { _ in
            .done(nil, [emit("out", "1", .init(at: start + .seconds(90))), emit("out", "2", .init(at: start - .seconds(90)))])
        }
        let sink = try await test.plugin("sink", "out")
        try await test.bus.emit(event("in"))
        test.catchUp()
        #expect(sink.deliveries.map { $0.event.data?.text } == ["2"])
        #expect(await test.bus.statistics().delayed == 1)
        test.clock.advance(by: .seconds(89))
        #expect(sink.deliveries.count == 1)
        test.clock.advance(by: .seconds(1))
        #expect(sink.deliveries.map { $0.event.data?.text } == ["2", "1"])
        #expect(await test.bus.statistics().delayed == 0)
    }

    /// The clock of the bus ends after 292 years; `at` may be in the year 9999.
    @Test func `a time beyond the end of the clock is waited for, and harms nothing`() async throws {
        let test = try await TestBus()
        try await test.plugin("source", "in") { _ in
            .done(nil, [emit("out", "1", .init(at: .latest)), emit("out", "2", .init(at: Timestamp(microseconds: .max)))])
        }
        let sink = try await test.plugin("sink", "out")
        test.clock.advance(by: .seconds(1))
        try await test.bus.emit(event("in"), until: .settled)
        #expect(await test.bus.statistics().delayed == 2)
        test.clock.advance(by: .seconds(366 * 86_400))
        #expect(sink.deliveries.isEmpty)
    }

    @Test func `a delay survives a restart`() async throws {
        let clock = ManualClock()
        let journal = InMemoryJournal(limits: .init(), clock: clock)
        let first = try await TestBus(journal: journal, clock: clock)
        try await first.plugin("source", "in") { _ in .done(nil, [emit("out", nil, .init(delay: .seconds(60)))]) }
        try await first.bus.emit(event("in"), until: .settled)
        await first.bus.stop()

        clock.advance(by: .seconds(40))
        let second = try await TestBus(journal: journal, clock: clock)
        let sink = try await second.plugin("sink", "out")
        clock.advance(by: .seconds(19))
        #expect(sink.deliveries.isEmpty)
        clock.advance(by: .seconds(1))
        #expect(sink.deliveries.count == 1)
    }

    @Test(arguments: [false, true])
    func `more events than fit in memory come each at its time, once, and in order`(restarts: Bool) async throws {
        let clock = ManualClock()
        let journal = InMemoryJournal(limits: .init(), clock: clock)
        var test = try await TestBus(journal: journal, clock: clock)
        // Later ones first: what is left to the journal has to be found again.
        try await test.plugin("source", "in") { delivery in
            let start = (Int(delivery.event.id) ?? 0) * 100
            return .done(nil, (0..<100).map { emit("out", "\(start + $0)", .init(delay: .milliseconds(60_000 + start + $0))) })
        }
        for index in (0..<200).reversed() { try await test.bus.emit(event("in", id: "\(index)"), until: .settled) }
        #expect(await test.bus.statistics().delayed == 20_000)
        if restarts {
            await test.bus.stop()
            test = try await TestBus(journal: journal, clock: clock)
            #expect(await test.bus.statistics().delayed == 20_000)
        }
        let sink = try await test.plugin("sink", "out")
        clock.advance(by: .seconds(60) - .milliseconds(1))
        #expect(sink.deliveries.isEmpty)
        clock.advance(by: .seconds(10))
        #expect(sink.deliveries.count == 10_000)
        clock.advance(by: .seconds(11))
        #expect(sink.deliveries.compactMap { $0.event.data?.value.integer } == Array(0..<20_000).map(Int64.init))
        #expect(await test.bus.statistics().delayed == 0)
    }

    @Test func `more waiting events than the bound fail the handler that emits them`() async throws {
        var configuration = BusConfiguration()
        configuration.delayedMax = 2
        let test = try await TestBus(configuration: configuration)
        try await test.plugin("source", "in", policy: .init(retry: .init(attempts: 1))) { _ in
            .done(nil, [emit("out", nil, .init(delay: .seconds(60)))])
        }
        for _ in 0..<2 { try await test.bus.emit(event("in"), until: .settled) }
        let refused = try await test.bus.emit(event("in"), until: .settled)
        #expect(refused.results.map(\.error?.kind) == [.full])
    }
}
