import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

/// The clock starts at 2026-01-01T00:00:00Z.
@Suite struct MissedTickTests {
    private let clock = ManualClock()
    private let journal: InMemoryJournal

    init() {
        journal = InMemoryJournal(limits: .init(), clock: clock)
    }

    private func spec(
        _ trigger: SubscriptionSpec.Trigger, missed: MissedTicks = .once, attempts: Int = 3, resultHandler: Int32? = nil
    ) -> SubscriptionSpec {
        SubscriptionSpec(
            name: "p.tick", plugin: "p", trigger: trigger, handler: 1, resultHandler: resultHandler,
            policy: .init(retry: .init(attempts: attempts, backoff: .seconds(60), backoffMax: .seconds(60)), timeout: .seconds(86_400)),
            missed: missed)
    }

    /// Starts a bus on the journal and serves the subscription until `time` has passed.
    @discardableResult
    private func run(
        _ spec: SubscriptionSpec, for time: Duration, _ answer: @escaping TestEndpoint.Answer = { _ in .done(nil) }
    ) async throws -> TestEndpoint {
        let test = try await TestBus(journal: journal, clock: clock)
        let endpoint = TestEndpoint(test.bus, answer)
        try await test.replace("p", [spec], by: endpoint)
        clock.advance(by: time)
        await test.bus.stop()
        return endpoint
    }

    private func scheduled(_ endpoint: TestEndpoint) -> [String] {
        endpoint.deliveries.map { $0.event.data?.value["scheduled"]?.string?.dropFirst(11).prefix(8).description ?? "" }
    }

    @Test(arguments: [
        (MissedTicks.skip, ["04:00:00"]), (.once, ["02:00:00", "04:00:00"]), (.all, ["02:00:00", "03:00:00", "04:00:00"]),
    ])
    func `ticks of an interval that were missed come as its policy says`(missed: MissedTicks, expected: [String]) async throws {
        let hourly = spec(.every(.seconds(3_600)), missed: missed)
        try await run(hourly, for: .seconds(3_601))
        clock.jump(to: clock.now() + .seconds(2 * 3_600))
        #expect(scheduled(try await run(hourly, for: .seconds(3_600))) == expected)
    }

    @Test(arguments: [
        (MissedTicks.skip, ["04:30:00"]), (.once, ["02:30:00", "04:30:00"]), (.all, ["02:30:00", "03:30:00", "04:30:00"]),
    ])
    func `times of a schedule that were missed come as its policy says`(missed: MissedTicks, expected: [String]) async throws {
        let hourly = spec(.cron(try CronSchedule("30 * * * *")), missed: missed)
        try await run(hourly, for: .seconds(2 * 3_600))
        clock.jump(to: clock.now() + .seconds(2 * 3_600))
        #expect(scheduled(try await run(hourly, for: .seconds(3_600))) == expected)
    }

    @Test func `at most a thousand ticks are made up for, then the rest is left out`() async throws {
        let quick = spec(.every(.seconds(1)), missed: .all)
        try await run(quick, for: .milliseconds(500))
        clock.jump(to: clock.now() + .seconds(5_000))
        let endpoint = try await run(quick, for: .milliseconds(100))
        #expect(endpoint.deliveries.count == MissedTicks.makeUpMax + 1)
        #expect(Set(endpoint.ids).count == MissedTicks.makeUpMax + 1)
    }

    @Test func `a tick that failed comes again after a restart, with its id and its failures, whatever the policy says`() async throws {
        let hourly = spec(.every(.seconds(3_600)), missed: .skip)
        let before = try await run(hourly, for: .seconds(3_601)) { _ in .failed("boom") }
        #expect(before.deliveries.map(\.attempt) == [1])
        let after = try await run(hourly, for: .seconds(58)) { _ in .failed("boom again") }
        #expect(after.deliveries.isEmpty)
        let last = try await run(hourly, for: .seconds(3_600))
        #expect(last.deliveries.map(\.attempt) == [2, 1])
        #expect(last.ids.first == before.ids.first)
        #expect(scheduled(last) == ["01:00:00", "02:00:00"])
    }

    @Test func `a result that failed comes again after a restart`() async throws {
        let source = spec(.every(.seconds(3_600)), resultHandler: 2)
        let first = try await TestBus(journal: journal, clock: clock)
        try await first.plugin("sink", "beat") { _ in .done(#"{"seen":1}"#) }
        let before = TestEndpoint(first.bus) { $0.handler == 1 ? .done(nil, [emit("beat")]) : .failed("boom") }
        try await first.replace("p", [source], by: before)
        clock.advance(by: .seconds(3_601))
        #expect(before.deliveries.map(\.handler) == [1, 2])
        await first.bus.stop()

        let after = try await run(source, for: .seconds(120))
        #expect(after.deliveries.map(\.handler) == [2])
        #expect(after.deliveries.map(\.attempt) == [2])
        #expect(after.ids == [before.ids[1]])
        #expect(try await run(source, for: .seconds(120)).deliveries.isEmpty)
    }

    @Test func `a dead tick that is retried does not disturb the present one`() async throws {
        let test = try await TestBus(journal: journal, clock: clock)
        let endpoint = TestEndpoint(test.bus) { $0.event.id.hasSuffix("@1767229200000000") ? .failed("boom") : nil }
        try await test.replace("p", [spec(.every(.seconds(3_600)), attempts: 1)], by: endpoint)
        clock.advance(by: .seconds(7_201))
        #expect(endpoint.running.count == 1)
        let letter = try #require(try await test.bus.deadLetters().first)
        try await test.bus.retry(deadLetter: letter.id)
        clock.advance(by: .seconds(7_200))
        #expect(endpoint.deliveries.count == 3)
        #expect(endpoint.running.count == 1)
    }

    @Test func `a wall clock that is set back does not hold up an interval`() async throws {
        let test = try await TestBus(journal: journal, clock: clock)
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [spec(.every(.seconds(60)), missed: .all)], by: endpoint)
        clock.advance(by: .seconds(30))
        clock.jump(to: clock.now() - .seconds(6 * 3_600))
        clock.advance(by: .seconds(300))
        #expect(endpoint.deliveries.count == 5)
        clock.jump(to: clock.now() + .seconds(12 * 3_600))
        clock.advance(by: .seconds(300))
        #expect(endpoint.deliveries.count == 10)
    }

    @Test func `a wall clock that was wrong by more than three hours fires nothing, a smaller correction one tick`() async throws {
        let test = try await TestBus(journal: journal, clock: clock)
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [spec(.cron(try CronSchedule("*/10 * * * *")), missed: .all)], by: endpoint)
        clock.advance(by: .seconds(60))
        clock.jump(to: clock.now() + .seconds(400 * 86_400))
        clock.advance(by: .seconds(120))
        #expect(endpoint.deliveries.isEmpty)
        clock.jump(to: clock.now() + .seconds(3_600))
        clock.advance(by: .seconds(120))
        #expect(endpoint.deliveries.count == 1)
        clock.jump(to: clock.now() - .seconds(400 * 86_400))
        clock.advance(by: .seconds(720))
        #expect(endpoint.deliveries.count == 2)
    }
}
