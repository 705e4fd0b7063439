/// What becomes of a clock's ticks whose time passed while nobody could run them: the service was down, or an earlier tick still ran.
package enum MissedTicks: String, Sendable, Hashable, CaseIterable {
    /// After a restart, ticks that were missed are left out; the next one comes at its time.
    case skip
    /// After a restart, one tick stands for all that were missed: the earliest, which says when it was `scheduled`.
    case once
    /// Each tick comes, one after the other, also those that passed while an earlier one ran. At most ``makeUpMax`` in a row.
    case all

    /// How many ticks are made up for before the rest of those that were missed is left out, which is logged.
    package static let makeUpMax = 1_000
}
