internal import MoonbusEvents
internal import MoonbusJournal
internal import Synchronization

/// Runs the deliveries of one Swift handler, each in a task of the shared pool.
///
/// `@unchecked Sendable`: its variables are confined to the owner thread; what tasks hand back goes through `finished`.
final class TaskEndpoint: HandlerEndpoint, @unchecked Sendable {
    private let bus: EventBus
    private let plugin: String
    private let limit: Int
    private let handler: @Sendable (Event, HandlerContext) async throws -> JSON?
    /// Runs that have not ended, by delivery; nil stands for one that was given up on but still holds its place.
    private var running: [UInt64: Task<Void, Never>] = [:]
    /// Outcomes on their way to the owner thread: one wake-up for all that end close together.
    private let finished = Mutex<[Outcome]>([])

    init(bus: EventBus, plugin: String, limit: Int, handler: @escaping @Sendable (Event, HandlerContext) async throws -> JSON?) {
        self.bus = bus
        self.plugin = plugin
        self.limit = limit
        self.handler = handler
    }

    var room: Int { limit - running.count }

    func deliver(_ deliveries: [Delivery]) {
        for delivery in deliveries {
            running[delivery.id] = Task { [handler, bus, plugin] in
                let context = HandlerContext(bus: bus, plugin: plugin, delivery: delivery)
                self.finish(await Self.outcome(of: delivery, context, handler))
            }
        }
    }

    /// Settles at once: a handler that doesn't heed the cancellation must not hold up its key. What it staged is dropped; its place
    /// is free when it ends.
    func cancel(_ delivery: UInt64, reason: String) {
        guard let task = running[delivery] else { return }
        task.cancel()
        bus.settle([Outcome(delivery: delivery, .failed(Fault(.timeout, "the handler \(reason)")))])
    }

    private static func outcome(
        of delivery: Delivery, _ context: HandlerContext, _ handler: @Sendable (Event, HandlerContext) async throws -> JSON?
    ) async -> Outcome {
        do {
            let result = try await handler(delivery.event, context)
            return Outcome(delivery: delivery.id, .done(result), effects: context.takeEffects())
        } catch let verdict as HandlerVerdict {
            switch verdict {
            case .reject(let reason): return Outcome(delivery: delivery.id, .rejected(reason))
            case .retry(let delay): return Outcome(delivery: delivery.id, .retry(delay))
            }
        } catch {
            return Outcome(delivery: delivery.id, .failed(Fault(.error, "\(error)")))
        }
    }

    private func finish(_ outcome: Outcome) {
        let isFirst = finished.withLock { finished in
            finished.append(outcome)
            return finished.count == 1
        }
        if isFirst { bus.owner.post { self.flush() } }
    }

    private func flush() {
        let outcomes = finished.withLock { finished in
            defer { finished.removeAll() }
            return finished
        }
        for outcome in outcomes { running[outcome.delivery] = nil }
        bus.settle(outcomes)
        bus.endpointHasRoom(self)
    }
}
