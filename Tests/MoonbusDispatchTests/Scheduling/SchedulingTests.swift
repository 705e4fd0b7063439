import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Synchronization
import Testing

@Suite struct SchedulingTests {
    @Test func `of one key at most one delivery is under way, and other keys pass`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin { _ in nil }
        try await test.bus.emit([
            event("a", id: "a1", key: "A"), event("a", id: "a2", key: "A"), event("a", id: "b1", key: "B"), event("a", id: "a3", key: "A"),
            event("a", id: "x"),
        ])
        test.catchUp()
        #expect(endpoint.ids == ["a1", "b1", "x"])
        try await test.done("a1", at: endpoint)
        #expect(endpoint.ids == ["a1", "b1", "x", "a2"])
        try await test.done("b1", at: endpoint)
        try await test.done("a2", at: endpoint)
        #expect(endpoint.ids == ["a1", "b1", "x", "a2", "a3"])
    }

    @Test func `a key waits for its failed event, in order, and other keys pass`() async throws {
        let test = try await TestBus()
        let isBroken = Switch(true)
        let endpoint = try await test.plugin { isBroken.isOn && $0.event.id == "a1" ? .failed("boom") : .done(nil) }
        try await test.bus.emit([event("a", id: "a1", key: "A"), event("a", id: "a2", key: "A"), event("a", id: "b1", key: "B")])
        test.catchUp()
        #expect(endpoint.ids == ["a1", "b1"])
        isBroken.set(false)
        test.clock.advance(by: .seconds(1))
        #expect(endpoint.ids == ["a1", "b1", "a1", "a2"])
    }

    @Test func `a dead event lets its key go on`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin { $0.event.id == "a1" ? TestEndpoint.Reply(verdict: .rejected("no")) : .done(nil) }
        try await test.bus.emit([event("a", id: "a1", key: "A"), event("a", id: "a2", key: "A")])
        test.catchUp()
        #expect(endpoint.ids == ["a1", "a2"])
    }

    @Test(arguments: [
        (OrderingKey.default, ["1", "3", "4"]), (.type, ["1", "2"]), (.subject, ["1", "2", "3", "4"]),
        (.path(["user", "id"]), ["1", "2", "3"]),
        (.none, ["1", "2", "3", "4"]),
    ])
    func `the policy says what the key is`(key: OrderingKey, together: [String]) async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin(policy: .init(key: key)) { _ in nil }
        try await test.bus.emit([
            event("a", id: "1", key: "k", data: #"{"user":{"id":7}}"#), event("b", id: "2", key: "k"),
            event("a", id: "3", data: #"{"user":{"id":8}}"#),
            event("b", id: "4", data: #"{"user":{"id":7}}"#),
        ])
        test.catchUp()
        #expect(endpoint.ids == together)
    }

    @Test func `no more deliveries run at once than the policy allows`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin(policy: .init(concurrency: 2)) { _ in nil }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2"), event("a", id: "3")])
        test.catchUp()
        #expect(endpoint.ids == ["1", "2"])
        try await test.done("2", at: endpoint)
        #expect(endpoint.ids == ["1", "2", "3"])
    }

    @Test func `an endpoint gets no more than it has room for, and more when it says so`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin(room: 3) { _ in nil }
        try await test.bus.emit((1...10).map { try event("a", id: "\($0)") })
        test.catchUp()
        #expect(endpoint.ids == ["1", "2", "3"])
        endpoint.lose()
        try await test.onOwner { test.bus.endpointHasRoom(endpoint) }
        #expect(endpoint.ids == ["1", "2", "3", "4", "5", "6"])
    }

    @Test func `subscriptions of one endpoint take turns in runs of 64`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus, room: 160) { _ in nil }
        try await test.replace(
            "p", [test.spec("p", "busy", name: "p.busy"), test.spec("p", "rare", name: "p.rare")], by: endpoint)
        let batch = try (1...200).map { try event("busy", id: "b\($0)") } + [event("rare", id: "r")]
        try await test.bus.emit(batch)
        test.catchUp()
        #expect(endpoint.deliveries.count == 160)
        #expect(endpoint.ids.firstIndex(of: "r") == 64)
    }

    @Test func `a run that overruns its wall-clock limit is cancelled and tried again`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin(policy: .init(timeout: .seconds(5))) {
            $0.attempt == 1 && $0.event.id == "slow" ? nil : .done(nil)
        }
        try await test.bus.emit([event("a", id: "slow")])
        test.clock.advance(by: .seconds(2))
        try await test.bus.emit([event("a", id: "fast")])
        test.clock.advance(by: .milliseconds(2_999))
        #expect(endpoint.cancelReasons == [])
        test.clock.advance(by: .milliseconds(1))
        #expect(endpoint.cancelReasons == ["ran longer than its wall-clock limit of 5s"])
        test.clock.advance(by: .seconds(1))
        #expect(endpoint.ids == ["slow", "fast", "slow"])
        #expect(endpoint.deliveries.map(\.attempt) == [1, 1, 2])
    }

    @Test func `what a vanished endpoint had is due again, in order, and its attempt is not counted`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin(room: 2) { _ in nil }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2"), event("a", id: "3")])
        test.catchUp()
        let lost = endpoint.running
        endpoint.lose()
        try await test.onOwner { test.bus.reclaim(endpoint) }
        #expect(endpoint.ids == ["1", "2", "1", "2"])
        #expect(endpoint.deliveries.map(\.attempt) == [1, 1, 1, 1])
        // A late answer of the lost runs is for nobody.
        try await test.onOwner { test.bus.settle(lost.map { Outcome(delivery: $0.id, .done(nil)) }) }
        #expect(try await test.statistics(of: "p.main").inFlight == 2)
        #expect(try await test.statistics(of: "p.main").done == 0)
    }

    @Test func `an outcome for an unknown delivery is ignored`() async throws {
        let test = try await TestBus()
        try await test.onOwner { test.bus.settle([0, 1, UInt64.max, 1 << 32].map { Outcome(delivery: $0, .done(nil)) }) }
        #expect(await test.bus.statistics().settled == 0)
    }
}

extension TestBus {
    /// Ends the run of an event well.
    func done(_ id: String, at endpoint: TestEndpoint) async throws {
        try await onOwner {
            endpoint.settle(endpoint.running.filter { $0.event.id == id }.map { Outcome(delivery: $0.id, .done(nil)) })
        }
    }
}

/// Something that a test turns on and off.
final class Switch: Sendable {
    private let state: Atomic<Bool>

    init(_ isOn: Bool) {
        state = Atomic(isOn)
    }

    var isOn: Bool { state.load(ordering: .acquiring) }

    func set(_ isOn: Bool) {
        state.store(isOn, ordering: .releasing)
    }
}
