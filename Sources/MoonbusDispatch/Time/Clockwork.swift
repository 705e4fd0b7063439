internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// State of a subscription that runs by the clock, or by itself.
struct Clockwork {
    /// When the next tick is due, by the wall clock; nil for a source that runs.
    var due: Timestamp?
    /// The tick after that, as it was committed with the end of the present one.
    var next: Timestamp?
    var timer: OwnerTimer?
    /// True from a tick, or the start of a run, until it has ended. There is never more than one.
    var isRunning = false
    /// When the run began; nanoseconds on the owner's monotonic clock.
    var started: Int64 = 0
    /// Runs that ended soon, one after the other.
    var failures = 0
    /// True: the run was ended in favour of a new one, so that one starts at once.
    var isReplaced = false
}

/// Ticks of timers and pollers, and sources that run.
extension Dispatcher {
    /// A jump of the wall clock is noticed by schedules within this time.
    private static let wallCheck = Duration.seconds(60)
    /// A run that lasted this long was a good one: the backoff starts again from its beginning.
    private static let goodRun = Duration.seconds(60)
    private static let backoff = RetryPolicy(attempts: .max, backoff: .seconds(1), backoffMax: .seconds(60))

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
    /// - Parameter stored: when the journal says that it is due. A time that has passed means that ticks were missed: one is made up for.
    ///   Otherwise the declaration decides: it may have changed.
    func startClockwork(_ queue: SubscriptionQueue, stored: Timestamp?) {
        if case .events = queue.spec.trigger { return }
        var clockwork = queue.clockwork ?? Clockwork()
        let first = firstTick(of: queue.spec.trigger)
        if let stored, let first {
            let now = owner.clock.now()
            if stored <= now {
                clockwork.due = now
            } else if case .every = queue.spec.trigger {
                clockwork.due = min(stored, first)
            } else {
                clockwork.due = first
            }
        } else {
            clockwork.due = first
        }
        queue.clockwork = clockwork
        if case .start = queue.spec.trigger { startRun(queue) } else { armTick(queue) }
    }

    /// Stops the clockwork of a subscription that is gone or changes its nature.
    func stopClockwork(_ queue: SubscriptionQueue) {
        if let timer = queue.clockwork?.timer { owner.cancel(timer) }
        cancelRuns(of: queue, reason: "the source is gone")
        queue.clockwork = nil
    }

    /// True for the run of a source, which is started afresh when it ends, however it ends.
    func runsForEver(_ slot: UInt32, _ queue: SubscriptionQueue) -> Bool {
        if case .start = queue.spec.trigger { !owed[slot].pointee.isResult } else { false }
    }

    // MARK: Ticks

