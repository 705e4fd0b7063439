import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

/// Subscriptions that are owed more than their queue holds.
@Suite struct BacklogTests {
    private static let count = 3_000
    private let clock = ManualClock()
    private let journal: InMemoryJournal

    init() {
        journal = InMemoryJournal(limits: .init(), clock: clock)
    }

    private func start() async throws -> TestBus {
        try await TestBus(journal: journal, clock: clock)
    }

    private func policy(_ queueLimit: Int = 100) -> SubscriptionPolicy {
        SubscriptionPolicy(key: .none, concurrency: 50, queueLimit: queueLimit)
    }

    private func ids(_ numbers: some Sequence<Int>) -> [String] { numbers.map { "\($0)" } }

    /// A bus whose plugin was away while `count` events were recorded.
    private func busWithBacklog() async throws -> TestBus {
        let test = try await start()
        try await test.plugin(policy: policy(), room: 0)
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        for first in stride(from: 1, to: Self.count, by: 500) {
            try await test.bus.emit((first..<first + 500).map { try event("a", id: "\($0)") })
        }
        return test
    }

    /// Ends what runs, until nothing does.
    private func drain(_ endpoint: TestEndpoint, _ test: TestBus, most: inout Int) async throws {
        while true {
            let running = endpoint.running
            guard !running.isEmpty else { return }
            let statistics = try await test.statistics(of: "p.main")
            most = max(most, statistics.queued + statistics.inFlight)
            try await test.onOwner { endpoint.settle(running.map { Outcome(delivery: $0.id, .done(nil)) }) }
        }
    }

    @Test func `a plugin that was away for long gets all of it in order, and has a queue and a page of it in memory at most`() async throws
    {
        let test = try await busWithBacklog()
        let endpoint = TestEndpoint(test.bus) { _ in nil }
        try await test.replace("p", [test.spec("p", ">", policy: policy())], by: endpoint)
        test.catchUp()
        #expect(endpoint.ids == ids(1...50), "it begins before all is read")
        #expect(try await test.statistics(of: "p.main").unread > 2_000)
        // Nobody waits for it meanwhile.
        let owed = try await test.bus.emit(event("a", id: "late"), until: .settled, within: .seconds(5))
        #expect(owed.results.isEmpty && owed.pending == 1)
        var most = 0
        try await drain(endpoint, test, most: &most)
        #expect(endpoint.ids == ids(1...Self.count) + ["late"])
        #expect(most <= 100 + 512)
        #expect(try await test.statistics(of: "p.main").unread == 0)
    }

    @Test func `once it has caught up, emitters hear from it and wait for it again`() async throws {
        let test = try await busWithBacklog()
        let endpoint = TestEndpoint(test.bus) { _ in .done("1") }
        try await test.replace("p", [test.spec("p", ">", policy: policy())], by: endpoint)
        test.catchUp()
        let receipt = try await test.bus.emit(event("a", id: "next"), until: .settled, within: .seconds(5))
        #expect(receipt.results.count == 1 && receipt.pending == 0)
        #expect(endpoint.ids == ids(1...Self.count) + ["next"])
    }

    @Test func `a restart with more owed than a queue holds goes on where each delivery was`() async throws {
        let first = try await start()
        let before = try await first.plugin(policy: .init(key: .none)) { Int($0.event.id).map { $0 % 3 == 0 } == true ? .done(nil) : nil }
        try await first.bus.emit((1...Self.count).map { try event("a", id: "\($0)") })
        first.catchUp()
        #expect(before.deliveries.count == Self.count)
        try await first.crash()

        let second = try await start()
        let after = TestEndpoint(second.bus) { _ in nil }
        try await second.replace("p", [second.spec("p", ">", policy: policy(10))], by: after)
        second.catchUp()
        var most = 0
        try await drain(after, second, most: &most)
        #expect(after.ids == ids((1...Self.count).filter { $0 % 3 != 0 }))
        #expect(most <= 10 + 512)
        await second.bus.stop()

        let third = try await start()
        let nothing = try await third.plugin()
        third.catchUp()
        #expect(nothing.deliveries.isEmpty)
    }

