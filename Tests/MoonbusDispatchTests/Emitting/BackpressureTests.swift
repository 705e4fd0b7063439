import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Synchronization
import Testing

@Suite struct BackpressureTests {
    private let two = SubscriptionPolicy(queueLimit: 2)

    @Test func `a subscription whose effects wait for room elsewhere is not handed more and more`() async throws {
        let test = try await TestBus()
        let large = JSON(.string(String(repeating: "x", count: 250_000)))
        let slow = try await test.plugin("slow", "out", policy: .init(key: .none, queueLimit: 1), room: 0) { _ in nil }
        let busy = try await test.plugin("busy", "in", policy: .init(key: .none), room: 16) { _ in
            guard let type = try? EventType("out") else { return nil }
            return .done(nil, [.emit(type: type, data: large, options: EmitOptions())])
        }
        try await test.bus.emit((1...500).map { try event("in", id: "\($0)") })
        test.catchUp()
        // 16 MiB that wait, the first one, and at most those that were handed out before that was known.
        #expect((67...68 + 16).contains(busy.ids.count))
        let again = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("slow", [test.spec("slow", "out", policy: .init(key: .none, queueLimit: 1))], by: again)
        test.catchUp()
        #expect(busy.ids == (1...500).map { "\($0)" })
        #expect(again.ids.count == 500 && slow.ids.isEmpty)
    }

    @Test func `a full subscription refuses who does not wait, by name, and nothing is recorded`() async throws {
        let test = try await TestBus()
        try await test.plugin("slow", "a", policy: two) { _ in nil }
        let other = try await test.plugin("other", ">")
        let answers = Answers()
        for _ in 0..<3 { test.bus.submit([try event("a")]) { answers.add($0) } }
        test.bus.submit([try event("b")]) { answers.add($0) }
        test.catchUp()
        #expect(answers.receipts.map(\.position) == [1, 2, 3])
        #expect(answers.errors.map(\.code) == [.full])
        #expect(answers.errors[0].message.contains("'slow.main' holds 2 events"))
        #expect(answers.errors[0].retryAfter != nil)
        #expect(other.deliveries.map(\.event.typeText) == ["a", "a", "b"])
    }

    @Test func `that a subscription refuses emitters is in the log, once a minute`() async throws {
        let log = LogRecorder()
        let test = try await TestBus(log: log)
        try await test.plugin("slow", "a", policy: two) { _ in nil }
        let refusals = { log.lines.filter { $0.contains("'slow.main' holds 2 events, its limit is 2") } }
        for _ in 0..<5 { test.bus.submit([try event("a")]) { (_: Result<SubmittedCount, EmitError>) in } }
        test.catchUp()
        #expect(refusals().count == 1)
        #expect(refusals().first?.contains("/plugins/slow/disable") == true)
        test.clock.advance(by: .seconds(60))
        for _ in 0..<2 { test.bus.submit([try event("a")]) { (_: Result<SubmittedCount, EmitError>) in } }
        test.catchUp()
        #expect(refusals().count == 2)
    }

    @Test func `a subscription that holds many bytes is full, however few its events are`() async throws {
        let test = try await TestBus()
        let slow = try await test.plugin("slow", "a", policy: .init(key: .none)) { _ in nil }
        let large = "\"\(String(repeating: "x", count: (1 << 20) - 200))\""
        let answers = Answers()
        for number in 1...70 { test.bus.submit([try event("a", id: "\(number)", data: large)]) { answers.add($0) } }
        test.catchUp()
        #expect(answers.receipts.count == 65)
        #expect(answers.errors.map(\.code) == Array(repeating: .full, count: 5))
        #expect(answers.errors[0].message.hasPrefix("subscription 'slow.main' holds 65 events of 64 MB, its limit is 64 MB: "))
        let waiting = Task { try await test.bus.emit(event("a", id: "late", data: large)) }
        try await until { await test.bus.statistics().waitingBatches == 1 }
        try await test.onOwner { slow.settle(slow.running.map { Outcome(delivery: $0.id, .done(nil)) }) }
        _ = try await waiting.value
    }

    /// How deliveries end that came with a megabyte each.
    enum Ending: CaseIterable { case plain, awaited, batched, dead, shed }