    private func armTick(_ queue: SubscriptionQueue) {
        guard let due = queue.clockwork?.due, queue.clockwork?.isRunning == false, isOpen else { return }
        if let timer = queue.clockwork?.timer { owner.cancel(timer) }
        var wait = max(.zero, due - owner.clock.now())
        var followsWall = false
        if case .cron = queue.spec.trigger {
            followsWall = true
            wait = min(wait, Self.wallCheck)
        }
        queue.clockwork?.timer = owner.timer(after: wait) { [unowned self] in
            queue.clockwork?.timer = nil
            if followsWall, owner.clock.now() < due { return armTick(queue) }
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
        guard let due = queue.clockwork?.due, !owed[slot].pointee.isResult else { return nil }
        let now = owner.clock.now()
        var next: Timestamp?
        switch queue.spec.trigger {
        case .every(let interval):
            // In step with the first tick; ticks that passed meanwhile are skipped.
            let late = max(0, now.microseconds - due.microseconds)
            let step = max(1, interval.microseconds)
            next = due + .microseconds((late / step + 1) * step)
        case .cron(let schedule): next = schedule.next(after: max(now, due))
        case .events, .start: next = nil
        }
        queue.clockwork?.next = next
        return next
    }

    /// Goes on after a tick or a run has ended.
    func tickEnded(_ queue: SubscriptionQueue, fault: Fault?) {
        queue.clockwork?.isRunning = false
        if case .start = queue.spec.trigger { return runEnded(queue, fault) }
        if let next = queue.clockwork?.next { queue.clockwork?.due = next }
        armTick(queue)
    }

    // MARK: Runs

    private func startRun(_ queue: SubscriptionQueue) {
        guard queue.clockwork?.isRunning == false, queue.phase == .serving, isOpen else { return }
        queue.clockwork?.isRunning = true
        queue.clockwork?.started = now()
        enqueueDirectly(ownEvent(of: queue, "moonbus.start", data: nil, id: nil), in: queue)
    }

    private func runEnded(_ queue: SubscriptionQueue, _ fault: Fault?) {
        guard let clockwork = queue.clockwork, isOpen else { return }
        if clockwork.isReplaced || Duration.nanoseconds(now() - clockwork.started) > Self.goodRun { queue.clockwork?.failures = 0 }
        queue.clockwork?.failures += 1
        let delay = clockwork.isReplaced ? .zero : Self.backoff.ceiling(afterFailures: queue.clockwork?.failures ?? 1)
        queue.clockwork?.isReplaced = false
        if !clockwork.isReplaced {
            let reason = fault.map { "failed: \($0)" } ?? "ended"
            logger.warning("source '\(queue.name)' \(reason); it starts again in \(DurationText.format(delay))")
        }
        queue.clockwork?.timer = owner.timer(after: delay) { [unowned self] in startRun(queue) }
    }

    /// Ends a run that was lost, and starts a new one: what the old one emitted has left with its checkpoints, so it cannot be repeated.
    func startAfresh(_ slot: UInt32, _ queue: SubscriptionQueue) {
        queue.inFlight += 1  // `finish` follows the way of a delivery that ended at its endpoint
        conclude(SettlingBatch.Ending(slot: slot, kind: .dead, detail: nil))
    }

    /// Asks the endpoint to end a source's run.
    func cancelRuns(of queue: SubscriptionQueue, reason: String) {
        guard case .start = queue.spec.trigger else { return }
        var slot = queue.flow.pointee.flightHead
        while slot != .max {
            let next = owed[slot].pointee.flightNext
            if runsForEver(slot, queue) { cancel(slot, reason: reason) }
            slot = next
        }
    }

    // MARK: Results

    /// Asks for the results of what a source has emitted, if it wants them.
    func makeResultAsk(_ queue: SubscriptionQueue, _ events: [Event], _ recorded: [Recorded]) -> Ask? {
        guard queue.spec.resultHandler != nil, queue.phase != .retired else { return nil }
        let receipts = zip(events, recorded).map { Receipt(id: $0.id, position: $1.position, isDuplicate: $1.isDuplicate) }
        return Ask(receipts: receipts) { [unowned self] receipts in
            guard queue.phase != .retired else { return }
            for (event, receipt) in zip(events, receipts) where !receipt.results.isEmpty { deliverResults(receipt, of: event, to: queue) }
        }
    }

    private func deliverResults(_ receipt: Receipt, of event: Event, to queue: SubscriptionQueue) {
        guard queue.room > 0 else {
            // Results are answers, not events: nobody has promised them, but their loss is counted.
            counts.shed &+= 1
            queue.shedCount &+= 1
            return
        }
        let results = receipt.results.map { result -> JSONValue in
            var object: JSONObject = ["subscription": .string(result.subscription), "status": .string(result.status.rawValue)]
            if let value = result.result { object["result"] = value.value }
            if let fault = result.error { object["error"] = .string(fault.message) }
            return .object(object)
        }
        let data = JSON(.object(["event": .string(event.id), "type": .string(event.typeText), "results": .array(results)]))
        enqueueDirectly(
            ownEvent(of: queue, "moonbus.result", data: data, id: "\(event.id)-result", cause: event), in: queue, isResult: true)
    }

    /// An event of the bus's own, for one subscription.
    private func ownEvent(of queue: SubscriptionQueue, _ type: String, data: JSON?, id: String?, cause: Event? = nil) -> Event {
        let kind = if case .start = queue.spec.trigger { "sources" } else { queue.spec.hasCursor ? "sources" : "timers" }
        let prefix = queue.spec.plugin + "."
        let name = queue.name.hasPrefix(prefix) ? String(queue.name.dropFirst(prefix.count)) : queue.name
        do {
            return try Event(
                type: EventType(type), data: data, id: id.map { String($0.suffix(250)) },
                source: "/plugins/\(queue.spec.plugin)/\(kind)/\(name)",
                time: owner.clock.now(), traceparent: cause?.traceparent, causeid: cause?.id, hops: cause.map { $0.hops + 1 } ?? 0)
        } catch {
            preconditionFailure("names of subscriptions are checked when they are made: \(error)")
        }
    }
}
