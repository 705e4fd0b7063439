import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

/// A source `p.beat` that emits `beat` each hour and gets what its handlers answered: handler 1 polls, handler 2 takes results.
@Suite struct SourceResultTests {
    private let clock = ManualClock()
    private let journal: InMemoryJournal

    init() {
        journal = InMemoryJournal(limits: .init(), clock: clock)
    }

    private func start(_ configuration: BusConfiguration = .init()) async throws -> TestBus {
        try await TestBus(journal: journal, clock: clock, configuration: configuration)
    }

    @discardableResult
    private func source(
        _ test: TestBus, emits effects: [Effect] = [emit("beat")], concurrency: Int = 10_000, _ take: @escaping TestEndpoint.Answer
    ) async throws -> TestEndpoint {
        let endpoint = TestEndpoint(test.bus) { $0.handler == 1 ? .done(nil, effects) : take($0) }
        let spec = SubscriptionSpec(
            name: "p.beat", plugin: "p", trigger: .every(.seconds(3_600)), handler: 1, resultHandler: 2,
            policy: .init(concurrency: concurrency, timeout: .seconds(86_400)), missed: .skip)
        try await test.replace("p", [spec], by: endpoint)
        return endpoint
    }

    private func results(_ endpoint: TestEndpoint) -> [JSONValue] {
        endpoint.deliveries.filter { $0.handler == 2 }.compactMap { $0.event.data?.value }
    }

    private func owed(_ test: TestBus) async throws -> Int {
        let statistics = try await test.statistics(of: "p.beat")
        return statistics.queued + statistics.inFlight
    }

