internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// Ticks of timers and pollers.
///
/// The journal holds when the next tick is due, and moves on only together with the end of the present one. So a tick that was not ended when
/// the service stopped comes again, with the same id; one that had failed comes with its failures counted and when its retry is due.
///
/// | the wall clock jumps | an interval | a schedule |
/// |---|---|---|
/// | ahead by up to three hours | goes on | one tick, if the jump passed over any |
/// | back by up to three hours | goes on | what was fired is not fired again |
/// | by more | goes on | starts afresh from the new time: nothing fires |
///
/// Origin of the three hours: Debian's cron. Less is a correction that people expect schedules to follow; more is a clock that was wrong.
extension Dispatcher {
    /// A jump of the wall clock is noticed by schedules within this time.
    private static let wallCheck = Duration.seconds(60)
    /// Clocks that agree this well have not jumped: the wall clock is steered all the time, but slowly.
    private static let jumpMin = Duration.seconds(1)
    private static let correctionMax = Duration.seconds(3 * 3_600)
    /// A tick that is less late than this was not missed: a reload may come at the very moment.
    private static let missedAfter = Duration.seconds(1)

    /// When a new subscription is to run first.
    func firstTick(of trigger: SubscriptionSpec.Trigger) -> Timestamp? {
        let now = owner.clock.now()
        switch trigger {
        case .every(let interval): return now + interval
        case .cron(let schedule): return schedule.next(after: now)
        case .events, .start: return nil
        }
    }

    /// Sets the clockwork of a subscription going.
    ///
    /// - Parameter stored: when the journal says that it is due. A time that has passed means that ticks were missed.
    ///   Otherwise the declaration decides: it may have changed.
    func startClockwork(_ queue: SubscriptionQueue, stored: Timestamp?) {
        if case .events = queue.spec.trigger { return }
        var clockwork = queue.clockwork ?? Clockwork()
        if let due = firstDue(queue.spec, stored, isRunning: clockwork.isRunning) { set(&clockwork, due: due) }
        queue.clockwork = clockwork
        if case .start = queue.spec.trigger { startRun(queue) } else { armTick(queue) }
    }

    private func firstDue(_ spec: SubscriptionSpec, _ stored: Timestamp?, isRunning: Bool) -> Timestamp? {
        guard let stored, let first = firstTick(of: spec.trigger), !isRunning else { return stored ?? firstTick(of: spec.trigger) }
        let now = owner.clock.now()
        switch spec.trigger {
        case .every(let interval):
            guard stored <= now else { return min(stored, first) }
            return spec.missed == .skip && now - stored >= Self.missedAfter ? stored + interval.steps(beyond: now - stored) : stored
        case .cron:
            return stored <= now && (spec.missed != .skip || now - stored < Self.missedAfter) ? stored : first
        case .events, .start: return nil
        }
    }

    private func set(_ clockwork: inout Clockwork, due: Timestamp) {
        clockwork.due = due
        clockwork.deadline = now() + (due - owner.clock.now()).wholeNanoseconds
    }

    // MARK: One tick

    private func armTick(_ queue: SubscriptionQueue) {
        guard let clockwork = queue.clockwork, let due = clockwork.due, !clockwork.isRunning, isOpen else { return }
        if let timer = clockwork.timer { owner.cancel(timer) }
        let wall = owner.clock.now()
        queue.clockwork?.reference = (wall, now())
        let isSchedule = if case .cron = queue.spec.trigger { true } else { false }
        let wait = isSchedule ? min(due - wall, Self.wallCheck) : .nanoseconds(clockwork.deadline - now())
        queue.clockwork?.timer = owner.timer(after: max(.zero, wait)) { [unowned self] in
            queue.clockwork?.timer = nil
            if isSchedule, startsAfresh(queue) || owner.clock.now() < due { return armTick(queue) }
            tick(queue, due)
        }
    }

    private func tick(_ queue: SubscriptionQueue, _ due: Timestamp) {
        guard queue.clockwork != nil, queue.phase == .serving else { return }
        queue.clockwork?.isRunning = true
        let data = queue.spec.hasCursor ? queue.cursor ?? .null : JSON(.object(["scheduled": .string(due.description)]))
        // The same id for the same tick, after a restart, too: so are the ids of what it emits.
        enqueueDirectly(ownEvent(of: queue, "moonbus.timer", data: data, id: "\(queue.name)@\(due.microseconds)"), in: queue)
    }

