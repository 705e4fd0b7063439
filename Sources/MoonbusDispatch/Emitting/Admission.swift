internal import MoonbusEvents

/// A batch between its arrival and the journal's answer. Confined to the owner thread.
///
/// `@unchecked Sendable`: it travels through the journal's completion, back to the owner thread.
final class Admission: @unchecked Sendable {
    let submission: Submission
    /// Who is owed what, by event; each has a place reserved for it while the journal records.
    var matches = ContiguousArray<Router.Match>()
    /// The router's generation that `matches` are from; nil: nothing was matched yet.
    var generation: UInt64?
    /// How many places it needs in the queue that it waits for.
    var share = 0
    /// Ends the wait for room.
    var timer: OwnerTimer?
    /// True once the emitter was answered: a timeout came first.
    var isOver = false

    init(_ submission: Submission) {
        self.submission = submission
    }
}

/// Something that waits for room in a queue: a batch, or a handler's effects. Confined to the owner thread.
final class RoomSeeker {
    /// Tries again.
    ///
    /// - Returns: false if it still has to wait for the same queue; true if it is done with it, for good or for another one.
    let attempt: (SubscriptionQueue) -> Bool
    /// Gives up: the bus stops, or the queue is gone.
    let giveUp: () -> Void

    init(attempt: @escaping (SubscriptionQueue) -> Bool, giveUp: @escaping () -> Void) {
        self.attempt = attempt
        self.giveUp = giveUp
    }
}
