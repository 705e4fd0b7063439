import NIOCore
import Synchronization

/// The way back from other threads to the event-loop thread.
///
/// Answers that come while the event loop is busy travel together: one wake-up for all of them, and one write for
/// each connection.
final class Answers: Sendable {
    /// What to do on the event-loop thread with one exchange.
    typealias Answer = @Sendable (Exchange) -> Void

    private let eventLoop: any EventLoop
    private let waiting = Mutex<[(Exchange, Answer)]>([])

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Runs `answer` on the event-loop thread, in order; callable from any thread.
    func post(_ exchange: Exchange, _ answer: @escaping Answer) {
        let isFirst = waiting.withLock { waiting in
            waiting.append((exchange, answer))
            return waiting.count == 1
        }
        // Who put the first one in wakes the event loop; the others ride along.
        if isFirst { eventLoop.execute { self.drain() } }
    }

    private func drain() {
        var batch: [(Exchange, Answer)] = []
        waiting.withLock { waiting in
            batch.reserveCapacity(waiting.count)
            swap(&batch, &waiting)
        }
        for (exchange, answer) in batch { answer(exchange) }
        for (exchange, _) in batch { exchange.connection?.sendReady() }
    }
}
