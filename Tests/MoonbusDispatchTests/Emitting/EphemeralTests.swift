import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

@Suite struct EphemeralTests {
    private let clock = ManualClock()
    private let journal: InMemoryJournal

    init() {
        journal = InMemoryJournal(limits: .init(), clock: clock)
    }

    private func start(_ journal: (any Journal)? = nil) async throws -> TestBus {
        var configuration = BusConfiguration()
        configuration.ephemeral = [try EventPattern("raw.>")]
        return try await TestBus(journal: journal ?? self.journal, clock: clock, configuration: configuration)
    }

    private func recorded(_ test: TestBus) async throws -> [String] {
        guard case .events(let events) = try await test.bus.ask(.events(after: 0, limit: 100)) else { return [] }
        return events.map(\.event.typeText)
    }

    @Test func `an ephemeral event is handled, answered and never journaled`() async throws {
        let test = try await start()
        let sink = try await test.plugin("sink", "raw.>") { _ in .done(#"{"seen":1}"#) }
        let receipt = try await test.bus.emit(event("raw.heat", id: "a"), until: .settled)
        #expect(receipt.isEphemeral && receipt.position == 0 && !receipt.isDuplicate)
        #expect(receipt.results.map(\.result?.text) == [#"{"seen":1}"#])
        #expect(try await !test.bus.emit(event("raw.heat", id: "a")).isDuplicate)
        test.catchUp()
        #expect(sink.ids == ["a", "a"])
        #expect(try await recorded(test).isEmpty)
        let statistics = await test.bus.statistics()
        #expect(statistics.ephemeral == 2 && statistics.recorded == 0)
    }

    @Test func `a batch of both kinds keeps its order, and its durable events have positions`() async throws {
        let test = try await start()
        let sink = try await test.plugin("sink", ">")
        let receipts = try await test.bus.emit([
            event("raw.a", id: "1"), event("kept", id: "2"), event("raw.b", id: "3"), event("kept", id: "4"),
        ])
        test.catchUp()
        #expect(receipts.map(\.position) == [0, 1, 0, 2])
        #expect(sink.ids == ["1", "2", "3", "4"])
        #expect(try await recorded(test) == ["kept", "kept"])
    }

    @Test func `a handler that fails on an ephemeral event runs again by policy, then the event is lost`() async throws {
        let test = try await start()
        let endpoint = try await test.plugin("sink", ">", policy: .init(retry: .init(attempts: 3))) { _ in .failed("boom") }
        try await test.bus.emit(event("raw.heat"))
        clock.advance(by: .seconds(60))
        #expect(endpoint.deliveries.map(\.attempt) == [1, 2, 3])
        #expect(try await test.bus.deadLetters().isEmpty)
        #expect(await test.bus.statistics().lost == 1)
        #expect(try await test.statistics(of: "sink.main").queued == 0)
    }

    @Test func `nothing of a failed ephemeral event comes back after a restart`() async throws {
        let first = try await start()
        try await first.plugin("sink", ">") { _ in .failed("boom") }
        try await first.bus.emit([event("raw.heat"), event("kept")])
        first.catchUp()
        await first.bus.stop()
        let second = try await start()
        let endpoint = try await second.plugin("sink", ">")
        clock.advance(by: .seconds(60))
        #expect(endpoint.deliveries.map(\.event.typeText) == ["kept"])
    }

    @Test func `effects of an ephemeral event's handler are one commit, of which the journal gets what is durable`() async throws {
        let test = try await start()
        try await test.plugin("smooth", "raw.heat") { _ in
            let seven = JSON(trusted: Array("7".utf8))
            return .done(nil, [emit("raw.mean"), emit("alarm"), .set(key: "last", value: seven, expiry: nil)])
        }
        let sink = try await test.plugin("sink", "*.*")
        let alarms = try await test.plugin("alarms", "alarm")
        try await test.bus.emit(event("raw.heat", id: "cause"), until: .settled)
        test.catchUp()
        #expect(sink.deliveries.map(\.event.typeText) == ["raw.heat", "raw.mean"])
        #expect(sink.deliveries.last?.event.causeid == "cause" && sink.deliveries.last?.event.hops == 1)
        #expect(alarms.deliveries.map(\.event.causeid) == ["cause"])
        #expect(try await recorded(test) == ["alarm"])
        guard case .state(let state) = try await test.bus.ask(.state(plugin: "smooth", key: "last", now: clock.now())) else { return }
        #expect(state.map(\.value.text) == ["7"])
    }

    @Test func `an ephemeral event cannot wait for its time`() async throws {
        let test = try await start()
        try await test.plugin("p", "go", policy: .init(retry: .init(attempts: 1))) { _ in
            .done(nil, [emit("raw.later", nil, .init(delay: .seconds(5)))])
        }
        let receipt = try await test.bus.emit(event("go"), until: .settled)
        #expect(receipt.results.first?.error?.message.contains("an ephemeral event cannot wait") == true)
    }

    @Test(arguments: [1, 2])
    func `a batch of both kinds ends whole, whichever comes first`(attempts: Int) async throws {
        let first = try await start()
        let policy = SubscriptionPolicy(retry: .init(attempts: 5), batch: .init(count: 2, within: .seconds(1)))
        let endpoint = try await first.plugin("sink", ">", policy: policy) { Int($0.attempt) < attempts ? .failed("boom") : .done(nil) }
        try await first.bus.emit([event("raw.a"), event("kept"), event("kept"), event("raw.b")])
        clock.advance(by: .seconds(60))
        #expect(endpoint.batches.count == 2 * attempts || endpoint.deliveries.count == 2 * attempts)
        await first.bus.stop()
        let second = try await start()
        let again = try await second.plugin("sink", ">", policy: policy)
        clock.advance(by: .seconds(60))
        #expect(again.deliveries.isEmpty)
    }

    @Test func `a subscription that waits for the journal's word gets ephemeral events with the others`() async throws {
        let journal = DeferredJournal(clock: clock)
        let test = try await start(journal)
        let sink = try await test.plugin("sink", "raw.>")
        try await test.bus.emit(event("raw.heat"))
        test.catchUp()
        #expect(sink.deliveries.isEmpty)
        journal.answer()
        test.catchUp()
        #expect(sink.deliveries.count == 1)
    }
}
