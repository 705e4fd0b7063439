internal import DequeModule
internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// What the journal knows of a subscription: its place in the log, and what it was owed before this bus knew it.
extension Dispatcher {
    func claim(_ fresh: [SubscriptionQueue]) {
        guard !fresh.isEmpty else { return }
        let claims = fresh.map { Claim(name: $0.name, schedule: firstTick(of: $0.spec.trigger)) }
        claim(claims, for: fresh) { result in
            if case .failure(let error) = result { self.claimLater(fresh, error) }
        }
    }

    /// Claims subscriptions and takes up what they are owed.
    ///
    /// - Parameter done: called on the owner thread after that; when the claim has failed, the queues wait as before.
    func claim(
        _ claims: [Claim], for queues: [SubscriptionQueue], _ done: @escaping @Sendable (Result<Void, JournalError>) -> Void
    ) {
        openCalls += 1
        openClaims += 1
        journal.claim(claims) { result in
            self.onOwner {
                self.openCalls -= 1
                self.openClaims -= 1
                if case .success(let answers) = result {
                    for (queue, claimed) in zip(queues, answers) where queue.phase == .claiming { self.claimed(queue, claimed) }
                }
                done(result.map { _ in })
            }
        }
    }

    private func claimLater(_ queues: [SubscriptionQueue], _ error: JournalError) {
        logger.warning("subscriptions of '\(queues[0].spec.plugin)' wait for the journal and are served once it answers: \(error)")
        _ = owner.timer(after: .seconds(1)) { [unowned self] in claim(queues.filter { $0.phase == .claiming }) }
    }

    func claimed(_ queue: SubscriptionQueue, _ claimed: Claimed) {
        queue.number = claimed.number
        queue.cursor = claimed.cursor
        queue.phase = .catchingUp
        unclaimedResults[queue.name] = nil
        let progress = Progress(floor: claimed.floor, ended: claimed.ended)
        let known = resultPositions(of: queue)
        for stray in claimed.strays where takesUp(stray, queue) && !known.contains(stray.position) { takeStray(stray, queue) }
        if queue.replay != nil { return beginReading(queue, progress) }
        catchUp(queue, after: claimed.floor, progress, found: [], schedule: claimed.schedule)
    }

    private func takeStray(_ stray: Stray, _ queue: SubscriptionQueue) {
        let slot = owed.take()
        owed[slot].pointee.event = stray.event
        owed[slot].pointee.queue = queue.index
        owed[slot].pointee.isStray = true
        if UnloggedPlace.holds(stray, of: queue) {
            owed[slot].pointee.isResult = UnloggedPlace.isResult(stray.event, queue)
            extra(of: slot).strayPosition = stray.position
            // The tick goes on where it was: the next one comes after its end.
            if stray.position == UnloggedPlace.tick { queue.clockwork = Clockwork(isRunning: true) }
            if owed[slot].pointee.isResult { countResults(stray.event.recordSize, of: queue) }
        } else {
            owed[slot].pointee.position = stray.position
        }
        if !owed[slot].pointee.isResult { noteResultSource(slot) }
        owed[slot].pointee.attempt = UInt16(clamping: stray.failures.last?.attempt ?? 0)
        extra(of: slot).failures = stray.failures
        queue.count += 1
        waitUntilDue(slot, queue, after: max(.zero, stray.due - owner.clock.now()))
    }

    // MARK: Catching up

    static let pageCount = 512
    private static let pageSize = 4 << 20

    /// Reads what a subscription was owed before this bus knew it: events up to where it joined, page by page, but no more than its queue
    /// holds.
    func catchUp(
        _ queue: SubscriptionQueue, after position: UInt64, _ progress: Progress, found: [RecordedEvent], schedule: Timestamp?
    ) {
        guard case .events = queue.spec.trigger, position < queue.joined else {
            return caughtUp(queue, progress, found, schedule)
        }
        let size = found.reduce(0) { $0 + $1.event.recordSize }
        guard queue.early.count + found.count < queue.flow.pointee.countMax, size < Backlog.sizeMax else {
            return caughtUp(queue, progress, found, schedule, rest: Backlog(read: position, progress: progress))
        }
        readPage(of: queue, after: position, through: queue.joined) { page in
            guard queue.phase == .catchingUp else { return }
            switch page {
            case .success(let page?):
                self.goOnCatchingUp(queue, after: page.last, progress, found + page.owed(beyond: progress), schedule)
            case .success(nil): self.caughtUp(queue, progress, found, schedule)
            case .failure(let error) where error.code == .unavailable:
                self.catchUpLater(queue, after: position, progress, found, schedule)
            case .failure(let error):
                let last = self.skipUnreadable(after: position, of: queue, error)
                self.goOnCatchingUp(queue, after: last, progress, found, schedule)
            }
        }
    }

    /// In a turn of its own: a journal in memory answers inside the call, and a log may have thousands of pages.
    private func goOnCatchingUp(
        _ queue: SubscriptionQueue, after position: UInt64, _ progress: Progress, _ found: [RecordedEvent], _ schedule: Timestamp?
    ) {
        owner.post {
            guard queue.phase == .catchingUp else { return }
            self.catchUp(queue, after: position, progress, found: found, schedule: schedule)
        }
    }

    /// Leaves out the one event that the journal cannot read, and nothing that is behind it.
    ///
    /// - Returns: its position.
    func skipUnreadable(after position: UInt64, of queue: SubscriptionQueue, _ error: JournalError) -> UInt64 {
        logger.error("'\(queue.name)' goes on without the event at position \(position + 1), which the journal could not read: \(error)")
        return position + 1
    }

