import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

/// A journal that answers later, from another thread: what may happen meanwhile, and what may not.
@Suite struct SlowJournalTests {
    private let clock = ManualClock()

    private func start() async throws -> (TestBus, DeferredJournal) {
        let journal = DeferredJournal(clock: clock)
        return (try await TestBus(journal: journal, clock: clock), journal)
    }

    /// Lets the journal answer until nothing is open.
    private func settle(_ test: TestBus, _ journal: DeferredJournal) {
        test.catchUp()
        while journal.openCount > 0 {
            journal.answer()
            test.catchUp()
        }
    }

    @Test func `nothing is answered or delivered before it is recorded`() async throws {
        let (test, journal) = try await start()
        let endpoint = try await test.plugin()
        settle(test, journal)
        let answers = Answers()
        test.bus.submit([try event("a", id: "1")]) { answers.add($0) }
        test.catchUp()
        #expect(answers.receipts.isEmpty && endpoint.ids.isEmpty)
        journal.answer()
        test.catchUp()
        #expect(answers.receipts.map(\.position) == [1] && endpoint.ids == ["1"])
    }

    @Test func `a key, a place and an acknowledgement are held until the settlement is committed`() async throws {
        let (test, journal) = try await start()
        let endpoint = try await test.plugin()
        settle(test, journal)
        let answers = Answers()
        for id in ["1", "2"] { test.bus.submit([try event("a", id: id, key: "k")], settled: { answers.add($0) }) { _ in } }
        test.catchUp()
        journal.answer()
        test.catchUp()
        #expect(endpoint.ids == ["1"])
        #expect(answers.receipts.isEmpty)
        journal.answer()
        test.catchUp()
        #expect(endpoint.ids == ["1", "2"])
        #expect(answers.receipts.map(\.id) == ["1"])
        settle(test, journal)
        #expect(answers.receipts.map(\.id) == ["1", "2"])
    }

    @Test func `room that is promised to events on their way to the journal is not given twice`() async throws {
        let (test, journal) = try await start()
        try await test.plugin(policy: .init(queueLimit: 2)) { _ in nil }
        settle(test, journal)
        let answers = Answers()
        for _ in 0..<3 { test.bus.submit([try event("a")]) { answers.add($0) } }
        test.catchUp()
        #expect(answers.errors.map(\.code) == [.full])
        settle(test, journal)
        #expect(answers.receipts.count == 2)
    }

    @Test func `a subscription that is claimed while events come gets those that were recorded after it`() async throws {
        let (test, journal) = try await start()
        let answers = Answers()
        test.bus.submit([try event("a", id: "before")]) { answers.add($0) }
        test.catchUp()
        let endpoint = try await test.plugin()
        test.bus.submit([try event("a", id: "after")]) { answers.add($0) }
        test.catchUp()
        #expect(endpoint.ids.isEmpty)
        settle(test, journal)
        #expect(endpoint.ids == ["after"])
        #expect(answers.receipts.count == 2)
    }

    @Test func `outcomes are kept and settled again while the journal refuses them`() async throws {
        let (test, journal) = try await start()
        let endpoint = try await test.plugin("source", "in") { _ in .done(nil, [emit("out")]) }
        let sink = try await test.plugin("sink", "out")
        settle(test, journal)
        journal.refuseSettlements(3)
        test.bus.submit([try event("in")], recorded: { _ in })
        settle(test, journal)
        #expect(sink.deliveries.isEmpty)
        for _ in 0..<3 {
            clock.advance(by: .seconds(5))
            settle(test, journal)
        }
        #expect(endpoint.deliveries.count == 1)
        #expect(sink.deliveries.count == 1)
    }

    @Test func `stopping waits for the journal to answer`() async throws {
        let (test, journal) = try await start()
        try await test.plugin()
        settle(test, journal)
        let answers = Answers()
        test.bus.submit([try event("a")], settled: { answers.add($0) }) { _ in }
        test.catchUp()
        let stopping = Task { await test.bus.stop() }
        while await test.bus.owner.perform({ true }) != nil {
            journal.answer()
            await Task.yield()
        }
        await stopping.value
        #expect(answers.receipts.count == 1)
    }

    @Test func `a subscription that goes while its event is being recorded takes nothing from the one that comes after it`() async throws {
        let (test, journal) = try await start()
        try await test.plugin("one", "a", policy: .init(queueLimit: 2))
        settle(test, journal)
        let answers = Answers()
        test.bus.submit([try event("a", id: "1")]) { answers.add($0) }
        test.catchUp()
        try await test.onOwner { test.bus.remove(plugin: "one") }
        let two = try await test.plugin("two", "a", policy: .init(queueLimit: 2)) { _ in nil }
        settle(test, journal)
        #expect(answers.receipts.count == 1)
        #expect(two.ids == [])
        for id in ["2", "3", "4"] { test.bus.submit([try event("a", id: id)]) { answers.add($0) } }
        settle(test, journal)
        #expect(two.ids == ["2", "3"])
        #expect(answers.errors.map(\.code) == [.full])
    }
}
