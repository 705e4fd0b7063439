internal import Synchronization

/// Notes in which order things happened, whatever thread they happened on.
final class Order: Sendable {
    private struct State {
        var noted: [Int] = []
        var expected = 0
        var complete: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// What was noted so far.
    var noted: [Int] { state.withLock { $0.noted } }

    /// Calls `complete` once, when so many have been noted.
    func start(expecting count: Int, _ complete: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.expected = count
            state.complete = complete
        }
    }

    func note(_ index: Int) {
        let complete = state.withLock { state -> (@Sendable () -> Void)? in
            state.noted.append(index)
            guard state.noted.count == state.expected else { return nil }
            defer { state.complete = nil }
            return state.complete
        }
        complete?()
    }
}