    @Test func `each handler's end is a result of its own, the failed ones' too`() async throws {
        let test = try await start()
        try await test.plugin("good", "beat") { _ in .done(#"{"seen":1}"#) }
        try await test.plugin("bad", "beat", policy: .init(retry: .init(attempts: 1))) { _ in .failed("boom") }
        try await test.plugin("quiet", "beat")
        let endpoint = try await source(test) { _ in .done(nil) }
        clock.advance(by: .seconds(3_600))
        let results = results(endpoint)
        #expect(Set(results.map { $0["subscription"]?.string }) == ["good.main", "bad.main", "quiet.main"])
        let good = try #require(results.first { $0["subscription"] == "good.main" })
        #expect(good["status"] == "done" && good["result"]?["seen"] == 1 && good["type"] == "beat" && good["attempts"] == 1)
        let bad = try #require(results.first { $0["subscription"] == "bad.main" })
        #expect(bad["status"] == "dead" && bad["error"] == "boom" && bad["result"] == nil)
        let quiet = try #require(results.first { $0["subscription"] == "quiet.main" })
        #expect(quiet["status"] == "done" && quiet["result"] == nil)
        #expect(Set(endpoint.ids).count == endpoint.deliveries.count)
    }

    @Test func `a result that its source had not taken when the service died comes after the restart, once`() async throws {
        let first = try await start()
        try await first.plugin("sink", "beat") { _ in .done(#"{"seen":1}"#) }
        let before = try await source(first) { _ in nil }
        clock.advance(by: .seconds(3_600))
        #expect(before.running.map(\.handler) == [2])
        try await first.crash()

        let second = try await start()
        let after = try await source(second) { _ in .done(nil) }
        second.catchUp()
        #expect(after.ids == [before.running[0].event.id])
        #expect(results(after).first?["result"]?["seen"] == 1)
        await second.bus.stop()

        let third = try await start()
        let nothing = try await source(third) { _ in .done(nil) }
        third.catchUp()
        #expect(nothing.deliveries.isEmpty)
    }

    @Test func `an event that nobody had handled when the service died is answered to its source after the restart`() async throws {
        let first = try await start()
        try await first.plugin("sink", "beat") { _ in nil }
        try await source(first) { _ in .done(nil) }
        clock.advance(by: .seconds(3_600))
        try await first.crash()

        let second = try await start()
        try await second.plugin("sink", "beat") { _ in .done(#"{"seen":2}"#) }
        second.catchUp()
        // The handler is done before its event's source is there.
        let after = try await source(second) { _ in .done(nil) }
        second.catchUp()
        #expect(results(after).map { $0["result"]?["seen"] } == [2])
    }

    @Test func `a result that fails is tried again, and is a dead letter in the end`() async throws {
        let test = try await start()
        try await test.plugin("sink", "beat") { _ in .done("1") }
        let endpoint = try await source(test) { _ in .failed("no") }
        clock.advance(by: .seconds(3_600 + 1_800))
        #expect(results(endpoint).count == 5)
        #expect(try await test.bus.deadLetters().map(\.event.typeText) == ["moonbus.result"])
    }

    @Test func `what no event can hold is said instead, and the bus lives`() async throws {
        let test = try await start()
        try await test.plugin("large", "beat") { _ in .done("\"" + String(repeating: "x", count: (1 << 20) - 2) + "\"") }
        try await test.plugin("deep", "beat") { _ in .done(String(repeating: "[", count: 64) + String(repeating: "]", count: 64)) }
        let endpoint = try await source(test) { _ in .done(nil) }
        clock.advance(by: .seconds(3_600))
        let results = results(endpoint)
        #expect(results.count == 2)
        #expect(results.allSatisfy { $0["status"] == "done" && $0["result"] == nil })
        #expect(results.allSatisfy { $0["error"]?.string?.contains("cannot be handed on") == true })
    }

    @Test func `a source that does not take its results is owed so many bytes of them and no more, and nobody waits for it`() async throws {
        let test = try await start()
        let text = "\"" + String(repeating: "x", count: 900_000) + "\""
        let sink = try await test.plugin("sink", "beat") { _ in .done(text) }
        let endpoint = try await source(test, emits: (0..<40).map { _ in emit("beat") }, concurrency: 1) { _ in nil }
        clock.advance(by: .seconds(3_600))
        #expect(sink.deliveries.count == 40)
        // The one that runs counts.
        #expect(try await owed(test) == 18)
        #expect(try await test.statistics(of: "p.beat").shed == 22)
        for left in (0..<18).reversed() {
            try await test.onOwner { endpoint.settle([Outcome(delivery: endpoint.running[0].id, .done(nil))]) }
            #expect(try await owed(test) == left)
        }
        clock.advance(by: .seconds(3_600))
        #expect(try await owed(test) == 18)
    }

    @Test func `what an ephemeral or a delayed event, or a batch, was answered comes back, too`() async throws {
        var configuration = BusConfiguration()
        configuration.ephemeral = [try EventPattern("raw")]
        let test = try await start(configuration)
        try await test.plugin("raw", "raw") { _ in .done("1") }
        try await test.plugin("late", "late") { _ in .done("2") }
        try await test.plugin("batch", "part", policy: .init(batch: .init(count: 2, within: .seconds(1)))) { _ in .done("3") }
        let effects = [emit("raw"), emit("late", nil, EmitOptions(delay: .seconds(60))), emit("part"), emit("part")]
        let endpoint = try await source(test, emits: effects) { _ in .done(nil) }
        clock.advance(by: .seconds(3_700))
        #expect(results(endpoint).compactMap { $0["result"]?.integer }.sorted() == [1, 2, 3, 3])
    }

    @Test func `a dead letter that is retried tells its source once more, and what the source makes of both is there`() async throws {
        let test = try await start()
        let sink = try await test.plugin("sink", "beat", policy: .init(retry: .init(attempts: 1))) { _ in nil }
        let heard = try await test.plugin("heard", "heard")
        let endpoint = try await source(test) { _ in nil }
        clock.advance(by: .seconds(3_600))
        try await test.onOwner { sink.settle([Outcome(delivery: sink.running[0].id, .failed(Fault(.error, "boom")))]) }
        let letter = try #require(try await test.bus.deadLetters().first)
        try await test.bus.retry(deadLetter: letter.id)
        test.catchUp()
        // The first result is still under way.
        try await test.onOwner { sink.settle([Outcome(delivery: sink.running[0].id, .done(nil))]) }
        #expect(results(endpoint).map { $0["status"]?.string } == ["dead", "done"])
        let running = endpoint.running
        try await test.onOwner { endpoint.settle(running.map { Outcome(delivery: $0.id, .done(nil), effects: [emit("heard")]) }) }
        #expect(heard.deliveries.count == 2)
    }

    @Test func `results that are owed when the source stops taking them go nowhere else`() async throws {
        let test = try await start()
        try await test.plugin("sink", "beat") { _ in .done("1") }
        let before = try await source(test, emits: [emit("beat"), emit("beat")], concurrency: 1) { _ in nil }
        clock.advance(by: .seconds(3_600))
        #expect(try await owed(test) == 2)
        let after = TestEndpoint(test.bus) { _ in .done(nil) }
        let spec = SubscriptionSpec(name: "p.beat", plugin: "p", trigger: .every(.seconds(3_600)), handler: 1, missed: .skip)
        try await test.replace("p", [spec], by: after)
        test.catchUp()
        #expect(after.deliveries.isEmpty)
        #expect(try await owed(test) == 1)
        try await test.onOwner { before.settle([Outcome(delivery: before.running[0].id, .done(nil))]) }
        #expect(try await owed(test) == 0)
    }

    @Test func `the sources of one plugin share what they may be owed, and a new one begins with nothing`() async throws {
        let test = try await start()
        let text = "\"" + String(repeating: "x", count: 900_000) + "\""
        try await test.plugin("sink", "beat") { _ in .done(text) }
        let endpoint = TestEndpoint(test.bus) { $0.handler == 1 ? .done(nil, (0..<12).map { _ in emit("beat") }) : nil }
        let specs = ["p.one", "p.two"].map {
            SubscriptionSpec(name: $0, plugin: "p", trigger: .every(.seconds(3_600)), handler: 1, resultHandler: 2, missed: .skip)
        }
        try await test.replace("p", specs, by: endpoint)
        clock.advance(by: .seconds(3_600))
        #expect(results(endpoint).count == 18)
        try await test.onOwner { test.bus.remove(plugin: "p") }
        let running = endpoint.running
        try await test.onOwner { endpoint.settle(running.map { Outcome(delivery: $0.id, .done(nil)) }) }
        try await test.replace("p", specs, by: endpoint)
        clock.advance(by: .seconds(3_600))
        #expect(results(endpoint).count == 36)
    }

    @Test(arguments: [0, 1]) func `a result that is committed while its source is claimed reaches it once`(refusals: Int) async throws {
        let slow = DeferredJournal(clock: clock)
        // The journal knows the source from an earlier bus.
        let first = try await TestBus(journal: slow, clock: clock)
        try await slow.answering(first) { [self] in _ = try await source(first) { _ in .done(nil) } }
        try await slow.answering(first) { await first.bus.stop() }

        let test = try await TestBus(journal: slow, clock: clock)
        let sink = try await slow.answering(test) { try await test.plugin("sink", "beat") { _ in nil } }
        let reply = try JSON(#"{"replyto":"p.beat"}"#)
        _ = try await slow.answering(test) { try await test.bus.emit(Event(type: EventType("beat"), extensions: reply)) }
        slow.refuseClaims(refusals)
        let endpoint = try await source(test) { _ in .done(nil) }
        // Both calls are under way now: the claim first, then the commit.
        try await test.onOwner { sink.settle([Outcome(delivery: sink.running[0].id, .done(nil))]) }
        for _ in 0..<4 {
            slow.answer()
            test.catchUp()
            clock.advance(by: .seconds(1))
        }
        #expect(results(endpoint).map { $0["status"]?.string } == ["done"])
    }
}
