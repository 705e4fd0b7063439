internal import DequeModule
internal import MoonbusEvents
internal import MoonbusJournal

/// Plugins that are switched off or quarantined: what comes for them meanwhile stays in the journal.
///
/// A suspended subscription keeps what it has in memory and takes no more: it is out of the router, so it is never full and no emitter
/// waits for it. The journal keeps what it is owed, because ``trim(_:)`` names it. When its plugin is back, the events from where it left
/// off are read like those of a subscription that a restart found behind (`Dispatcher+backlog.swift`).
///
/// One that still asks the journal where it is (claiming, catching up) goes on collecting until it knows, and leaves then.
extension Dispatcher {
    func suspend(plugin: String) {
        for queue in byPlugin[plugin] ?? [] {
            cancelRuns(of: queue, reason: "the plugin is suspended")
            serve(queue, by: nil)
            leaveIfSuspended(queue)
        }
    }

    /// Takes a subscription that nobody serves out of the router.
    func leaveIfSuspended(_ queue: SubscriptionQueue) {
        guard queue.endpoint == nil, queue.phase == .serving, queue.route != nil else { return }
        goAway(queue, Backlog(read: lastPosition, progress: Progress(floor: queue.last)))
    }

    /// Takes a subscription out of the router: from now on the journal keeps what it is owed.
    func goAway(_ queue: SubscriptionQueue, _ backlog: Backlog) {
        leaveRouter(queue)
        queue.backlog = backlog
        away.append(queue)
        // Whoever waited for room here is not kept by it any more: tried again, it is matched again.
        let waiting = queue.emitters
        queue.emitters.removeAll()
        for seeker in waiting { _ = seeker.attempt(queue) }
    }

    /// How many subscriptions that are suspended or behind are owed an event that is recorded now: they get it when they are back.
    func awayCount(for event: Event) -> Int {
        let moment = router.nextMoment()
        return away.count { queue in
            guard case .events(let pattern, let filter) = queue.spec.trigger, queue.replay == nil else { return false }
            guard event.withUnsafeType({ pattern.matches(typeBytes: $0) }) else { return false }
            // One that can't be tested now is told as owed; it is tested when it is read.
            return filter.map { queue.filterShare.matches($0, event, at: moment) ?? true } ?? true
        }
    }

    /// Reads what was recorded for a subscription while it was out of the router. It is in again already.
    func comeBack(_ queue: SubscriptionQueue) {
        guard let backlog = queue.backlog else { return }
        queue.backlog = nil
        away.removeAll { $0 === queue }
        queue.joined = lastPosition
        queue.early = queue.waiting
        queue.waiting.removeAll()
        var progress = backlog.progress
        progress.end(Span(after: 0, through: queue.last))
        catchUp(queue, after: backlog.read, progress, found: [], schedule: nil)
    }
}
