import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

@Suite struct ShareTests {
    @Test func `a handler that stores beyond its plugin's share fails with limit, use and remedy, and nothing of it is committed`()
        async throws
    {
        let test = try await TestBus()
        let news = EffectTests.Changes()
        try await test.onOwner { test.bus.onStateChange { news.note($0, $1) } }
        let twice = RetryPolicy(attempts: 2, backoff: .seconds(1))
        let hog = try await test.plugin("hog", "in", policy: .init(retry: twice), stateSizeMax: 1 << 20) { delivery in
            .done(nil, [store("k\(delivery.event.id)", 600_000, version: 5), emit("stored")])
        }
        let sink = try await test.plugin("sink", "stored")
        try await test.bus.emit(event("in", id: "1"), until: .settled)
        #expect(news.notes == ["hog committed k1"])

        let refused = Task { try await test.bus.emit(event("in", id: "2"), until: .settled) }
        while hog.deliveries.count < 2 { await Task.yield() }
        test.catchUp()
        test.clock.advance(by: .seconds(1))
        let result = try #require(try await refused.value.results.first)
        #expect(result.status == .dead && result.attempts == 2)
        #expect(result.error?.kind == .full)
        #expect(
            result.error?.message
                == "plugin 'hog' stores 586.0 KB and would store 1.1 MB, its limit is 1.0 MB (limits.state): let it delete keys or give them a "
                + "ttl, or raise the limit in its plugin.toml")
        #expect(news.notes.suffix(2) == ["hog refuted k2@5", "hog refuted k2@5"], "its lane must not believe what it has staged")
        #expect(sink.deliveries.count == 1)
        let letters = try await test.bus.deadLetters(limit: 10)
        #expect(letters.map(\.failures.count) == [2])
    }

    @Test func `a plugin whose share is full can delete, and others store and emit meanwhile`() async throws {
        let test = try await TestBus()
        let once = SubscriptionPolicy(retry: .init(attempts: 1))
        try await test.plugin("hog", "in.*", policy: once, stateSizeMax: 1_000) { delivery in
            .done(nil, [delivery.event.typeText == "in.free" ? .delete(key: "a") : store("a", 900)])
        }
        try await test.plugin("hog2", "in.more", policy: once, stateSizeMax: 1_000) { _ in .done(nil, [store("b", 900)]) }
        for (type, expected) in [("in.fill", HandlerResult.Status.done), ("in.free", .done), ("in.fill", .done)] {
            #expect(try await test.bus.emit(event(type), until: .settled).results.map(\.status) == [expected])
        }
        #expect(try await test.bus.emit(event("in.more"), until: .settled).results.map(\.status) == [.done, .done])
    }

    @Test func `a run whose checkpoint goes beyond the share is ended with the reason`() async throws {
        let test = try await TestBus()
        let bus = test.bus
        let endpoint = try await test.plugin("hog", "in", policy: .init(retry: .init(attempts: 1)), stateSizeMax: 1_000) { _ in nil }
        try await bus.emit(event("in"))
        test.catchUp()
        let id = try #require(endpoint.deliveries.first?.id)
        try await test.onOwner { bus.checkpoint(id, effects: [store("a", 2_000)]) }
        #expect(endpoint.cancelReasons.first?.contains("limits.state") == true, "\(endpoint.cancelReasons)")
    }

    @Test func `a plugin that fills its share of the delayed events fails, and another one still delays`() async throws {
        var configuration = BusConfiguration()
        configuration.delayedOfPluginMax = 2
        let test = try await TestBus(configuration: configuration)
        for name in ["hog", "other"] {
            try await test.plugin(name, "in.\(name)", policy: .init(retry: .init(attempts: 1)), stateSizeMax: 1_000) { _ in
                .done(nil, [emit("out", nil, .init(delay: .seconds(60)))])
            }
        }
        for _ in 0..<2 { try await test.bus.emit(event("in.hog"), until: .settled) }
        let refused = try await test.bus.emit(event("in.hog"), until: .settled).results.first
        #expect(refused?.error?.kind == .full)
        #expect(
            refused?.error?.message
                == "2 events of plugin 'hog' wait for their time and it would be 3, the limit for one plugin is 2: emit fewer with a delay")
        let other = try await test.bus.emit(event("in.other"), until: .settled).results.first
        #expect(other?.status == .done)
        test.clock.advance(by: .seconds(61))
        test.catchUp()
        let again = try await test.bus.emit(event("in.hog"), until: .settled).results.first
        #expect(again?.status == .done, "what came due has made room")
    }

    @Test func `a plugin whose delayed events have too many bytes fails with the limit named`() async throws {
        var configuration = BusConfiguration()
        configuration.delayedBytesOfPluginMax = 2_000
        let test = try await TestBus(configuration: configuration)
        try await test.plugin("hog", "in", policy: .init(retry: .init(attempts: 1)), stateSizeMax: 1_000) { _ in
            .done(nil, [emit("out", "\"\(String(repeating: "x", count: 1_500))\"", .init(delay: .seconds(60)))])
        }
        try await test.bus.emit(event("in"), until: .settled)
        let refused = try await test.bus.emit(event("in"), until: .settled).results.first
        #expect(refused?.error?.kind == .full)
        #expect(refused?.error?.message.contains("the limit for one plugin is 2.0 KB") == true, "\(refused?.error?.message ?? "")")
    }

    @Test func `by default one plugin may have a quarter of the delayed events`() {
        let configuration = BusConfiguration()
        #expect(configuration.delayedOfPluginMax == configuration.delayedMax / 4)
    }
}

/// A value of so many bytes of JSON.
private func store(_ key: String, _ size: Int, version: UInt64? = nil) -> Effect {
    .set(key: key, value: JSON(.string(String(repeating: "x", count: size - 2))), expiry: nil, version: version)
}
