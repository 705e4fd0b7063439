import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

/// What happens when an operator, or a time server, sets the wall clock while the bus runs: nothing fires, is skipped or comes in a heap.
///
/// The clock starts at 2026-01-01T00:00:00Z.
@Suite struct ClockJumpTests {
    private static let jumps = [Duration.seconds(3_600), .seconds(-3_600)]

    private func jump(_ test: TestBus, by duration: Duration) {
        test.clock.jump(to: test.clock.now() + duration)
        test.catchUp()
    }

    private func timer(_ trigger: SubscriptionSpec.Trigger) -> SubscriptionSpec {
        SubscriptionSpec(name: "p.tick", plugin: "p", trigger: trigger, handler: 1)
    }

    @Test(arguments: jumps) func `an interval keeps its rhythm`(jump: Duration) async throws {
        let test = try await TestBus()
        let recorder = TimelineRecorder(clock: test.clock)
        let endpoint = TestEndpoint(test.bus) { _ in
            recorder.note("t")
            return .done(nil)
        }
        try await test.replace("p", [timer(.every(.seconds(3)))], by: endpoint)
        test.clock.advance(by: .seconds(4))
        self.jump(test, by: jump)
        test.clock.advance(by: .seconds(9))
        #expect(endpoint.deliveries.count == 4)
        #expect(Set(endpoint.ids).count == 4)
    }

    @Test(arguments: jumps) func `a delayed event comes after the time that it waits`(jump: Duration) async throws {
        let test = try await TestBus()
        try await test.plugin("source", "in") { _ in .done(nil, [emit("out", nil, .init(delay: .seconds(60)))]) }
        let sink = try await test.plugin("sink", "out")
        try await test.bus.emit(event("in"), until: .settled)
        self.jump(test, by: jump)
        test.clock.advance(by: .seconds(59))
        #expect(sink.deliveries.isEmpty)
        test.clock.advance(by: .seconds(1))
        #expect(sink.deliveries.count == 1)
        test.clock.advance(by: .seconds(7_200))
        #expect(sink.deliveries.count == 1)
    }

    @Test(arguments: jumps) func `a retry comes after its wait, once`(jump: Duration) async throws {
        let test = try await TestBus()
        let policy = SubscriptionPolicy(retry: .init(attempts: 2, backoff: .seconds(60), backoffMax: .seconds(60)))
        let endpoint = try await test.plugin("p", "in", policy: policy) { $0.attempt == 1 ? .failed("not yet") : .done(nil) }
        try await test.bus.emit(event("in"))
        test.catchUp()
        self.jump(test, by: jump)
        test.clock.advance(by: .seconds(59))
        #expect(endpoint.deliveries.map(\.attempt) == [1])
        test.clock.advance(by: .seconds(1))
        #expect(endpoint.deliveries.map(\.attempt) == [1, 2])
        test.clock.advance(by: .seconds(7_200))
        #expect(endpoint.deliveries.count == 2)
    }

    @Test func `ticks of a schedule that a jump passes over come as one`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [timer(.cron(CronSchedule("*/5 * * * *")))], by: endpoint)
        test.clock.advance(by: .seconds(301))
        #expect(endpoint.deliveries.count == 1)
        jump(test, by: .seconds(3_600))
        test.clock.advance(by: .seconds(61))
        #expect(endpoint.deliveries.count == 2)
        test.clock.advance(by: .seconds(240))
        #expect(endpoint.deliveries.last?.event.data?.text == #"{"scheduled":"2026-01-01T01:10:00Z"}"#)
        #expect(endpoint.deliveries.count == 3)
    }

    @Test func `ticks of a schedule whose times come again after a jump back are not made twice`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [timer(.cron(CronSchedule("0 * * * *")))], by: endpoint)
        test.clock.advance(by: .seconds(2 * 3_600 + 10))
        #expect(endpoint.deliveries.count == 2)
        jump(test, by: .seconds(-3_600))
        test.clock.advance(by: .seconds(3_600))
        #expect(endpoint.deliveries.count == 2)
        test.clock.advance(by: .seconds(3_600))
        #expect(endpoint.deliveries.count == 3)
    }

    @Test func `a clock that was years ahead and is set right does not stop a schedule`() async throws {
        let test = try await TestBus()
        let right = test.clock.now()
        test.clock.jump(to: right + .seconds(4 * 365 * 86_400))
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [timer(.cron(CronSchedule("0 7 * * *")))], by: endpoint)
        test.clock.advance(by: .seconds(600))
        jump(test, by: .seconds(-4 * 365 * 86_400))
        test.clock.advance(by: .seconds(86_400))
        #expect(endpoint.deliveries.count == 1)
    }
}
