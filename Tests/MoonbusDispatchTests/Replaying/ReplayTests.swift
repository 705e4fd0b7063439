import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

/// Recorded events once more into one plugin, with effects.
@Suite(.timeLimit(.minutes(2))) struct ReplayTests {
    /// Emits a `b` and stores one value for each delivery.
    private static let answering: TestEndpoint.Answer = { delivery in
        guard let type = try? EventType("b") else { return nil }
        let emit = Effect.emit(type: type, data: nil, options: EmitOptions())
        return .done(nil, [emit, .set(key: delivery.identity.description, value: .null, expiry: nil)])
    }

    private static func isReplay(_ delivery: Delivery) -> Bool { delivery.subscriptionKey.0 != Identity.key(subscription: "p.main").0 }

    private func order(_ pattern: String = "a", from: Timestamp? = nil, to: Timestamp? = nil) throws -> ReplayOrder {
        ReplayOrder(plugin: "p", pattern: try EventPattern(pattern), from: from, to: to)
    }

    /// Waits until a replay is over.
    @discardableResult
    private func end(of number: UInt32, _ test: TestBus, _ journal: DeferredJournal? = nil) async throws -> ReplayStatus {
        for _ in 0..<10_000 {
            journal?.answer()
            test.catchUp()
            let status = try await test.bus.replays(of: "p").first { $0.number == number }
            if let status, status.state == .done || status.state == .ended { return status }
        }
        let status = try await test.bus.replays(of: "p").first { $0.number == number }
        throw StillOpen(status: status)
    }

    private struct StillOpen: Error { let status: ReplayStatus? }

    @Test func `each replay is one set of effects under ids of its own, and others get what it emits but not what it replays`() async throws
    {
        let test = try await TestBus()
        let endpoint = try await test.plugin("p", "a", Self.answering)
        let other = try await test.plugin("q", ">")
        try await test.bus.emit((1...3).map { try event("a", id: "\($0)") })
        test.catchUp()
        var numbers: [UInt32] = []
        for _ in 1...2 {
            let begun = try await test.bus.beginReplay(order())
            #expect(begun.count == 3)
            #expect(begun.subscriptions == ["p.main"])
            let end = try await end(of: begun.number, test)
            #expect(end.done == 3)
            numbers.append(begun.number)
        }
        #expect(numbers[0] != numbers[1])
        #expect(endpoint.ids == ["1", "2", "3", "1", "2", "3", "1", "2", "3"])
        #expect(other.ids.filter { ["1", "2", "3"].contains($0) } == ["1", "2", "3"])
        let emitted = other.deliveries.map(\.event).filter { $0.typeText == "b" }
        #expect(Set(emitted.map(\.id)).count == 9)
        #expect(emitted.compactMap(\.causeid).sorted() == ["1", "1", "1", "2", "2", "2", "3", "3", "3"])
        #expect(try await test.statistics(of: "p.main").done == 3)
        guard case .state(let stored) = try await test.bus.ask(.scan(plugin: "p", prefix: "", after: nil, limit: 100, now: .now())) else {
            return
        }
        #expect(stored.count == 9)
    }

    @Test func `what is recorded after it has begun is not replayed, and reaches the subscription once`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin("p", "a", policy: .init(key: .none)) { Self.isReplay($0) ? nil : .done(nil) }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2")])
        test.catchUp()
        let begun = try await test.bus.beginReplay(order())
        try await test.bus.emit(event("a", id: "3"))
        test.catchUp()
        #expect(endpoint.ids == ["1", "2", "1", "2", "3"])
        #expect(endpoint.running.map(\.event.id) == ["1", "2"])
        try await test.onOwner { endpoint.settle(endpoint.running.map { Outcome(delivery: $0.id, .done(nil)) }) }
        #expect(try await end(of: begun.number, test).done == 2)
        #expect(endpoint.ids.count == 5)
        #expect(try await test.statistics(of: "p.main").done == 3)
    }

    @Test func `only events of the type and time are replayed, and only those that the plugin takes`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin("p", "a.*")
        for (id, type) in [("1", "a.x"), ("2", "a.y"), ("3", "b.x"), ("4", "a.x"), ("5", "a.x")] {
            test.clock.advance(by: .seconds(10))
            try await test.bus.emit(try Event(type: EventType(type), id: id, time: test.bus.owner.clock.now()))
        }
        test.catchUp()
        let now = test.bus.owner.clock.now()
        let begun = try await test.bus.beginReplay(order("*.x", from: now - .seconds(35), to: now - .seconds(5)))
        #expect(begun.count == 1)
        #expect((begun.first, begun.last) == (4, 4))
        try await end(of: begun.number, test)
        #expect(endpoint.ids == ["1", "2", "4", "5", "4"])
    }

    @Test func `a handler that fails is tried again, and its dead letter has the replay's name and can be retried when that is over`()
        async throws
    {
        let test = try await TestBus()
        let policy = SubscriptionPolicy(retry: .init(attempts: 2, backoff: .seconds(1)))
        let endpoint = try await test.plugin("p", "a", policy: policy) { Self.isReplay($0) ? .failed("no") : .done(nil) }
        try await test.bus.emit(event("a", id: "1"))
        test.catchUp()
        let begun = try await test.bus.beginReplay(order())
        test.catchUp()
        test.clock.advance(by: .seconds(2))
        let end = try await end(of: begun.number, test)
        #expect(end.state == .done)
        #expect(end.dead == 1)
        #expect(endpoint.deliveries.map(\.attempt) == [1, 1, 2])
        let letter = try #require(try await test.bus.deadLetters().first)
        #expect(letter.subscription == "p.main@replay-\(begun.number)")
        #expect(letter.failures.count == 2)

        let mended = TestEndpoint(test.bus, Self.answering)
        try await test.replace("p", [test.spec("p", "a", policy: policy)], by: mended)
        try await test.bus.retry(deadLetter: letter.id)
        #expect(try await self.end(of: begun.number, test).done == 1)
        #expect(mended.deliveries.map(\.identity) == [endpoint.deliveries[1].identity])
        #expect(try await test.bus.deadLetters().isEmpty)
    }

    @Test func `a long history is read page by page`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin("p", "a", room: 10_000) { Self.isReplay($0) ? nil : .done(nil) }
        try await test.bus.emit((1...3_000).map { try event("a", id: "\($0)") })
        test.catchUp()
        let begun = try await test.bus.beginReplay(order())
        test.catchUp()
        let held = try await test.statistics(of: "p.main@replay-\(begun.number)")
        #expect((512...1_024).contains(held.queued + held.inFlight))
        for _ in 0..<100 {
            try await test.onOwner { endpoint.settle(endpoint.running.map { Outcome(delivery: $0.id, .done(nil)) }) }
        }
        try await end(of: begun.number, test)
        #expect(endpoint.ids == (1...3_000).map { "\($0)" } + (1...3_000).map { "\($0)" })
    }

    @Test func `the journal keeps what an open replay is owed, however much comes after it`() async throws {
        var limits = JournalLimits()
        limits.history = 1_200
        let clock = ManualClock()
        let test = try await TestBus(journal: InMemoryJournal(limits: limits, clock: clock), clock: clock)
        try await test.plugin("p", "a", room: 10) { Self.isReplay($0) ? nil : .done(nil) }
        try await test.plugin("other", "theirs")
        try await test.bus.emit((1...1_100).map { try event("a", id: "\($0)") })
        test.catchUp()
        let begun = try await test.bus.beginReplay(order())
        for _ in 0..<6 { try await test.bus.emit((0..<4_000).map { _ in try event("theirs") }) }
        test.catchUp()
        let again = TestEndpoint(test.bus, Self.answering)
        try await test.replace("p", [test.spec("p", "a")], by: again)
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        #expect(try await test.bus.replays(of: "p").first?.state == .waiting)
        try await test.replace("p", [test.spec("p", "a")], by: again)
        // Ten still run at the first endpoint.
        for _ in 0..<1_000 where again.ids.count < 1_090 { test.catchUp() }
        #expect(again.ids.count == 1_090)
        #expect(try await test.bus.replays(of: "p").first { $0.number == begun.number }?.owed == 10)
    }

    @Test func `after a restart a replay goes on where it was, and each of its events has one effect`() async throws {
        let clock = ManualClock()
        let journal = InMemoryJournal(limits: .init(), clock: clock)
        let first = try await TestBus(journal: journal, clock: clock)
        try await first.plugin("p", "a") { delivery in
            guard Self.isReplay(delivery) else { return .done(nil) }
            // Some of the first page, not in order, and one that fails.
            let number = Int(delivery.event.id) ?? 0
            if number == 5 { return .failed("later") }
            return number <= 300 && number % 3 != 0 ? Self.answering(delivery) : nil
        }
        try await first.bus.emit((1...2_000).map { try event("a", id: "\($0)") })
        first.catchUp()
        let begun = try await first.bus.beginReplay(order())
        first.catchUp()
        try await first.crash()

        let second = try await TestBus(journal: journal, clock: clock)
        #expect(try await second.bus.replays(of: "p").map(\.state) == [.waiting])
        let other = try await second.plugin("q", "b")
        let endpoint = try await second.plugin("p", "a", Self.answering)
        second.catchUp()
        clock.advance(by: .seconds(5))
        #expect(try await end(of: begun.number, second).state == .done)
        #expect(Set(endpoint.ids).count == endpoint.ids.count)
        #expect(endpoint.deliveries.filter { $0.event.id == "5" }.map(\.attempt) == [2])
        #expect(endpoint.ids.count == 2_000 - 199)
        let emitted = try await recorded(second).filter { $0.typeText == "b" }
        #expect(emitted.count == 2_000)
        #expect(Set(emitted.compactMap(\.causeid)).count == 2_000)
        #expect(other.ids.count == endpoint.ids.count)
    }

    private func recorded(_ test: TestBus) async throws -> [Event] {
        guard case .events(let events) = try await test.bus.ask(.events(after: 0, limit: 100_000)) else { return [] }
        return events.map(\.event)
    }

    @Test func `new code handles the rest, and a subscription or plugin that goes ends the replay and says so`() async throws {
        let test = try await TestBus()
        try await test.plugin("p", "a", policy: .init(key: .none), room: 1) { Self.isReplay($0) ? nil : .done(nil) }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2")])
        test.catchUp()
        let first = try await test.bus.beginReplay(order())
        test.catchUp()
        let second = try await test.bus.beginReplay(order())
        let third = try await test.bus.beginReplay(order())
        let new = TestEndpoint(test.bus, room: 1) { _ in nil }
        try await test.replace("p", [test.spec("p", "a")], by: new)
        #expect(new.ids.count == 1)
        #expect(try await test.bus.stopReplay(plugin: "p", number: third.number).reason == "it was stopped")
        try await test.replace("p", [test.spec("p", "a", name: "p.other")], by: new)
        let ended = try await end(of: first.number, test)
        #expect(ended.state == .ended)
        #expect(ended.reason?.contains("'p.main' is not declared any more") == true)
        #expect(try await end(of: second.number, test).state == .ended)
        let fourth = try await test.bus.beginReplay(order())
        try await test.onOwner { test.bus.remove(plugin: "p") }
        #expect(try await end(of: fourth.number, test).reason == "its plugin was removed")
        guard case .subscriptions(let known) = try await test.bus.ask(.subscriptions) else { return }
        #expect(known.isEmpty)
    }

    @Test func `dead letters of a replay that are retried together all get another run`() async throws {
        let clock = ManualClock()
        let journal = DeferredJournal(clock: clock)
        let test = try await TestBus(journal: journal, clock: clock)
        let policy = SubscriptionPolicy(retry: .init(attempts: 1))
        try await journal.answering(test) {
            try await test.plugin("p", "a", policy: policy) { Self.isReplay($0) ? .failed("no") : .done(nil) }
            try await test.bus.emit((1...3).map { try event("a", id: "\($0)") })
        }
        let begun = try await journal.answering(test) { try await test.bus.beginReplay(order()) }
        #expect(try await journal.answering(test) { try await end(of: begun.number, test, journal) }.dead == 3)
        let letters = try await test.bus.deadLetters().map(\.id)
        #expect(letters.count == 3)

        let mended = TestEndpoint(test.bus, Self.answering)
        try await journal.answering(test) {
            try await test.replace("p", [test.spec("p", "a", policy: policy)], by: mended)
            // Each is brought back in its own time: the replay must not end between two of them.
            try await withThrowingTaskGroup { group in
                for letter in letters { group.addTask { try await test.bus.retry(deadLetter: letter) } }
                try await group.waitForAll()
            }
        }
        #expect(try await end(of: begun.number, test, journal).done == 3)
        #expect(mended.ids.sorted() == ["1", "2", "3"])
        #expect(try await test.bus.deadLetters().isEmpty)
    }

    @Test func `a number that a replay may have had is not given to another one`() async throws {
        let clock = ManualClock()
        let journal = DeferredJournal(clock: clock)
        let test = try await TestBus(journal: journal, clock: clock)
        try await journal.answering(test) {
            try await test.plugin("p", "a", Self.answering)
            try await test.bus.emit(event("a", id: "1"))
        }
        journal.refuseRetirements(1)
        let first = try await journal.answering(test) { try await test.bus.beginReplay(order()) }
        _ = try await end(of: first.number, test, journal)
        // The name by which numbers are drawn could not be retired: it still has the first one's.
        await #expect(throws: ReplayError.self) { try await journal.answering(test) { try await test.bus.beginReplay(order()) } }
        let third = try await journal.answering(test) { try await test.bus.beginReplay(order()) }
        #expect(third.number != first.number)
        #expect(try await end(of: third.number, test, journal).done == 1)
    }

    @Test func `a bus with an open replay starts although its dead letters cannot be read`() async throws {
        let clock = ManualClock()
        let journal = DeferredJournal(clock: clock)
        let first = try await TestBus(journal: journal, clock: clock)
        try await journal.answering(first) {
            try await first.plugin("p", "a") { Self.isReplay($0) ? nil : .done(nil) }
            try await first.bus.emit(event("a", id: "1"))
        }
        let begun = try await journal.answering(first) { try await first.bus.beginReplay(order()) }
        try await journal.answering(first) { try await first.crash() }

        journal.hideLetters()
        let second = try await TestBus(journal: journal, clock: clock)
        let endpoint = try await journal.answering(second) { try await second.plugin("p", "a", Self.answering) }
        #expect(try await end(of: begun.number, second, journal).done == 1)
        #expect(endpoint.ids == ["1"])
    }

    @Test func `what cannot be replayed is refused and says why`() async throws {
        var configuration = BusConfiguration()
        configuration.ephemeral = [try EventPattern("raw.>")]
        let test = try await TestBus(configuration: configuration)
        try await test.plugin("p", ">", room: 0) { _ in nil }
        func refusal(_ order: ReplayOrder) async -> String {
            do throws(ReplayError) {
                let begun = try await test.bus.beginReplay(order)
                return "begun: \(begun)"
            } catch {
                return "\(error)"
            }
        }
        let nobody = await refusal(ReplayOrder(plugin: "nobody", pattern: try EventPattern(">")))
        #expect(nobody.hasPrefix("noPlugin: there is no plugin 'nobody'"))
        let nothing = await refusal(try order("never"))
        #expect(nothing.hasPrefix("noEvents: no event of 'never'"))
        #expect(!nothing.contains("ephemeral"))
        #expect(await refusal(try order("raw.x")).contains("ephemeral types ('raw.>') never are"))
        try await test.bus.emit(event("a", id: "1"))
        for _ in 0..<16 { _ = try await test.bus.beginReplay(order()) }
        #expect(await refusal(try order()).hasPrefix("full: 16 replays are open"))
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        #expect(await refusal(try order()).hasPrefix("notServed: plugin 'p' is switched off"))
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [test.spec("p", "a.b")], by: endpoint)
        #expect(await refusal(try order("c.>")).hasPrefix("notServed: plugin 'p' has no subscription for 'c.>'"))
        await #expect(throws: SubscribeError.self) {
            try await test.replace("q", [test.spec("q", "a", name: "q.main@replay-7")], by: endpoint)
        }
    }
}