    @Test func `reloads and absences in the middle of it change nothing, whatever order runs end in`() async throws {
        let test = try await busWithBacklog()
        let sink = try await test.plugin("sink", "out")
        let endpoints = (0..<20).map { _ in TestEndpoint(test.bus, room: 25) { _ in nil } }
        func settle(_ endpoints: some Sequence<TestEndpoint>) async throws {
            for endpoint in endpoints {
                let running = endpoint.running
                try await test.onOwner {
                    endpoint.settle(running.map { Outcome(delivery: $0.id, .done(nil), effects: [emit("out", "\"\($0.event.id)\"")]) })
                }
            }
        }
        var most = 0
        for (round, endpoint) in endpoints.enumerated() {
            try await test.replace("p", [test.spec("p", "a", policy: .init(key: .none, queueLimit: 100))], by: endpoint)
            test.catchUp()
            // The youngest first: what is older ends after it.
            try await settle(endpoints[...round].reversed().prefix(2))
            let statistics = try await test.statistics(of: "p.main")
            most = max(most, statistics.queued + statistics.inFlight)
            if round % 2 == 0 { try await test.onOwner { test.bus.suspend(plugin: "p") } }
            try await test.bus.emit(event("a", id: "\(Self.count + 1 + round)"))
        }
        let last = TestEndpoint(test.bus) { .done(nil, [emit("out", "\"\($0.event.id)\"")]) }
        try await test.replace("p", [test.spec("p", "a", policy: .init(key: .none, queueLimit: 100))], by: last)
        try await settle(endpoints.reversed())
        test.catchUp()
        let all = (endpoints + [last]).flatMap(\.ids)
        #expect(all.count == Self.count + 20 && all == ids(1...(Self.count + 20)))
        #expect(sink.deliveries.count == Self.count + 20, "each has had its effect")
        #expect(most <= 2 * (100 + 512))
    }

    @Test(arguments: [10, 10_000]) func `an event that can't be read is left out, and none of its neighbours`(queueLimit: Int) async throws
    {
        let damaged = DeferredJournal(clock: clock)
        let first = try await TestBus(journal: damaged, clock: clock)
        _ = try await damaged.answering(first) { [self] in try await first.plugin(policy: policy(1_000), room: 0) }
        _ = try await damaged.answering(first) { try await first.bus.emit((1...900).map { try event("a", id: "\($0)") }) }
        try await damaged.answering(first) { try await first.crash() }

        damaged.damage(position: 300)
        let second = try await TestBus(journal: damaged, clock: clock)
        let endpoint = TestEndpoint(second.bus) { _ in .done(nil) }
        try await second.replace("p", [second.spec("p", ">", policy: policy(queueLimit))], by: endpoint)
        try await damaged.answering(second) { while endpoint.ids.last != "900" { await Task.yield() } }
        #expect(endpoint.ids == ids((1...900).filter { $0 != 300 }))
    }

    @Test(arguments: 1...24, [true, false])
    func `a page that comes when its plugin has gone, or is back, is taken once`(answers: Int, isReload: Bool) async throws {
        let slow = DeferredJournal(clock: clock)
        let first = try await TestBus(journal: slow, clock: clock)
        _ = try await slow.answering(first) { [self] in try await first.plugin(policy: policy(2_000), room: 0) }
        _ = try await slow.answering(first) { try await first.bus.emit((1...1_500).map { try event("a", id: "\($0)") }) }
        try await slow.answering(first) { try await first.crash() }

        let second = try await TestBus(journal: slow, clock: clock)
        let before = TestEndpoint(second.bus) { _ in .done(nil) }
        try await second.replace("p", [second.spec("p", ">", policy: policy(10))], by: before)
        for _ in 1...answers {
            while slow.openCount == 0 { await Task.yield() }
            slow.answer()
            second.catchUp()
        }
        // A page, or an answer to what was handled, is on its way.
        if !isReload { try await second.onOwner { second.bus.suspend(plugin: "p") } }
        let after = TestEndpoint(second.bus) { _ in .done(nil) }
        try await second.replace("p", [second.spec("p", ">", policy: policy(10))], by: after)
        try await slow.answering(second) { while (before.ids + after.ids).count < 1_500 { await Task.yield() } }
        second.catchUp()
        #expect(before.ids + after.ids == ids(1...1_500))
    }

