import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

@testable import MoonbusDispatch

/// Keys at a path in the data.
@Suite struct PathKeyTests {
    private let text = "\"" + String(repeating: "y", count: 1_000) + "\""

    @Test func `a path is looked for once in an event, however many subscriptions have it as their key`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        let policy = SubscriptionPolicy(key: .path(["a"]))
        try await test.replace("p", (0..<200).map { try test.spec("p", ">", name: "p.\($0)", policy: policy) }, by: endpoint)
        try await test.bus.emit((0..<5).map { try event("a", id: "\($0)", data: "{\"a\":[\(text),\($0)]}") })
        test.catchUp()
        #expect(endpoint.ids.count == 1_000)
        let read = try await test.onOwner { test.bus.dispatcher.pathKeys.readSize }
        #expect((5_000..<6_000).contains(read), "\(read)")
    }

    @Test func `many paths in one event cost what reading it a few times costs`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        let specs = try (0..<200).map { try test.spec("p", ">", name: "p.\($0)", policy: SubscriptionPolicy(key: .path(["a", "k\($0)"]))) }
        try await test.replace("p", specs, by: endpoint)
        let members = (0..<2_000).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        let big = try event("a", data: "{\"a\":{\(members)}}")
        try await test.bus.emit(big)
        test.catchUp()
        #expect(endpoint.ids.count == 200)
        let read = try await test.onOwner { test.bus.dispatcher.pathKeys.readSize }
        #expect(read < big.recordSize * 20, "\(read / big.recordSize) times")
    }

    @Test func `equal values of large events are one key, and others pass`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin(policy: .init(key: .path(["a", "b"]))) { _ in nil }
        func emit(_ id: String, _ value: String) async throws {
            try await test.bus.emit(event("a", id: id, data: "{\"pad\":\(text), \"a\" : {\"b\":\(value)}}"))
        }
        try await emit("1", #""é""#)
        try await emit("2", #""\u00e9""#)
        try await emit("3", #"[1, {"x" : 2}]"#)
        try await emit("4", #"[1,{"x":2}]"#)
        try await emit("5", "null")
        try await emit("6", "null")
        try await emit("7", "1")
        try await emit("8", "1")
        test.catchUp()
        #expect(endpoint.ids == ["1", "3", "5", "6", "7"])
        try await test.onOwner { endpoint.settle(endpoint.running.map { Outcome(delivery: $0.id, .done(nil)) }) }
        #expect(endpoint.ids == ["1", "3", "5", "6", "7", "2", "4", "8"])
    }

    @Test func `a subscription that changes its key orders what waits by the new one`() async throws {
        let test = try await TestBus()
        try await test.replace(
            "p", [test.spec("p", ">", policy: .init(key: .path(["a"])))], by: TestEndpoint(test.bus, room: 0) { _ in nil })
        for (id, data) in [("1", #"{"a":1,"b":1}"#), ("2", #"{"a":1,"b":2}"#), ("3", #"{"a":2,"b":2}"#)] {
            try await test.bus.emit(event("a", id: id, data: data))
        }
        let endpoint = TestEndpoint(test.bus) { _ in nil }
        try await test.replace("p", [test.spec("p", ">", policy: .init(key: .path(["b"])))], by: endpoint)
        test.catchUp()
        #expect(endpoint.ids == ["1", "2"])
    }
}
