import Moonbus
import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins

/// A bus with a plugin host for one workload.
struct BenchHost {
    /// How handlers run.
    enum LaneKind: String, CaseIterable {
        case process
        case thread
        /// Handlers in Swift: the bus without Lua.
        case swift

        var text: String { self == .swift ? "Swift handler" : "\(rawValue) lane" }
    }

    let bus: EventBus
    let plugins: PluginHost

    /// Runs `body` with a host and stops it afterwards.
    static func run<Value>(_ kind: LaneKind, lanes: Int = 1, folder: String? = nil, _ body: (BenchHost) async throws -> Value) async throws
        -> Value
    {
        let bus = EventBus(journal: InMemoryJournal(), logger: .silent)
        try await bus.start()
        let place: PluginHostConfiguration.Lanes =
            kind == .process ? .processes(executable: try ownExecutable(), count: lanes) : .threads(count: lanes)
        let host = PluginHost(bus: bus, folder: folder, configuration: .init(lanes: place), logger: .silent)
        let outcome: Result<Value, any Error>
        do {
            try await host.start()
            outcome = .success(try await body(BenchHost(bus: bus, plugins: host)))
        } catch let error as PluginError {
            outcome = .failure(CommandError(.internal, error.render(color: false)))
        } catch {
            outcome = .failure(error)
        }
        await host.stop()
        await bus.stop()
        return try outcome.get()
    }

    /// Emits `count` events in batches and waits until `deliveriesEach` deliveries of each have settled.
    ///
    /// At most `window` events are under way: below the bound of a subscription's queue, so that nothing is refused.
    func flood(_ count: Int, window: Int = 8_192, deliveriesEach: Int = 1, _ event: (Int) -> Event) async throws {
        let batchCount = min(256, window)
        let before = await bus.statistics()
        var sent = 0
        var settled = 0
        let clock = ContinuousClock()
        var progress = clock.now
        while settled < count {
            while sent < count, sent - settled < window {
                let batch = (sent..<min(sent + batchCount, count)).map(event)
                sent += batch.count
                bus.submit(batch) { (result: Result<SubmittedCount, EmitError>) in
                    if case .failure(let error) = result { preconditionFailure("the workload stays within the bounds: \(error)") }
                }
            }
            let now = await bus.statistics(ofEach: false)
            guard now.dead == before.dead else { throw CommandError(.internal, "a delivery of the workload failed") }
            let settledNow = Int(now.settled - before.settled) / deliveriesEach
            if settledNow > settled { progress = clock.now }
            settled = settledNow
            guard clock.now - progress < Self.patience else { throw stalled(settled, of: count, await bus.statistics()) }
            // Two milliseconds: a few per cent of the window, and the asking costs nothing then.
            if settled < count, sent == count || sent - settled >= window { try await Task.sleep(for: .milliseconds(2)) }
        }
    }

    /// Without one more settled event for this long, a workload has stalled.
    private static let patience = Duration.seconds(10)

    private func stalled(_ settled: Int, of count: Int, _ now: BusStatistics) -> CommandError {
        let waiting = now.subscriptions.filter { $0.queued > 0 || $0.inFlight > 0 }
        let places = waiting.prefix(3).map { "\($0.name): \($0.queued) queued, \($0.inFlight) in flight" }.joined(separator: "; ")
        return CommandError(
            .internal,
            "the workload stalled: \(settled) of \(count) events settled, \(now.delivered) delivered, \(now.retried) retried; "
                + "\(waiting.count) subscriptions wait (\(places))")
    }

    /// Measures what `work` costs, lanes included.
    func measure(_ work: () async throws -> Void) async throws -> (wall: Double, cpu: Double) {
        let pids = CPUTime.lanePIDs()
        let clock = ContinuousClock()
        let (start, before) = (clock.now, CPUTime(lanePIDs: pids))
        try await work()
        let after = CPUTime(lanePIDs: pids)
        return ((clock.now - start) / .seconds(1), after.total - before.total)
    }

    /// Measures work and its floor in turns: what else goes on in the machine slows both alike.
    ///
    /// - Parameters:
    ///   - count: operations in all, a tenth of them in each turn.
    ///   - floor: does so many operations as the floor does them, and says the CPU seconds; negative when it can't.
    func measure(
        inRoundsOf count: Int, floor: (Int) -> Double, _ work: (Int) async throws -> Void
    ) async throws -> (wall: Double, cpu: Double, floor: Double) {
        let rounds = min(10, count)
        var total = (wall: 0.0, cpu: 0.0, floor: 0.0)
        for round in 0..<rounds {
            let share = count / rounds + (round < count % rounds ? 1 : 0)
            let floorCPU = floor(share)
            guard floorCPU > 0 else { throw CommandError(.internal, "the floor could not be measured") }
            let (wall, cpu) = try await measure { try await work(share) }
            total = (total.wall + wall, total.cpu + cpu, total.floor + floorCPU)
        }
        return total
    }
}