    @Test(arguments: Ending.allCases) func `bytes are free again once their delivery has ended`(ending: Ending) async throws {
        let test = try await TestBus()
        var policy = SubscriptionPolicy(key: .none, retry: .init(attempts: 1))
        if ending == .batched { policy.batch = BatchPolicy(count: 5, within: .seconds(1)) }
        if ending == .shed { policy.throttle = .seconds(300) }
        try await test.plugin("fast", "a", policy: policy) { _ in ending == .dead ? .failed("no") : .done(nil) }
        let large = "\"\(String(repeating: "x", count: (1 << 20) - 200))\""
        let answers = Answers()
        for _ in 1...150 where answers.errors.isEmpty {
            let event = try event("a", data: large)
            if ending == .awaited {
                try await test.bus.emit(event, until: .settled)
            } else {
                test.bus.submit([event]) { answers.add($0) }
            }
            test.catchUp()
        }
        #expect(answers.errors.isEmpty)
    }

    @Test func `emitters that wait are let in one by one as room comes`() async throws {
        let test = try await TestBus()
        let slow = try await test.plugin("slow", "a", policy: two) { _ in nil }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2")])
        let third = Task { try await test.bus.emit(event("a", id: "3")) }
        try await until { await test.bus.statistics().waitingBatches == 1 }
        let fourth = Task { try await test.bus.emit(event("a", id: "4")) }
        try await until { await test.bus.statistics().waitingBatches == 2 }

        try await test.onOwner { slow.settle([Outcome(delivery: slow.running[0].id, .done(nil))]) }
        #expect(try await third.value.position == 3)
        #expect(await test.bus.statistics().waitingBatches == 1)
        try await test.onOwner { slow.settle([Outcome(delivery: slow.running[0].id, .done(nil))]) }
        #expect(try await fourth.value.position == 4)
        #expect(slow.ids == ["1", "2", "3", "4"])
    }

    @Test func `a batch that waits goes to who is subscribed when it is let in`() async throws {
        let test = try await TestBus()
        let slow = try await test.plugin("slow", "a", policy: two) { _ in nil }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2")])
        let waiting = Task { try await test.bus.emit(event("a", id: "3")) }
        try await until { await test.bus.statistics().waitingBatches == 1 }
        let late = try await test.plugin("late", "a")
        try await test.onOwner { slow.settle([Outcome(delivery: slow.running[0].id, .done(nil))]) }
        _ = try await waiting.value
        test.catchUp()
        #expect(late.ids == ["3"])
        #expect(slow.ids == ["1", "2", "3"])
    }

    @Test func `a batch that waits is let in when all of its events have room, and then those behind it`() async throws {
        let test = try await TestBus()
        let slow = try await test.plugin("slow", "a", policy: two) { _ in nil }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2")])
        let pair = Task { try await test.bus.emit([event("a", id: "3"), event("a", id: "4")]) }
        try await until { await test.bus.statistics().waitingBatches == 1 }
        let last = Task { try await test.bus.emit(event("a", id: "5")) }
        try await until { await test.bus.statistics().waitingBatches == 2 }
        try await test.onOwner { slow.settle([Outcome(delivery: slow.running[0].id, .done(nil))]) }
        #expect(await test.bus.statistics().recorded == 2)
        try await test.onOwner { slow.settle([Outcome(delivery: slow.running[0].id, .done(nil))]) }
        #expect(try await pair.value.map(\.position) == [3, 4])
        try await test.onOwner { slow.settle([Outcome(delivery: slow.running[0].id, .done(nil))]) }
        #expect(try await last.value.position == 5)
    }

    @Test func `a batch that waited for one queue and could never fit into the next is refused`() async throws {
        let test = try await TestBus()
        let slow = try await test.plugin("slow", "a", policy: two) { _ in nil }
        try await test.plugin("tiny", "b", policy: SubscriptionPolicy(queueLimit: 1)) { _ in nil }
        try await test.bus.emit([event("a"), event("a")])
        let waiting = Task { await refusal { try await test.bus.emit([event("a"), event("b"), event("b")]) } }
        try await until { await test.bus.statistics().waitingBatches == 1 }
        try await test.onOwner { slow.settle([Outcome(delivery: slow.running[0].id, .done(nil))]) }
        #expect(await waiting.value?.code == .tooLarge)
        #expect(await test.bus.statistics().waitingBatches == 0)
    }

