import Dispatch
import Synchronization

/// What a service has to say, on its way to a descriptor: written by a queue of its own, so that a reader that stands still holds up nobody.
///
/// Bounded: what comes while ``sizeMax`` bytes wait is left out, and in its place comes a line that says how many lines that were.
final class Outlet: Sendable {
    /// Bytes that wait at most, beside those that are being written; a longer line waits alone.
    static let sizeMax = 1 << 20

    private struct State {
        var waiting = ""
        var skipped = 0
        var isWriting = false
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "moonbus.output")
    private let write: @Sendable (String) -> Void
    private let note: @Sendable (_ skipped: Int) -> String

    /// - Parameters:
    ///   - note: the line that stands for so many that were left out, without its end.
    ///   - write: writes all of a text; may block for ever.
    init(note: @escaping @Sendable (_ skipped: Int) -> String, write: @escaping @Sendable (String) -> Void) {
        self.note = note
        self.write = write
    }

    /// Takes whole lines. Never blocks.
    func put(_ lines: String) {
        let mustStart = state.withLock { state in
            // Behind a gap nothing is taken before the gap is told: lines stay in order.
            let isFull = !state.waiting.isEmpty && state.waiting.utf8.count + lines.utf8.count > Self.sizeMax
            if state.skipped > 0 || isFull {
                state.skipped += lines.utf8.count { $0 == 0x0A }
            } else {
                state.waiting += lines
            }
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if mustStart { queue.async { self.writeAll() } }
    }

    private func writeAll() {
        while let lines = take() { write(lines) }
    }

    private func take() -> String? {
        let (lines, skipped) = state.withLock { state in
            defer { (state.waiting, state.skipped) = ("", 0) }
            if state.waiting.isEmpty, state.skipped == 0 { state.isWriting = false }
            return (state.waiting, state.skipped)
        }
        if skipped > 0 { return lines + note(skipped) + "\n" }
        return lines.isEmpty ? nil : lines
    }

    /// Waits until everything is written, at most so long.
    func drain(within limit: DispatchTimeInterval) {
        let isOver = DispatchSemaphore(value: 0)
        queue.async { isOver.signal() }
        _ = isOver.wait(timeout: .now() + limit)
    }
}