    /// A page of the log, and what of it a subscription is owed.
    struct Page {
        var matching: [RecordedEvent]
        /// The last position that was looked at.
        var last: UInt64

        /// Without what has ended before.
        func owed(beyond progress: Progress) -> [RecordedEvent] {
            matching.filter { !progress.hasEnded($0.position) }
        }
    }

    /// Reads the next page of the log for a subscription that takes events.
    ///
    /// A page that cannot be read, because of one of its events, is read event by event: a failure is about the first one after the position.
    /// Its subscription may have changed by the time it is there.
    ///
    /// - Parameter done: called on the owner thread; with nil when there is nothing after the position.
    func readPage(
        of queue: SubscriptionQueue, after position: UInt64, through end: UInt64, limit: Int = pageCount,
        _ done: @escaping @Sendable (Result<Page?, JournalError>) -> Void
    ) {
        openCalls += 1
        journal.read(.events(after: position, limit: limit, bytes: Self.pageSize)) { result in
            self.onOwner {
                self.openCalls -= 1
                if case .failure(let error) = result, error.code == .damaged, limit > 1 {
                    return self.readPage(of: queue, after: position, through: end, limit: 1, done)
                }
                switch result {
                case .success(.events(let page)) where !page.isEmpty: self.sift(page[...], through: end, for: queue, [], done)
                case .success: done(.success(nil))
                case .failure(let error): done(.failure(error))
                }
            }
        }
    }

    /// Tests a page's events: as many as the filter's share of the turn is enough for, and the rest in the next turns.
    private func sift(
        _ page: ArraySlice<RecordedEvent>, through end: UInt64, for queue: SubscriptionQueue, _ matching: [RecordedEvent],
        _ done: @escaping @Sendable (Result<Page?, JournalError>) -> Void
    ) {
        guard case .events(let pattern, let filter) = queue.spec.trigger, let last = page.last else { return done(.success(nil)) }
        var matching = matching
        for index in page.indices where page[index].position <= end {
            let event = page[index].event
            guard event.withUnsafeType({ pattern.matches(typeBytes: $0) }) else { continue }
            if let filter {
                let moment = router.nextMoment()
                let isWhole = queue.filterShare.isWhole(at: moment)
                switch queue.filterShare.matches(filter, event, at: moment) {
                case false?: continue
                case true?: break
                case nil where isWhole: noteUntested(event, of: queue.index)
                case nil:
                    let (rest, found) = (page[index...], matching)
                    owner.post { self.sift(rest, through: end, for: queue, found, done) }
                    return
                }
            }
            matching.append(page[index])
        }
        done(.success(Page(matching: matching, last: last.position)))
    }

    /// Goes on once the journal can be read again: without what it has not read, a subscription would end what it never saw.
    private func catchUpLater(
        _ queue: SubscriptionQueue, after position: UInt64, _ progress: Progress, _ found: [RecordedEvent], _ schedule: Timestamp?
    ) {
        _ = owner.timer(after: .seconds(1)) { [unowned self] in
            guard queue.phase == .catchingUp else { return }
            catchUp(queue, after: position, progress, found: found, schedule: schedule)
        }
    }

    /// Puts what was found in front of what came since, and starts to serve.
    ///
    /// - Parameter rest: what of the log is not read yet, because the queue holds no more.
    private func caughtUp(
        _ queue: SubscriptionQueue, _ progress: Progress, _ found: [RecordedEvent], _ schedule: Timestamp?, rest: Backlog? = nil
    ) {
        let since = queue.waiting
        queue.waiting = queue.early
        queue.early.removeAll()
        queue.phase = .serving
        queue.last = progress.floor
        take(found, queue)
        for slot in since {
            let position = owed[slot].pointee.position
            if position > 0, progress.hasEnded(position) {
                leave(slot, queue, isOwed: false)  // its subscription was created after it was recorded
            } else if position > 0, rest != nil {
                leave(slot, queue, isOwed: true)  // it is read later
            } else {
                takeUp(slot, queue)
            }
        }
        startClockwork(queue, stored: schedule)
        if let rest { fallBehind(queue, rest) }
        armBatch(queue)
        ready(queue)
        noteRoom(queue)
        leaveIfSuspended(queue)
    }

    /// Puts events that were read from the log into the queue.
    func take(_ found: [RecordedEvent], _ queue: SubscriptionQueue) {
        for recorded in found {
            // `last` stays where it is: the next delivery's span then covers what ended before, whatever is matched now.
            queue.backlog?.size += recorded.event.recordSize
            let slot = owed.take()
            owed[slot].pointee.event = recorded.event
            owed[slot].pointee.position = recorded.position
            noteResultSource(slot)
            queue.count += 1
            takeUp(slot, queue)
        }
    }

    func takeUp(_ slot: UInt32, _ queue: SubscriptionQueue) {
        owed[slot].pointee.queue = queue.index
        owed[slot].pointee.stage = .queued
        // One that a debounce policy lets go meanwhile is older than what was read, and has its place in the order already.
        if owed[slot].pointee.position > queue.last {
            owed[slot].pointee.after = queue.last
            queue.last = owed[slot].pointee.position
        }
        if queue.flow.pointee.isPlain { queue.waiting.append(slot) } else { enqueueByPolicy(slot, queue) }
    }
}
