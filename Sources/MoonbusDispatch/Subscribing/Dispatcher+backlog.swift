internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// What of the log a subscription has not read yet.
struct Backlog {
    /// Bytes of what is read and has not ended, at most, and a page.
    static let sizeMax = 16 << 20

    /// The last position that was read.
    var read: UInt64
    /// What beyond it has ended all the same, in an earlier life of the bus.
    let progress: Progress
    /// Bytes of what was read and has not ended; not exact: what waited before counts only when it ends.
    var size = 0
    /// A page is on its way, or a turn in which to ask for one.
    var isReading = false
    /// When so much is unread, it is said.
    var alarm = UInt64.max
}

/// Subscriptions that are owed more than their queue holds: their plugin was away for long. The log is their queue.
///
/// Such a subscription is served, and read on for as it gets on, at most half a queue ahead. It is out of the router meanwhile, like a
/// suspended one, so no emitter waits for it; within a page of the end it goes back in, as a subscription does whose plugin is back.
/// Memory and the time until its first event do not depend on how far behind it is.
extension Dispatcher {
    /// Leaves the rest of what a subscription is owed in the log for now.
    func fallBehind(_ queue: SubscriptionQueue, _ rest: Backlog) {
        let unread = lastPosition - rest.read
        logger.notice(
            "'\(queue.name)' is owed more than its queue holds: it reads on as it gets on; \(unread) events are to be looked at")
        var rest = rest
        rest.size = queue.waiting.reduce(0) { $0 + (owed[$1].pointee.event?.recordSize ?? 0) }
        rest.alarm = max(100_000, unread * 2)
        goAway(queue, rest)
        readOn(backlogOf: queue)
    }

    /// Gives up a delivery of what a subscription gathered while the journal was asked.
    ///
    /// - Parameter isOwed: it is read from the log again; false: it is not the subscription's.
    func leave(_ slot: UInt32, _ queue: SubscriptionQueue, isOwed: Bool) {
        if let extra = owed[slot].pointee.extra, let ask = extra.ask, ask.forgo(extra.askIndex, isOwed: isOwed) { asks.noteAnswered() }
        queue.flow.letGo(of: owed[slot])
        owed.free(slot)
        queue.count -= 1
    }

    /// Reads on in a turn of its own: the caller is not done with the delivery.
    func deliveryEnded(ofBacklogOf queue: SubscriptionQueue) {
        guard wantsMore(queue) else { return }
        queue.backlog?.isReading = true
        owner.post {
            guard queue.backlog?.isReading == true else { return }
            queue.backlog?.isReading = false
            self.readOn(backlogOf: queue)
        }
    }

    private func wantsMore(_ queue: SubscriptionQueue) -> Bool {
        guard let backlog = queue.backlog, !backlog.isReading, isOpen, queue.phase == .serving, queue.endpoint != nil else { return false }
        return queue.count <= queue.flow.pointee.countMax / 2 && backlog.size <= Backlog.sizeMax / 2
    }

    /// Reads the next page if the queue has room for it.
    private func readOn(backlogOf queue: SubscriptionQueue) {
        guard wantsMore(queue), let backlog = queue.backlog else { return }
        let unread = lastPosition - backlog.read
        // Whatever is recorded while the last page is read is gathered: waiting until nothing is unread could take for ever.
        guard unread > UInt64(Self.pageCount) else { return rejoin(queue) }
        if unread > backlog.alarm {
            logger.warning("'\(queue.name)' falls behind further: \(unread) events are to be looked at, twice as many as before")
            queue.backlog?.alarm = unread * 2
        }
        queue.backlog?.isReading = true
        let end = lastPosition
        readPage(of: queue, after: backlog.read, through: end) { page in
            // It may have been suspended meanwhile, and back: then somebody else has read the page.
            guard queue.phase == .serving, queue.backlog?.isReading == true, queue.backlog?.read == backlog.read else { return }
            switch page {
            case .success(let page):
                queue.backlog?.read = min(page?.last ?? end, end)
                self.take(page?.owed(beyond: backlog.progress) ?? [], queue)
                self.ready(queue)
            case .failure(let error) where error.code == .unavailable:
                _ = self.owner.timer(after: .seconds(1)) { [unowned self] in
                    queue.backlog?.isReading = false
                    readOn(backlogOf: queue)
                }
                return
            case .failure(let error): queue.backlog?.read = self.skipUnreadable(after: backlog.read, of: queue, error)
            }
            queue.backlog?.isReading = false
            self.deliveryEnded(ofBacklogOf: queue)
        }
    }

    /// Puts a subscription back into the router, before the last of the log is read: what is recorded meanwhile reaches it.
    private func rejoin(_ queue: SubscriptionQueue) {
        logger.notice("'\(queue.name)' has caught up")
        route(queue)
        queue.phase = .catchingUp
        comeBack(queue)
    }
}
