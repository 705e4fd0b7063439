internal import MoonbusEvents
internal import MoonbusJournal

/// Effects that wait for room. State of the owner thread.
///
/// Empty once they have found it, or nobody wants them any more: what refers to it in a full queue may stay there for long.
final class ParkedEffects {
    /// Bytes that effects which wait take beside their own.
    static let overhead = 1_024

    private(set) var staged: Staged?
    private var detail: SettlingBatch.Detail?
    let size: Int
    /// Ends the wait.
    var patience: OwnerTimer?

    init(_ staged: Staged, _ detail: SettlingBatch.Detail) {
        self.staged = staged
        self.detail = detail
        size = Self.overhead + staged.size
    }

    /// Takes them out; nil: they were before.
    func take() -> (Staged, SettlingBatch.Detail)? {
        guard let staged, let detail else { return nil }
        self.staged = nil
        self.detail = nil
        patience = nil
        return (staged, detail)
    }
}

extension Staged {
    /// Bytes of what it would commit.
    var size: Int {
        var size = events.reduce(0) { $0 + $1.recordSize } + commit.delayed.reduce(0) { $0 + $1.event.recordSize }
        for write in commit.state?.writes ?? [] { size += write.key.utf8.count + (write.value?.byteCount ?? 0) }
        return size + (commit.cursor?.byteCount ?? 0)
    }
}
