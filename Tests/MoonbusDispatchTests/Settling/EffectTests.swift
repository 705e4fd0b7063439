import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Synchronization
import Testing

@Suite struct EffectTests {
    @Test func `what a handler emits is recorded when it is done, with cause, trace, hops and a derived id`() async throws {
        let test = try await TestBus()
        try await test.plugin("source", "in") { _ in
            .done(nil, [emit("out", #"{"n":1}"#, .init(subject: "s", key: "k")), emit("out", nil, .init(id: "mine", source: "/else"))])
        }
        let sink = try await test.plugin("sink", "out")
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        let cause = try Event(type: EventType("in"), id: "i", source: "/s", traceparent: trace, hops: 3)
        try await test.bus.emit(cause)
        test.catchUp()

        let events = sink.deliveries.map(\.event)
        #expect(events.count == 2)
        let identity = Identity(event: cause, subscription: Identity.key(subscription: "source.main"))
        #expect(events.map(\.id) == [identity.eventID(0), "mine"])
        #expect(events.map(\.source) == ["/plugins/source", "/else"])
        #expect(events[0].subject == "s" && events[0].key == "k" && events[0].data?.text == #"{"n":1}"#)
        #expect(events.allSatisfy { $0.causeid == "i" && $0.hops == 4 })
        #expect(events.allSatisfy { $0.traceparent?.dropFirst(3).prefix(32) == trace.dropFirst(3).prefix(32) && $0.traceparent != trace })
    }

    @Test func `a failed run leaves no effects, and a second run makes no second event`() async throws {
        let test = try await TestBus()
        try await test.plugin("source", "in") { delivery in
            TestEndpoint.Reply(verdict: delivery.attempt == 1 ? .failed(Fault(.error, "boom")) : .done(nil), effects: [emit("out")])
        }
        let sink = try await test.plugin("sink", "out")
        try await test.bus.emit(event("in"))
        test.catchUp()
        #expect(sink.deliveries.isEmpty)
        test.clock.advance(by: .seconds(1))
        #expect(sink.deliveries.count == 1)
    }

    @Test func `state is written with the acknowledgement and read back with the version of its writer`() async throws {
        let test = try await TestBus()
        let changes = Changes()
        try await test.onOwner { test.bus.onStateChange { changes.note($0, $1) } }
        try await test.plugin { _ in
            .done(
                nil,
                [
                    .set(key: "k", value: .null, expiry: nil, version: 7), .set(key: "own", value: .null, expiry: nil),
                    .set(key: "gone", value: .null, expiry: nil), .delete(key: "gone"),
                ])
        }
        try await test.bus.emit(event("a"), until: .settled)
        let found = Changes()
        try await test.onOwner {
            test.bus.state(plugin: "p", key: "k") { found.note("\((try? $0.get()?.version) ?? 0)", []) }
            test.bus.state(plugin: "p", key: "own") { found.note("\((try? $0.get()?.version) ?? 0 > 0)", []) }
            test.bus.scan(plugin: "p", prefix: "") { found.note("scan", (try? $0.get().map(\.key)) ?? []) }
        }
        #expect(found.notes == ["7 []", "true []", "scan [\"k\", \"own\"]"])
        #expect(changes.notes == ["p committed k own gone gone"])
    }

    @Test func `a handler whose state has changed under it runs again at once`() async throws {
        let test = try await TestBus()
        let runs = Atomic<Int>(0)
        let news = Changes()
        try await test.onOwner { test.bus.onStateChange { news.note($0, $1) } }
        let endpoint = try await test.plugin(policy: .init(retry: .init(attempts: 1))) { _ in
            // The first run saw a version that nobody has written; the second one sees what is true.
            let version: UInt64 = runs.wrappingAdd(1, ordering: .relaxed).newValue == 1 ? 77 : 0
            return .done(nil, [.read(key: "k", version: version), .set(key: "k", value: .null, expiry: nil, version: 9), emit("out")])
        }
        let receipt = try await test.bus.emit(event("a"), until: .settled)
        test.catchUp()
        #expect(receipt.results.map(\.status) == [.done])
        #expect(endpoint.deliveries.filter { $0.event.typeText == "a" }.map(\.attempt) == [1, 1])
        #expect(news.notes.prefix(2) == ["p refuted k@77 k@9", "p committed k"])
    }

    @Test func `state that changes under a handler every time is a failure that names the key`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin(policy: .init(retry: .init(attempts: 1))) { _ in
            .done(nil, [.read(key: "hot", version: 77), .set(key: "hot", value: .null, expiry: nil)])
        }
        let receipt = try await test.bus.emit(event("a"), until: .settled)
        #expect(receipt.results.map(\.error?.kind) == [.conflict])
        #expect(receipt.results[0].error?.message.contains("'hot'") == true)
        #expect(endpoint.deliveries.count == 21)
    }

    @Test func `an emit that cannot be is a failure of the handler`() async throws {
        let test = try await TestBus()
        try await test.plugin(policy: .init(retry: .init(attempts: 1))) { _ in
            .done(nil, [emit("out", nil, .init(key: String(repeating: "k", count: 300)))])
        }
        let receipt = try await test.bus.emit(event("a"), until: .settled)
        #expect(receipt.results.map(\.status) == [.dead])
        #expect(receipt.results[0].error?.message.contains("bus.emit('out')") == true)
    }

    @Test func `a loop of emits ends at the hop limit in a dead letter that names the loop`() async throws {
        let test = try await TestBus()
        let ping = try await test.plugin("ping", "ping") { _ in .done(nil, [emit("pong")]) }
        let pong = try await test.plugin("pong", "pong") { _ in .done(nil, [emit("ping")]) }
        try await test.bus.emit(event("ping"))
        test.catchUp()
        #expect(ping.deliveries.count + pong.deliveries.count == 17)
        let letters = try await test.bus.deadLetters()
        #expect(letters.count == 1)
        #expect(letters[0].event.hops == 17)
        #expect(letters[0].failures[0].fault.kind == .loop)
        #expect(letters[0].failures[0].fault.message.contains("ping → pong → ping → pong"))
        #expect(await test.bus.statistics().dead == 1)
        #expect(try await test.statistics(of: "ping.main").done == 9)
    }

    @Test func `a checkpoint commits effects while the handler goes on, and ids go on counting`() async throws {
        let test = try await TestBus()
        let source = try await test.plugin("source", "in") { _ in nil }
        let sink = try await test.plugin("sink", "out")
        try await test.bus.emit(event("in", id: "i"))
        test.catchUp()
        let delivery = source.running[0]
        try await test.onOwner { test.bus.checkpoint(delivery.id, effects: [emit("out"), emit("out")]) }
        #expect(sink.ids == [delivery.identity.eventID(0), delivery.identity.eventID(1)])
        try await test.onOwner { source.settle([Outcome(delivery: delivery.id, .done(nil), effects: [emit("out")])]) }
        #expect(sink.ids.last == delivery.identity.eventID(2))
    }

    final class Changes: Sendable {
        private let state = Mutex<[String]>([])
        var notes: [String] { state.withLock { $0 } }
        func note(_ name: String, _ keys: [String]) {
            state.withLock { $0.append("\(name) \(keys)") }
        }
        func note(_ plugin: String, _ news: StateNews) {
            let text =
                switch news {
                case .committed(let writes): "committed " + writes.map(\.key).joined(separator: " ")
                case .edited(let writes): "edited " + writes.map(\.key).joined(separator: " ")
                case .refuted(let reads): "refuted " + reads.map { "\($0.key)@\($0.version)" }.joined(separator: " ")
                }
            state.withLock { $0.append("\(plugin) \(text)") }
        }
    }
}
