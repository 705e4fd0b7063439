import Logging
import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

/// A bus on a clock that the test moves, with an in-memory journal and retry waits without chance.
struct TestBus {
    let clock: ManualClock
    let journal: any Journal
    let bus: EventBus

    init(
        journal: (any Journal)? = nil, clock: ManualClock = ManualClock(), configuration: BusConfiguration = .init(),
        log: LogRecorder? = nil
    ) async throws {
        self.clock = clock
        self.journal = journal ?? InMemoryJournal(limits: .init(), clock: clock)
        var logger = log?.logger ?? Logger(label: "test")
        if log == nil { logger.logLevel = .critical }
        let bus = EventBus(
            journal: self.journal, configuration: configuration, logger: logger, clock: clock, jitter: Jitter { $0 })
        self.bus = bus
        try await bus.start()
        clock.drive(next: { bus.owner.nextDeadline() }, run: { bus.owner.catchUp() })
    }

    /// Declares a plugin's subscriptions, served by `endpoint`.
    func replace(_ plugin: String, _ specs: [SubscriptionSpec], by endpoint: TestEndpoint) async throws {
        let bus = bus
        let error = await bus.owner.perform { () -> SubscribeError? in
            do throws(SubscribeError) {
                try bus.replace(plugin: plugin, specs: specs, endpoint: endpoint)
                return nil
            } catch { return error }
        }
        if let error = error.flatMap({ $0 }) { throw error }
    }

    /// Adds a plugin with one subscription, and its endpoint.
    @discardableResult
    func plugin(
        _ name: String = "p", _ pattern: String = ">", policy: SubscriptionPolicy = .init(), room: Int = .max, stateSizeMax: Int? = nil,
        _ answer: @escaping TestEndpoint.Answer = { _ in .done(nil) }
    ) async throws -> TestEndpoint {
        let endpoint = TestEndpoint(bus, room: room, answer)
        var spec = try spec(name, pattern, policy: policy)
        spec.stateSizeMax = stateSizeMax
        try await replace(name, [spec], by: endpoint)
        return endpoint
    }

    func spec(_ plugin: String, _ pattern: String, name: String? = nil, policy: SubscriptionPolicy = .init()) throws -> SubscriptionSpec {
        SubscriptionSpec(
            name: name ?? "\(plugin).main", plugin: plugin, trigger: .events(try EventPattern(pattern), nil), handler: 1, policy: policy)
    }

    /// Runs `body` on the owner thread, and everything that follows from it.
    @discardableResult
    func onOwner<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws -> Value {
        let value = await bus.owner.perform(body)
        catchUp()
        return try #require(value)
    }

    /// Waits for everything that has been posted to have run.
    func catchUp() {
        bus.owner.catchUp()
    }

    /// Ends the bus although deliveries run: as after a crash, nothing of them is settled.
    func crash() async throws {
        let stopping = Task { await bus.stop(within: .zero) }
        while bus.owner.nextDeadline() == nil, !stopping.isCancelled, await bus.owner.perform({ true }) != nil {
            clock.advance(by: .zero)
            await Task.yield()
        }
        clock.advance(by: .zero)
        await stopping.value
    }

    func statistics(of subscription: String) async throws -> BusStatistics.Subscription {
        try #require(await bus.statistics().subscriptions.first { $0.name == subscription })
    }
}

func event(_ type: String, id: String? = nil, key: String? = nil, data: String? = nil, hops: Int = 0) throws -> Event {
    try Event(type: EventType(type), data: data.map { try JSON($0) }, id: id, key: key, hops: hops)
}
