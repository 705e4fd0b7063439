internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// What of the log a subscription has not read yet.
struct Backlog {
    /// The last position that was read.
    var read: UInt64
    /// What beyond it has ended all the same, in an earlier life of the bus.
    let progress: Progress
    /// A page is on its way.
    var isReading = false
}

/// Subscriptions that are owed more than their queue holds: their plugin was away for long. The log is their queue.
///
/// Such a subscription is served, and read on for as it gets on, at most half a queue ahead. It is out of the router meanwhile, like a
/// suspended one, so no emitter waits for it; once it has read all there is, it goes back in. Memory and the time until its first event do
/// not depend on how far behind it is.
extension Dispatcher {
    /// Leaves the rest of what a subscription is owed in the log for now.
    func fallBehind(_ queue: SubscriptionQueue, _ rest: Backlog) {
        logger.notice(
            "'\(queue.name)' is owed more than its queue holds: it reads on as it gets on; \(lastPosition - rest.read) events are to be looked at"
        )
        goAway(queue, rest)
        readOn(backlogOf: queue)
    }

    /// Gives up a delivery that is in the log, behind where its subscription has read.
    func leave(_ slot: UInt32, _ queue: SubscriptionQueue) {
        if let ask = owed[slot].pointee.extra?.ask, ask.forgo() { asks.noteAnswered() }
        owed.free(slot)
        queue.count -= 1
    }

    /// Reads the next page if the queue has room for it.
    func readOn(backlogOf queue: SubscriptionQueue) {
        guard let backlog = queue.backlog, !backlog.isReading, isOpen, queue.phase == .serving, queue.endpoint != nil,
            queue.count <= queue.flow.pointee.countMax / 2
        else { return }
        guard backlog.read < lastPosition else { return join(queue) }
        queue.backlog?.isReading = true
        let end = lastPosition
        readPage(of: queue, after: backlog.read, through: end) { page in
            // It may have been suspended meanwhile, and back: then somebody else has read the page.
            guard queue.phase == .serving, queue.backlog?.isReading == true, queue.backlog?.read == backlog.read else { return }
            queue.backlog?.isReading = false
            switch page {
            case .success(let page):
                queue.backlog?.read = min(page?.last ?? end, end)
                self.take(page?.owed(beyond: backlog.progress) ?? [], queue)
                self.ready(queue)
            case .failure(let error) where error.code == .unavailable:
                _ = self.owner.timer(after: .seconds(1)) { [unowned self] in readOn(backlogOf: queue) }
                return
            case .failure(let error):
                self.logger.error(
                    "'\(queue.name)' goes on without the events after position \(backlog.read), which the journal could not read: \(error)")
                queue.backlog?.read = end
            }
            self.readOn(backlogOf: queue)
        }
    }

    /// Puts a subscription back into the router: it has read what is recorded, and what is recorded from now on reaches it.
    private func join(_ queue: SubscriptionQueue) {
        queue.backlog = nil
        away.removeAll { $0 === queue }
        route(queue)
        logger.notice("'\(queue.name)' has caught up")
    }
}
