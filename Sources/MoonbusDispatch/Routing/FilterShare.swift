internal import MoonbusEvents

/// The work that the filters of one plugin may do in a turn of the owner thread. Confined to that thread.
///
/// Everybody's events wait while filters are tested. The turn is what is bounded, not only the event: a handler may emit nine hundred events
/// at once, and each may be dear. Events come with steps of their own, so that many cheap ones in a turn never meet the bound.
///
/// A share that follows the clock was refused: under load, when testing is what keeps the bus from drowning, it would stop to test.
final class FilterShare {
    /// Steps at the start of a turn, and the most there may be: up to 40 ms.
    static let stepsMax = 1_000_000
    /// Steps that each event adds, at most up to ``stepsMax``.
    static let stepsOfEvent = 1_000

    private var budget = FilterBudget(stepsMax)
    private var moment = FilterMoment()

    /// Whether a filter takes an event.
    ///
    /// - Returns: nil when the turn's steps are not enough to tell.
    func matches(_ filter: Filter, _ event: Event, at moment: FilterMoment) -> Bool? {
        if moment != self.moment {
            if moment.turn != self.moment.turn {
                budget = FilterBudget(Self.stepsMax)
            } else {
                budget.add(Self.stepsOfEvent, most: Self.stepsMax)
            }
            self.moment = moment
        }
        return filter.matches(event, within: &budget)
    }

    /// True while nothing has been taken of the turn's steps: what can't be told with all of them can't be told later either.
    func isWhole(at moment: FilterMoment) -> Bool {
        moment.turn != self.moment.turn || budget.left == Self.stepsMax
    }
}

/// When a filter is tested: in which turn, and for which event of all that were ever tested.
struct FilterMoment: Equatable {
    var turn: UInt64 = 0
    var event: UInt64 = 0
}
