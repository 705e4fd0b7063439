internal import Dispatch
internal import Synchronization

/// Calls that wait for the writer thread, in the order in which they came.
///
/// Posting wakes the thread only when it sleeps and has what it sleeps for: a busy journal makes no system call for its mailbox.
final class Mailbox: Sendable {
    private struct State {
        var calls: [Call] = []
        /// The thread sleeps until so many calls are there; nil: it is awake.
        var sleepsFor: Int?
        var isClosed = false
    }

    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)

    var hasCalls: Bool { state.withLock { !$0.calls.isEmpty } }

    /// - Returns: false if the mailbox is closed: the call was not taken.
    func post(_ call: Call) -> Bool {
        let (isOpen, mustWake) = state.withLock { state in
            if state.isClosed { return (false, false) }
            state.calls.append(call)
            guard let count = state.sleepsFor, state.calls.count >= count else { return (true, false) }
            state.sleepsFor = nil
            return (true, true)
        }
        if mustWake { wake.signal() }
        return isOpen
    }

    /// Takes no more calls; those that are there are still given out.
    func close() {
        let mustWake = state.withLock { state in
            state.isClosed = true
            defer { state.sleepsFor = nil }
            return state.sleepsFor != nil
        }
        if mustWake { wake.signal() }
    }

    /// Moves all calls to the end of `calls`, once there are `count`, the time is over, or the mailbox is closed.
    ///
    /// - Parameter time: how long to wait; nil: for ever.
    /// - Returns: true if the mailbox is closed.
    func take(_ count: Int, within time: Duration?, into calls: inout [Call]) -> Bool {
        let isEnough = state.withLock { state in
            if state.isClosed || state.calls.count >= count { return true }
            state.sleepsFor = count
            return false
        }
        if !isEnough { sleep(time) }
        return state.withLock { state in
            if calls.isEmpty {
                // Both arrays keep their memory.
                swap(&calls, &state.calls)
            } else {
                calls += state.calls
                state.calls.removeAll(keepingCapacity: true)
            }
            return state.isClosed
        }
    }

    private func sleep(_ time: Duration?) {
        guard let time else { return wake.wait() }
        let (seconds, attoseconds) = time.components
        let nanoseconds = Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000)
        guard wake.wait(timeout: .now() + .nanoseconds(nanoseconds)) == .timedOut else { return }
        let wasWoken = state.withLock { state in
            defer { state.sleepsFor = nil }
            return state.sleepsFor == nil
        }
        // Somebody has signalled just now: that signal is for this sleep and must not end the next one.
        if wasWoken { wake.wait() }
    }
}
