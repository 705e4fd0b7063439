internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// State of a subscription that runs by the clock, or by itself.
struct Clockwork {
    /// When the next tick is due, by the wall clock; nil for a source that runs.
    var due: Timestamp?
    /// The same, as nanoseconds on the owner's monotonic clock: what an interval goes by.
    var deadline: Int64 = 0
    /// The tick after that, as it is committed with the end of the present one.
    var next: Timestamp?
    /// What both clocks said when the timer was set: by that, a jump of the wall clock shows.
    var reference: (wall: Timestamp, monotonic: Int64)?
    /// Ticks that were made up for, one after the other; only with ``MissedTicks/all``.
    var madeUpCount = 0
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

/// Sources that run. Ticks are in `Dispatcher+ticks.swift`, results in `SourceResults.swift`.
extension Dispatcher {
    /// A run that lasted this long was a good one: the backoff starts again from its beginning.
    private static let goodRun = Duration.seconds(60)
    private static let backoff = RetryPolicy(attempts: .max, backoff: .seconds(1), backoffMax: .seconds(60))

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

    // MARK: Runs

    func startRun(_ queue: SubscriptionQueue) {
        guard queue.clockwork?.isRunning == false, queue.phase == .serving, isOpen else { return }
        queue.clockwork?.isRunning = true
        queue.clockwork?.started = now()
        enqueueDirectly(ownEvent(of: queue, "moonbus.start", data: nil, id: nil), in: queue)
    }

    func runEnded(_ queue: SubscriptionQueue, _ fault: Fault?) {
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

    /// An event of the bus's own, for one subscription.
    func ownEvent(of queue: SubscriptionQueue, _ type: String, data: JSON?, id: String?) -> Event {
        let kind = if case .start = queue.spec.trigger { "sources" } else { queue.spec.hasCursor ? "sources" : "timers" }
        let prefix = queue.spec.plugin + "."
        let name = queue.name.hasPrefix(prefix) ? String(queue.name.dropFirst(prefix.count)) : queue.name
        do {
            return try Event(
                type: EventType(type), data: data, id: id.map { String($0.suffix(250)) },
                source: "/plugins/\(queue.spec.plugin)/\(kind)/\(name)",
                time: owner.clock.now())
        } catch {
            preconditionFailure("names of subscriptions are checked when they are made: \(error)")
        }
    }
}
