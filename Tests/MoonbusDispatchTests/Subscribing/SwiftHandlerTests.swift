import Logging
import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Synchronization
import Testing

@Suite struct SwiftHandlerTests {
    private func makeBus() async throws -> EventBus {
        let bus = EventBus(journal: InMemoryJournal(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await bus.start()
        return bus
    }

    @Test func `a handler's result and effects come back to the emitter and the bus`() async throws {
        let bus = try await makeBus()
        try await bus.subscribe(EventPattern("order.*"), name: "price") { event, context in
            let id = context.emit(EventType(trustedForTest: "priced"), data: event.data)
            return JSON(.object(["id": .string(id), "attempt": .integer(Int64(context.attempt))]))
        }
        try await bus.subscribe(EventPattern("priced"), name: "audit") { event, context in
            context.set("last", to: event.data ?? .null)
            return nil
        }
        let receipt = try await bus.emit(event("order.new", data: #"{"n":7}"#), until: .settled)
        #expect(receipt.results.map(\.subscription) == ["price"])
        #expect(receipt.results[0].result?.value["attempt"] == 1)
        await bus.stop()
        #expect(await bus.statistics().subscriptions.map(\.done) == [1, 1])
    }

    @Test func `a handler reads its own staged writes, and state survives the run`() async throws {
        let bus = try await makeBus()
        try await bus.subscribe(EventPattern("count"), name: "counter") { _, context in
            let before = try await context.value(of: "n")?.value.integer ?? 0
            context.set("n", to: JSON(.integer(before + 1)))
            context.set("other", to: .null)
            context.delete("other")
            let other = try await context.value(of: "other")
            #expect(other == nil)
            return try await context.value(of: "n")
        }
        // The key keeps the two runs apart; without it the second would conflict and run again, to the same end.
        for expected in 1...3 {
            let receipt = try await bus.emit(event("count", key: "one"), until: .settled)
            #expect(receipt.results[0].result?.value == .integer(Int64(expected)))
        }
        await bus.stop()
    }

    @Test func `concurrent runs that write one key lose no update`() async throws {
        let bus = try await makeBus()
        try await bus.subscribe(EventPattern("count"), name: "counter") { _, context in
            let before = try await context.value(of: "n")?.value.integer ?? 0
            await Task.yield()
            context.set("n", to: JSON(.integer(before + 1)))
            return nil
        }
        try await withThrowingTaskGroup(of: Receipt.self) { group in
            for _ in 0..<8 { group.addTask { try await bus.emit(event("count"), until: .settled) } }
            for try await receipt in group { #expect(receipt.results[0].status == .done) }
        }
        guard case .state(let entries) = try await bus.ask(.state(plugin: "counter", key: "n", now: .now())) else { return }
        #expect(entries.first?.value.value == 8)
        await bus.stop()
    }

    @Test func `a handler that throws is tried again, and nothing that it staged happens`() async throws {
        struct Flaky: Error {}
        let bus = try await makeBus()
        let seen = Notes()
        try await bus.subscribe(EventPattern("out"), name: "sink") { event, _ in
            seen.add(event.data?.text ?? "")
            return nil
        }
        try await bus.subscribe(EventPattern("in"), name: "flaky", policy: .init(retry: .init(backoff: .milliseconds(1)))) { _, context in
            context.emit(EventType(trustedForTest: "out"), data: JSON(.integer(Int64(context.attempt))))
            if context.attempt < 3 { throw Flaky() }
            return nil
        }
        let receipt = try await bus.emit(event("in"), until: .settled)
        #expect(receipt.results[0].attempts == 3)
        await bus.stop()
        #expect(seen.all == ["3"])
    }

    @Test func `a handler may reject an event or ask for it later`() async throws {
        let bus = try await makeBus()
        let runs = Atomic<Int>(0)
        try await bus.subscribe(EventPattern("a"), name: "picky") { event, context in
            if event.subject == nil, runs.wrappingAdd(1, ordering: .relaxed).newValue == 1 { throw context.retry(after: .milliseconds(1)) }
            throw context.reject("not mine")
        }
        let receipt = try await bus.emit(event("a"), until: .settled)
        #expect(receipt.results[0].status == .rejected)
        #expect(receipt.results[0].error?.message == "not mine")
        #expect(receipt.results[0].attempts == 1)
        await bus.stop()
    }

    @Test func `a handler that ignores its wall-clock limit does not hold up its key`() async throws {
        let test = try await TestBus()
        let isRunning = Switch(false)
        let release = Switch(false)
        let policy = SubscriptionPolicy(retry: .init(attempts: 1), timeout: .seconds(5))
        try await test.bus.subscribe(EventPattern("a"), name: "stuck", policy: policy) { event, _ in
            isRunning.set(true)
            while event.id == "first", !release.isOn { await Task.yield() }
            return nil
        }
        async let first = test.bus.emit(event("a", id: "first", key: "k"), until: .settled)
        while !isRunning.isOn { await Task.yield() }
        test.clock.advance(by: .seconds(5))
        #expect(try await first.results[0].error?.kind == .timeout)
        let second = try await test.bus.emit(event("a", id: "second", key: "k"), until: .settled)
        #expect(second.results[0].status == .done)
        release.set(true)
    }

    @Test func `a name can be taken once, and again after unsubscribing`() async throws {
        let bus = try await makeBus()
        let first = try await bus.subscribe(EventPattern("a"), name: "same") { _, _ in nil }
        await #expect(throws: SubscribeError.self) { try await bus.subscribe(EventPattern("b"), name: "same") { _, _ in nil } }
        await #expect(throws: SubscribeError.self) { try await bus.subscribe(EventPattern("b"), name: "") { _, _ in nil } }
        await bus.unsubscribe(first)
        try await bus.subscribe(EventPattern("b"), name: "same") { _, _ in JSON.null }
        let receipt = try await bus.emit([event("a"), event("b")])
        #expect(receipt.count == 2)
        #expect(try await bus.emit(event("a"), until: .settled).results.isEmpty)
        #expect(try await bus.emit(event("b"), until: .settled).results.count == 1)
        await bus.stop()
        await #expect(throws: SubscribeError.self) { try await bus.subscribe(EventPattern("c"), name: "c") { _, _ in nil } }
    }

    @Test func `a filter keeps events that don't match from the handler`() async throws {
        let bus = try await makeBus()
        let filter = try Filter(JSON(#"{"data":{"amount":[{"numeric":[">",100]}]}}"#))
        try await bus.subscribe(EventPattern("order"), name: "large", where: filter) { event, _ in event.data }
        let small = try await bus.emit(event("order", data: #"{"amount":50}"#), until: .settled)
        let large = try await bus.emit(event("order", data: #"{"amount":150}"#), until: .settled)
        #expect(small.results.isEmpty && large.results.count == 1)
        await bus.stop()
    }
}

@Suite struct BusLifeTests {
    @Test func `a stopped bus is freed, handlers included`() async throws {
        weak var gone: EventBus?
        weak var journal: InMemoryJournal?
        do {
            let store = InMemoryJournal()
            let bus = EventBus(journal: store, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            (gone, journal) = (bus, store)
            try await bus.start()
            try await bus.subscribe(EventPattern("a"), name: "s") { _, _ in nil }
            try await bus.emit(event("a"), until: .settled)
            await bus.stop()
        }
        // The task that ran the handler lets go of the bus a moment after its outcome was settled.
        for _ in 0..<100_000 where gone != nil || journal != nil { await Task.yield() }
        #expect(gone == nil && journal == nil)
    }

    @Test func `a bus that nobody holds any more ends by itself`() async throws {
        weak var journal: InMemoryJournal?
        do {
            let store = InMemoryJournal()
            journal = store
            let bus = EventBus(journal: store, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            try await bus.start()
            try await bus.emit(event("a"))
        }
        for _ in 0..<100_000 where journal != nil { await Task.yield() }
        #expect(journal == nil)
    }
}
