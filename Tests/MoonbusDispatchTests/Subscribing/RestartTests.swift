import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

/// A bus that ends, and another one on the same journal.
@Suite struct RestartTests {
    private let clock = ManualClock()
    private let journal: InMemoryJournal

    init() {
        journal = InMemoryJournal(limits: .init(), clock: clock)
    }

    private func start() async throws -> TestBus {
        try await TestBus(journal: journal, clock: clock)
    }

    @Test func `what was owed is owed again, in order, and what had ended is not`() async throws {
        let first = try await start()
        let endpoint = try await first.plugin("p", "a.*") { $0.event.id == "2" || $0.event.id == "4" ? .done(nil) : nil }
        try await first.bus.emit((1...5).map { try event($0 == 3 ? "b" : "a.x", id: "\($0)") })
        first.catchUp()
        #expect(endpoint.ids == ["1", "2", "4", "5"])
        try await first.crash()

        let second = try await start()
        let again = try await second.plugin("p", "a.*")
        try await second.bus.emit(event("a.y", id: "6"))
        second.catchUp()
        #expect(again.ids == ["1", "5", "6"])
        await second.bus.stop()

        let third = try await start()
        let nothing = try await third.plugin("p", "a.*")
        third.catchUp()
        #expect(nothing.ids == [])
    }

    @Test func `a delivery that waits for its next attempt goes on waiting, with its attempts and errors`() async throws {
        let first = try await start()
        try await first.plugin(policy: .init(retry: .init(attempts: 3, backoff: .seconds(60)))) { _ in .failed("before") }
        try await first.bus.emit(event("a", id: "1"))
        clock.advance(by: .seconds(10))
        await first.bus.stop()

        let second = try await start()
        let endpoint = try await second.plugin(policy: .init(retry: .init(attempts: 3, backoff: .seconds(1)))) {
            .failed("after \($0.attempt)")
        }
        clock.advance(by: .seconds(49))
        #expect(endpoint.ids == [])
        clock.advance(by: .seconds(10))
        #expect(endpoint.deliveries.map(\.attempt) == [2, 3])
        let letters = try await second.bus.deadLetters()
        #expect(letters.map { $0.failures.map(\.fault.message) } == [["before", "after 2", "after 3"]])
    }

    @Test func `a pattern that changed over the restart decides what is still owed`() async throws {
        let first = try await start()
        try await first.plugin("p", "a") { $0.event.id == "2" ? .done(nil) : nil }
        try await first.bus.emit([event("a", id: "1"), event("a", id: "2"), event("b", id: "3")])
        first.catchUp()
        try await first.crash()

        let second = try await start()
        let endpoint = try await second.plugin("p", "b")
        try await second.bus.emit(event("b", id: "4"))
        second.catchUp()
        #expect(endpoint.ids == ["3", "4"])
        await second.bus.stop()

        // The floor has moved past the event that nobody wanted any more.
        let third = try await start()
        let nothing = try await third.plugin("p", ">")
        third.catchUp()
        #expect(nothing.ids == [])
    }

    @Test func `a long backlog is caught up page by page, and events that come meanwhile follow it`() async throws {
        let first = try await start()
        try await first.plugin(room: 0) { _ in nil }
        try await first.bus.emit((1...2_000).map { try event("a", id: "\($0)") })
        try await first.crash()

        let second = try await start()
        let endpoint = try await second.plugin()
        try await second.bus.emit(event("a", id: "last"))
        second.catchUp()
        #expect(endpoint.ids == (1...2_000).map { "\($0)" } + ["last"])
    }
}