    /// The tick after the one in `slot`, to be committed with its end; nil if that is not a tick.
    func nextSchedule(after slot: UInt32, _ queue: SubscriptionQueue) -> Timestamp? {
        guard isTick(slot, queue), let clockwork = queue.clockwork, let due = clockwork.due else { return nil }
        let wall = owner.clock.now()
        let makesUp = queue.spec.missed == .all && clockwork.madeUpCount < MissedTicks.makeUpMax
        let next: Timestamp?
        switch queue.spec.trigger {
        case .every(let interval):
            // In step with the first tick, whatever the wall clock did meanwhile.
            let late = Duration.nanoseconds(max(0, now() - clockwork.deadline))
            let steps = makesUp ? interval : interval.steps(beyond: late)
            let expected = wall + (steps - late)
            next = (due + steps - expected).magnitude <= Self.jumpMin ? due + steps : expected
        case .cron(let schedule):
            next = schedule.next(after: makesUp && drift(clockwork).magnitude <= Self.jumpMin ? due : max(wall, due))
        case .events, .start: next = nil
        }
        queue.clockwork?.next = next
        return next
    }

    /// Goes on after a tick or a run has ended.
    func tickEnded(_ queue: SubscriptionQueue, fault: Fault?) {
        queue.clockwork?.isRunning = false
        if case .start = queue.spec.trigger { return runEnded(queue, fault) }
        if var clockwork = queue.clockwork, let next = clockwork.next {
            countMadeUp(&clockwork, next, queue)
            set(&clockwork, due: next)
            queue.clockwork = clockwork
        }
        armTick(queue)
    }

    private func countMadeUp(_ clockwork: inout Clockwork, _ next: Timestamp, _ queue: SubscriptionQueue) {
        guard queue.spec.missed == .all else { return }
        if clockwork.madeUpCount >= MissedTicks.makeUpMax, let due = clockwork.due {
            logger.warning(
                "'\(queue.name)' made up for \(MissedTicks.makeUpMax) ticks in a row: those after \(due) and before \(next) are left out")
        }
        clockwork.madeUpCount = next <= owner.clock.now() ? clockwork.madeUpCount + 1 : 0
    }

    // MARK: Jumps of the wall clock

    /// How far the wall clock has jumped since the timer was set; positive: ahead.
    private func drift(_ clockwork: Clockwork) -> Duration {
        guard let reference = clockwork.reference else { return .zero }
        return owner.clock.now() - reference.wall - .nanoseconds(now() - reference.monotonic)
    }

    /// Sets a schedule anew if the wall clock had been wrong.
    ///
    /// - Returns: false: it had not, or not by much.
    private func startsAfresh(_ queue: SubscriptionQueue) -> Bool {
        guard var clockwork = queue.clockwork, let reference = clockwork.reference, let number = queue.number,
            case .cron(let schedule) = queue.spec.trigger
        else { return false }
        let drift = drift(clockwork)
        // The jump may have been at any time since the timer was set: what was due after it is not to be skipped.
        let earliest = owner.clock.now() - .nanoseconds(now() - reference.monotonic)
        guard drift.magnitude > Self.correctionMax, let due = schedule.next(after: earliest) else { return false }
        logger.notice("the wall clock jumped by \(drift): '\(queue.name)' is due next at \(due)")
        set(&clockwork, due: due)
        queue.clockwork = clockwork
        openCalls += 1
        // Otherwise a restart would take what the jump passed over for missed.
        journal.settle([Settlement(number, .nothing, .goesOn, commit: Commit(schedule: due))]) { _ in
            self.onOwner { self.openCalls -= 1 }
        }
        return true
    }
}

extension Duration {
    fileprivate var magnitude: Duration { self < .zero ? .zero - self : self }

    /// The least multiple of this interval that is longer than `time`.
    fileprivate func steps(beyond time: Duration) -> Duration {
        let step = max(1, microseconds)
        return .microseconds((max(0, time.microseconds) / step + 1) * step)
    }
}
