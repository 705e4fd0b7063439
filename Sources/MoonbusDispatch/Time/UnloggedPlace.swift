internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// Deliveries whose event is in no log. When they are owed again, the journal keeps them among the ``Stray``s of their subscription, so that
/// they survive a restart with their attempts; the stray's position is then one that no event has for that subscription.
///
/// | delivery | position of its stray |
/// |---|---|
/// | the tick of a clock, of which there is never more than one | 0 |
/// | a result for a source | 2^61 + 61 bits that stand for the end of a delivery |
/// | any of them, revived as a dead letter | 2^62 + the letter's id |
enum UnloggedPlace {
    static let tick: UInt64 = 0
    private static let firstResult: UInt64 = 1 << 61
    private static let firstRevived: UInt64 = 1 << 62

    /// Two of the results that a source is owed at once are at one place with a chance of 10^8 to 2^61.
    static func result(_ identity: Identity, _ end: UInt64) -> UInt64 {
        firstResult + (identity.low &+ end &* 0x9E37_79B9_7F4A_7C15) & (firstResult - 1)
    }

    static func revived(letter: UInt64) -> UInt64 { firstRevived + letter }

    /// True when the stray's event is in no log.
    static func holds(_ stray: Stray, of queue: SubscriptionQueue) -> Bool {
        if case .events = queue.spec.trigger { stray.position == tick || stray.position >= firstResult } else { true }
    }

    /// True for what goes to the result handler.
    static func isResult(_ event: Event, _ queue: SubscriptionQueue) -> Bool {
        if case .events = queue.spec.trigger { false } else { event.typeText == Dispatcher.resultType }
    }

    /// True for a result, whatever its subscription has become since: a name may have changed from a source to a subscription.
    static func isResult(_ stray: Stray, _ queue: SubscriptionQueue) -> Bool {
        (firstResult..<firstRevived).contains(stray.position) || isResult(stray.event, queue)
    }
}

extension Dispatcher {
    static let resultType = "moonbus.result"

    /// True for the present tick of a clock, or the run of a source: what its subscription's clockwork goes on after.
    func isTick(_ slot: UInt32, _ queue: SubscriptionQueue) -> Bool {
        queue.clockwork != nil && owed[slot].pointee.position == 0 && !owed[slot].pointee.isResult
            && owed[slot].pointee.extra?.strayPosition ?? UnloggedPlace.tick == UnloggedPlace.tick
    }

    /// Where the journal keeps the delivery while it is owed again; nil: it does not, a source's run is not resumed.
    func strayPosition(of slot: UInt32) -> UInt64? {
        if owed[slot].pointee.position > 0 { return owed[slot].pointee.position }
        // Not for what an ephemeral event was answered either: it has no position to be kept under.
        if isEphemeral(slot) || owed[slot].pointee.isResult && owed[slot].pointee.extra?.strayPosition == 0 { return nil }
        guard let queue = queues[Int(owed[slot].pointee.queue)], !runsForEver(slot, queue) else { return nil }
        return owed[slot].pointee.extra?.strayPosition ?? UnloggedPlace.tick
    }

    /// What a settlement of such a delivery is about: nothing, or the record that it left when it failed.
    func coverageOfUnlogged(_ slot: UInt32) -> Settlement.Coverage {
        guard owed[slot].pointee.isStray, let position = strayPosition(of: slot) else { return .nothing }
        return .strays([position])
    }

    /// Decides whether a subscription can still take what it was owed: its declaration may have changed since.
    ///
    /// - Returns: false: nobody can, and the record goes.
    func takesUp(_ stray: Stray, _ queue: SubscriptionQueue) -> Bool {
        guard UnloggedPlace.holds(stray, of: queue) else { return true }
        let isWanted =
            if UnloggedPlace.isResult(stray, queue) {
                queue.spec.resultHandler != nil
            } else {
                switch queue.spec.trigger {
                case .every, .cron: true
                case .events, .start: stray.position != UnloggedPlace.tick
                }
            }
        guard !isWanted, let number = queue.number else { return isWanted }
        logger.warning("'\(queue.name)' was declared anew and has no use for \(stray.event) any more, which it was owed: it is left out")
        openCalls += 1
        journal.settle([Settlement(number, .strays([stray.position]), .done)]) { _ in self.onOwner { self.openCalls -= 1 } }
        return false
    }
}