    @Test func `who waits too long gets a timeout, and nothing is recorded`() async throws {
        let test = try await TestBus()
        try await test.plugin("slow", "a", policy: two) { _ in nil }
        try await test.bus.emit([event("a"), event("a")])
        let late = Task { await refusal { try await test.bus.emit(event("a"), within: .seconds(5)) } }
        try await until { await test.bus.statistics().waitingBatches == 1 }
        test.clock.advance(by: .seconds(5))
        #expect(await late.value?.code == .timeout)
        let statistics = await test.bus.statistics()
        #expect(statistics.recorded == 2 && statistics.waitingBatches == 0)
    }

    @Test func `a batch that a queue could never hold is refused for good`() async throws {
        let test = try await TestBus()
        try await test.plugin("slow", "a", policy: two) { _ in nil }
        #expect(await refusal { try await test.bus.emit([event("a"), event("a"), event("a")]) }?.code == .tooLarge)
    }

    @Test func `stopping the bus refuses who still waits`() async throws {
        let test = try await TestBus()
        try await test.plugin("slow", "a", policy: two) { _ in nil }
        try await test.bus.emit([event("a"), event("a")])
        let waiting = Task { await refusal { try await test.bus.emit(event("a")) } }
        try await until { await test.bus.statistics().waitingBatches == 1 }
        let stopping = Task { await test.bus.stop(within: .seconds(1)) }
        #expect(await waiting.value?.code == .stopped)
        try await until { test.bus.owner.nextDeadline() != nil }
        test.clock.advance(by: .seconds(1))
        await stopping.value
    }

    @Test func `a handler's effects wait for room in their target, and its acknowledgement with them`() async throws {
        let test = try await TestBus()
        let sink = try await test.plugin("sink", "out", policy: SubscriptionPolicy(timeout: .seconds(300), queueLimit: 1)) { _ in nil }
        try await test.bus.emit(event("out", id: "first"))
        let source = try await test.plugin("source", "in") { _ in .done(nil, [emit("out")]) }
        try await test.bus.emit(event("in", id: "i"))
        test.catchUp()
        #expect(try await test.statistics(of: "source.main").done == 0)

        test.clock.advance(by: .seconds(59))
        try await test.onOwner { sink.settle([Outcome(delivery: sink.running[0].id, .done(nil))]) }
        #expect(try await test.statistics(of: "source.main").done == 1)
        #expect(source.deliveries.map(\.attempt) == [1])
        #expect(sink.deliveries.count == 2)
    }

    @Test func `effects that find no room for a minute end in a dead letter that names who was full`() async throws {
        let test = try await TestBus()
        try await test.plugin("sink", "out", policy: SubscriptionPolicy(queueLimit: 1)) { _ in nil }
        try await test.bus.emit(event("out"))
        try await test.plugin("source", "in") { _ in .done(nil, [emit("out")]) }
        try await test.bus.emit(event("in", id: "i"))
        test.clock.advance(by: .seconds(60))
        let letters = try await test.bus.deadLetters()
        #expect(letters.map(\.event.id) == ["i"])
        #expect(letters[0].failures.map(\.fault.kind) == [.full])
        #expect(letters[0].failures[0].fault.message.contains("'sink.main'"))
    }

    /// Waits for what another task is about to do. Bounded: a failure ends the test instead of hanging it.
    private func until(_ condition: () async -> Bool) async throws {
        for _ in 0..<100_000 {
            if await condition() { return }
            await Task.yield()
        }
        Issue.record("it did not happen")
    }
}

extension EventType {
    /// A type that the test knows to be right, where a typed throw would be in the way.
    init(trustedForTest text: String) {
        do { try self.init(text) } catch { preconditionFailure("\(error)") }
    }
}

/// The effect of an emit.
func emit(_ type: String, _ data: String? = nil, _ options: EmitOptions = .init()) -> Effect {
    .emit(type: EventType(trustedForTest: type), data: data.map { JSON(trusted: Array($0.utf8)) }, options: options)
}
