import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

/// Filters that are dear are tested within a share of a turn, and no further.
@Suite struct FilterShareTests {
    private let dear: Filter
    private let cheap: Filter

    init() throws {
        let objects = (0..<60).map { "{\"data\":{\"a\":{\"x\($0)\":[1]}}}" }.joined(separator: ",")
        dear = try Filter(JSON("{\"$or\":[\(objects)]}"))
        cheap = try Filter(JSON(#"{"data":{"kind":["x"]}}"#))
    }

    /// Elements that `dear` looks at sixty times each.
    private func wide(_ id: String, _ count: Int = 10_000) throws -> Event {
        try event("h.w", id: id, data: "{\"a\":[\((0..<count).map { _ in "{}" }.joined(separator: ","))]}")
    }

    private func spec(_ name: String, _ filter: Filter, plugin: String = "p") throws -> SubscriptionSpec {
        SubscriptionSpec(name: name, plugin: plugin, trigger: .events(try EventPattern("h.*"), filter), handler: 1)
    }

    @Test func `an event that a filter is too dear for is delivered untested, and only to that plugin`() async throws {
        let log = LogRecorder()
        let test = try await TestBus(log: log)
        let hostile = TestEndpoint(test.bus) { _ in .done(nil) }
        let other = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", (0..<3).map { try spec("p.\($0)", dear) }, by: hostile)
        try await test.replace("q", [spec("q.main", cheap, plugin: "q")], by: other)
        try await test.bus.emit(wide("w"))
        test.catchUp()
        #expect(hostile.ids == ["w", "w", "w"])
        #expect(other.ids.isEmpty, "its own share is whole")
        #expect(log.lines.count == 3)
        #expect(log.lines.contains { $0.contains("'p.0' gets 'h.w' untested") }, "\(log.lines)")
        // The next turn has its own steps.
        try await test.bus.emit(wide("narrow", 10))
        test.catchUp()
        #expect(hostile.ids.count == 3)
    }

    @Test func `a subscription says that it gets events untested once, and then each thousandth time`() async throws {
        let log = LogRecorder()
        let test = try await TestBus(log: log)
        try await test.replace("p", [spec("p.main", dear)], by: TestEndpoint(test.bus) { _ in .done(nil) })
        // The first spends the turn's steps, and the others bring too few.
        try await test.bus.emit([wide("first")] + (2...1_000).map { try wide("\($0)", 100) })
        #expect(log.lines.count == 1)
        try await test.bus.emit([wide("last")])
        #expect(log.lines.count == 2)
    }

    @Test func `the events of one turn share its steps`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [spec("p.main", dear)], by: endpoint)
        // Each alone is within the steps: 60 × 2,000 elements.
        try await test.bus.emit((1...40).map { try wide("\($0)", 2_000) })
        test.catchUp()
        #expect((20..<40).contains(endpoint.ids.count), "\(endpoint.ids.count)")
        #expect(endpoint.ids.last == "40")
    }

    @Test func `many cheap tests in one turn are all made`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", (0..<100).map { try spec("p.\($0)", cheap) }, by: endpoint)
        try await test.bus.emit((0..<1_000).map { try event("h.w", id: "\($0)", data: #"{"kind":"y","a":1,"b":2,"c":3}"#) })
        test.catchUp()
        #expect(endpoint.ids.isEmpty)
    }

    @Test func `what a subscription was owed while it was away is tested over as many turns as it takes`() async throws {
        let (clock, log) = (ManualClock(), LogRecorder())
        let test = try await TestBus(journal: InMemoryJournal(limits: .init(), clock: clock), clock: clock, log: log)
        let specs = [try spec("p.main", dear)]
        try await test.replace("p", specs, by: TestEndpoint(test.bus) { _ in .done(nil) })
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        for number in 1...10 { try await test.bus.emit(wide("\(number)", 2_000)) }
        try await test.bus.emit(event("h.w", id: "match", data: #"{"a":[{"x3":1}]}"#))
        try await test.bus.emit(wide("wide"))
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", specs, by: endpoint)
        for _ in 0..<100 { test.catchUp() }
        #expect(endpoint.ids == ["match", "wide"])
        #expect(log.lines.filter { $0.contains("untested") }.count == 1)
    }
}