    @Test func `who waits for an event that is left in the log is told that it is owed`() async throws {
        let slow = DeferredJournal(clock: clock)
        let first = try await TestBus(journal: slow, clock: clock)
        _ = try await slow.answering(first) { [self] in try await first.plugin(policy: policy(1_000), room: 0) }
        _ = try await slow.answering(first) { try await first.bus.emit((1...600).map { try event("a", id: "\($0)") }) }
        try await slow.answering(first) { try await first.crash() }

        // More than a page.
        let second = try await TestBus(journal: slow, clock: clock)
        let endpoint = TestEndpoint(second.bus) { _ in .done(nil) }
        // The event comes before the journal says what else is owed.
        slow.refuseClaims(1)
        try await second.replace("p", [second.spec("p", ">", policy: policy(10))], by: endpoint)
        let waiting = Task { try await second.bus.emit(event("a", id: "601"), until: .settled, within: .seconds(5)) }
        try await slow.answering(second) { while await second.bus.statistics().recorded == 0 { await Task.yield() } }
        clock.advance(by: .seconds(1))
        let receipt = try await slow.answering(second) { try await waiting.value }
        #expect(receipt.results.isEmpty && receipt.pending == 1)
        try await slow.answering(second) { while endpoint.ids.count < 601 { await Task.yield() } }
        #expect(endpoint.ids == ids(1...601))
    }

    @Test func `of large events only so many bytes are in memory`() async throws {
        let test = try await start()
        try await test.plugin(policy: .init(key: .none), room: 0)
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        let text = "\"" + String(repeating: "x", count: 900_000) + "\""
        for number in 1...100 { try await test.bus.emit(event("a", id: "\(number)", data: text)) }
        let endpoint = TestEndpoint(test.bus, room: 2) { _ in nil }
        try await test.replace("p", [test.spec("p", ">", policy: .init(key: .none))], by: endpoint)
        test.catchUp()
        var most = 0
        try await drain(endpoint, test, most: &most)
        #expect(endpoint.ids == ids(1...100))
        #expect(most <= (16 + 2 * 4) << 20 / 900_000 + 5, "16 MiB, and a page at both ends")
    }

    @Test func `what a debounce held back when its plugin went is handled when it is back without the debounce`() async throws {
        let test = try await start()
        try await test.plugin(policy: .init(key: .type, debounce: .seconds(60)))
        try await test.bus.emit(event("a", id: "1"))
        test.catchUp()
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        try await test.bus.emit(event("a", id: "2"))
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [test.spec("p", ">")], by: endpoint)
        test.catchUp()
        #expect(endpoint.ids == ["1", "2"])
        #expect(try await test.statistics(of: "p.main").queued == 0)
    }

    @Test func `a batch that comes back with its plugin goes out in time`() async throws {
        let test = try await start()
        let policy = SubscriptionPolicy(key: .none, batch: .init(count: 10, within: .seconds(5)))
        try await test.plugin(policy: policy)
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        try await test.bus.emit((1...3).map { try event("a", id: "\($0)") })
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [test.spec("p", ">", policy: policy)], by: endpoint)
        test.clock.advance(by: .seconds(6))
        #expect(endpoint.ids == ["1"] && endpoint.deliveries.first?.others.count == 2)
    }

    @Test func `a source that runs holds up no trim`() async throws {
        var limits = JournalLimits()
        limits.history = 10
        limits.events = 20_000
        let test = try await TestBus(journal: InMemoryJournal(limits: limits, clock: clock), clock: clock)
        let source = SubscriptionSpec(name: "p.run", plugin: "p", trigger: .start, handler: 1)
        try await test.replace("p", [source], by: TestEndpoint(test.bus) { _ in nil })
        for _ in 0..<12 { try await test.bus.emit((0..<4_000).map { _ in try event("a") }) }
        #expect(try await test.statistics(of: "p.run").inFlight == 1)
    }
}
