/// Whether the writer waits for calls that are about to come.
///
/// Publishers that were answered together come back together, and half a group costs as much to sync as a whole one: so the writer waits for as
/// many calls as the last group had. But who comes back slowly, over a socket say, is better committed as it comes: while one part is
/// synced, the others get ready. How slow they are shows in the wait itself: one that ran out is not repeated for a while.
struct Gathering {
    /// A commit that takes longer than this says nothing about how long to wait.
    private static let limit = Duration.milliseconds(2)
    /// Groups that are committed as they come after a wait that ran out.
    private static let skipCount = 64

    private var lastCount = 1
    private var lastTime = Duration.zero
    private var skips = 0

    /// What to wait for, when there are `count` calls: so many more, for so long; nil: not at all.
    mutating func wait(having count: Int) -> (count: Int, limit: Duration)? {
        guard lastCount > 1, count < lastCount else { return nil }
        guard skips == 0 else {
            skips -= 1
            return nil
        }
        return (lastCount - count, min(lastTime / 2, Self.limit))
    }

    /// Notes how a wait has ended.
    mutating func waited(isComplete: Bool) {
        if !isComplete { skips = Self.skipCount }
    }

    /// Notes the group that was committed, and the time that it took.
    mutating func committed(_ count: Int, in time: Duration) {
        (lastCount, lastTime) = (count, time)
    }
}
