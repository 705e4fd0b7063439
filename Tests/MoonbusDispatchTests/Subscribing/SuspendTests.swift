import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

@Suite struct SuspendTests {
    private let two = SubscriptionPolicy(key: .none, queueLimit: 2)

    @Test func `a suspended plugin keeps nobody waiting, and gets everything in order when it is back`() async throws {
        let test = try await TestBus()
        try await test.plugin(policy: two, room: 0) { _ in nil }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2")])
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        for number in 3...1_500 { try await test.bus.emit(event("a", id: "\(number)"), within: .seconds(1)) }
        let again = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [test.spec("p", ">", policy: two)], by: again)
        try await test.bus.emit(event("a", id: "last"))
        test.catchUp()
        #expect(again.ids == (1...1_500).map { "\($0)" } + ["last"])
        #expect(try await test.statistics(of: "p.main").queued == 0)
    }

    @Test func `a plugin that goes while it is suspended takes along all that waits for it`() async throws {
        let test = try await TestBus()
        try await test.plugin(room: 0) { _ in nil }
        try await test.bus.emit((1...3).map { try event("a", id: "\($0)") })
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        try await test.onOwner { test.bus.remove(plugin: "p") }
        let next = try await test.plugin("q")
        try await test.bus.emit(event("a", id: "4"))
        test.catchUp()
        #expect(next.ids == ["4"])
    }

    @Test func `emitters that wait for a plugin are let in when it is suspended`() async throws {
        let test = try await TestBus()
        try await test.plugin(policy: two, room: 0) { _ in nil }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2")])
        let waiting = Task { try await test.bus.emit(event("a", id: "3")) }
        for _ in 0..<100_000 where await test.bus.statistics().waitingBatches == 0 { await Task.yield() }
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        #expect(try await waiting.value.position == 3)
        let again = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [test.spec("p", ">", policy: two)], by: again)
        test.catchUp()
        #expect(again.ids == ["1", "2", "3"])
    }

    @Test func `what runs while its plugin is suspended ends once, and nothing of it runs again`() async throws {
        let test = try await TestBus()
        let old = try await test.plugin { _ in nil }
        try await test.bus.emit(event("a", id: "1"))
        test.catchUp()
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        try await test.bus.emit(event("a", id: "2"))
        let again = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [test.spec("p", ">")], by: again)
        try await test.onOwner { old.settle([Outcome(delivery: old.running[0].id, .done(nil))]) }
        #expect(again.ids == ["2"])
        #expect(try await test.statistics(of: "p.main").done == 2)
    }

    @Test func `the journal keeps what a suspended plugin is owed, however much comes after it`() async throws {
        var limits = JournalLimits()
        limits.history = 10
        let clock = ManualClock()
        let test = try await TestBus(journal: InMemoryJournal(limits: limits, clock: clock), clock: clock)
        let endpoint = try await test.plugin("p", "mine")
        try await test.plugin("other", "theirs")
        try await test.bus.emit(event("mine", id: "1"))
        test.catchUp()
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        try await test.bus.emit(event("mine", id: "2"))
        for _ in 0..<10 { try await test.bus.emit((0..<4_000).map { _ in try event("theirs") }) }
        test.catchUp()
        try await test.replace("p", [test.spec("p", "mine")], by: endpoint)
        test.catchUp()
        #expect(endpoint.ids == ["1", "2"])
        #expect(try await test.statistics(of: "p.main").queued == 0)
    }

    @Test func `a plugin that is suspended and comes back again and again misses nothing`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin()
        for round in 0..<20 {
            try await test.bus.emit(event("a", id: "\(3 * round)"))
            try await test.onOwner { test.bus.suspend(plugin: "p") }
            try await test.onOwner { test.bus.suspend(plugin: "p") }
            try await test.bus.emit([event("a", id: "\(3 * round + 1)"), event("a", id: "\(3 * round + 2)")])
            try await test.replace("p", [test.spec("p", ">")], by: endpoint)
        }
        test.catchUp()
        #expect(endpoint.ids == (0..<60).map { "\($0)" })
    }

    // MARK: Plugins whose files are gone

    @Test func `a plugin that is back in time gets everything, what waited and what came meanwhile`() async throws {
        let test = try await TestBus()
        let first = try await test.plugin(policy: .init(key: .none, concurrency: 1)) { _ in nil }
        try await test.bus.emit((1...3).map { try event("a", id: "\($0)") })
        test.catchUp()
        try await test.onOwner { test.bus.depart(plugin: "p", keptFor: .seconds(60)) }
        try await test.onOwner { first.settle([Outcome(delivery: first.running[0].id, .done(nil))]) }
        test.clock.advance(by: .seconds(59))
        let owed = try await test.bus.emit(event("a", id: "4"), until: .settled, within: .seconds(5))
        #expect(owed.results.isEmpty && owed.pending == 1)
        let again = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [test.spec("p", ">")], by: again)
        test.catchUp()
        #expect(first.ids == ["1"] && again.ids == ["2", "3", "4"])
        test.clock.advance(by: .seconds(3_600))
        try await test.bus.emit(event("a", id: "5"))
        test.catchUp()
        #expect(again.ids.last == "5")
    }

    @Test func `one that stays away is removed, but not while its files are there again`() async throws {
        let test = try await TestBus()
        try await test.plugin("p", room: 0) { _ in nil }
        try await test.plugin("q", room: 0) { _ in nil }
        try await test.bus.emit(event("a", id: "1"))
        test.catchUp()
        try await test.onOwner {
            for plugin in ["p", "q"] { test.bus.depart(plugin: plugin, keptFor: .seconds(60)) }
            test.bus.stay(plugin: "q")
        }
        test.clock.advance(by: .seconds(61))
        test.catchUp()
        guard case .subscriptions(let known) = try await test.bus.ask(.subscriptions) else { return }
        #expect(known.map(\.name) == ["q.main"])
        let late = try await test.plugin("p") { _ in .done(nil) }
        test.catchUp()
        #expect(late.ids.isEmpty)
    }

    @Test func `a full journal forgets those that are away before it refuses anything`() async throws {
        var limits = JournalLimits()
        limits.events = 10
        limits.history = 0
        let clock = ManualClock()
        let test = try await TestBus(journal: InMemoryJournal(limits: limits, clock: clock), clock: clock)
        try await test.plugin("p", "a", room: 0) { _ in nil }
        let other = try await test.plugin("q", "a")
        try await test.onOwner { test.bus.depart(plugin: "p", keptFor: .seconds(60)) }
        for number in 1...25 { try await test.bus.emit(event("a", id: "\(number)")) }
        test.catchUp()
        #expect(other.ids.count == 25)
        #expect(await test.bus.statistics().subscriptions.map(\.name) == ["q.main"])
    }

}
