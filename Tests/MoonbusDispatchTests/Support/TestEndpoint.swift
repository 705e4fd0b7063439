import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import Synchronization

/// An endpoint that answers as the test says: at once, or when it is told to.
final class TestEndpoint: HandlerEndpoint, Sendable {
    /// What a handler does with a delivery; nil: it goes on running until `settle` is called.
    typealias Answer = @Sendable (Delivery) -> Reply?

    /// How a run ends.
    struct Reply: Sendable {
        var verdict: Outcome.Verdict
        var effects: [Effect] = []

        static func done(_ json: String?, _ effects: [Effect] = []) -> Reply {
            Reply(verdict: .done(json.map { JSON(trusted: Array($0.utf8)) }), effects: effects)
        }

        static func failed(_ message: String) -> Reply { Reply(verdict: .failed(Fault(.error, message))) }
    }

    private struct State {
        var deliveries: [Delivery] = []
        var running: [UInt64: Delivery] = [:]
        var cancelled: [UInt64: String] = [:]
        var batches: [Int] = []
    }

    private let bus: EventBus
    private let roomMax: Int
    private let answer: Answer
    private let state = Mutex(State())

    init(_ bus: EventBus, room: Int = .max, _ answer: @escaping Answer) {
        self.bus = bus
        roomMax = room
        self.answer = answer
    }

    var room: Int { roomMax - state.withLock { $0.running.count } }

    func deliver(_ deliveries: [Delivery]) {
        state.withLock { state in
            state.batches.append(deliveries.count)
            state.deliveries += deliveries
            for delivery in deliveries { state.running[delivery.id] = delivery }
        }
        let outcomes = deliveries.compactMap { delivery in
            answer(delivery).map { Outcome(delivery: delivery.id, $0.verdict, effects: $0.effects) }
        }
        settle(outcomes)
    }

    func cancel(_ delivery: UInt64, reason: String) {
        state.withLock { $0.cancelled[delivery] = reason }
        settle([Outcome(delivery: delivery, .failed(Fault(.timeout, reason)))])
    }

    /// Ends runs; on the owner thread.
    func settle(_ outcomes: [Outcome]) {
        guard !outcomes.isEmpty else { return }
        state.withLock { state in outcomes.forEach { state.running[$0.delivery] = nil } }
        bus.settle(outcomes)
    }

    /// Every delivery so far, in order.
    var deliveries: [Delivery] { state.withLock { $0.deliveries } }
    /// The ids of their events.
    var ids: [String] { deliveries.map(\.event.id) }
    /// How many came together.
    var batches: [Int] { state.withLock { $0.batches } }
    /// Those that run, in order.
    var running: [Delivery] { state.withLock { state in state.deliveries.filter { state.running[$0.id] != nil } } }
    /// Why runs were ended early.
    var cancelReasons: [String] { state.withLock { Array($0.cancelled.values) } }

    /// Forgets what runs, as a lane that died.
    func lose() {
        state.withLock { $0.running = [:] }
    }
}
