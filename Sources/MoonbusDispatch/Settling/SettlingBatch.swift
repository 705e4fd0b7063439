internal import MoonbusEvents
internal import MoonbusJournal

/// Outcomes between their arrival and the journal's answer. Confined to the owner thread.
///
/// `@unchecked Sendable`: it travels through the journal's completion, back to the owner thread.
final class SettlingBatch: @unchecked Sendable {
    /// What is done with a delivery once its settlement is committed.
    enum Kind: UInt8 {
        /// It has ended well.
        case done
        /// It was skipped by a policy.
        case shed
        /// It goes on running.
        case checkpoint
        /// It is tried again later.
        case retry
        /// It has ended badly.
        case dead
    }

    /// What only some outcomes have.
    final class Detail {
        var result: JSON?
        var fault: Fault?
        /// The wait before the next attempt.
        var delay: Duration = .zero
        var staged: Staged?
        /// Of a checkpoint: where it is counted.
        var committing: OpenCheckpoints.Committing?
        /// What sources are owed of it.
        var results: [Dispatcher.PendingResult] = []
    }

    struct Ending {
        var slot: UInt32
        var kind: Kind
        var detail: Detail?
    }

    var settlements: [Settlement] = []
    var endings = ContiguousArray<Ending>()
    var isAnswered = false

    /// Adds many at once: one access to each array for all of them. `body` must not use the batch itself.
    @inline(__always)
    func fill(_ count: Int, _ body: (inout [Settlement], inout ContiguousArray<Ending>) -> Void) {
        settlements.reserveCapacity(count)
        endings.reserveCapacity(count)
        body(&settlements, &endings)
    }

    func clear() {
        settlements.removeAll(keepingCapacity: true)
        endings.removeAll(keepingCapacity: true)
        isAnswered = false
    }
}
