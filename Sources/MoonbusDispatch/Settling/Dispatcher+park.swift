internal import MoonbusEvents
internal import MoonbusJournal

/// Effects whose targets have no room: the acknowledgement waits with them, for so long, and nothing is lost.
extension Dispatcher {
    /// How many checkpoints of one run may wait for room.
    private static let parkedCheckpointsMax = 1_000
    /// Bytes that an outcome which waits takes beside its events.
    private static let parkedOverhead = 1_024

    /// Keeps an outcome until the queues that its events go to have room. The handler does not run again for it, and it counts as no attempt.
    func parkOutcome(_ slot: UInt32, _ detail: SettlingBatch.Detail, at full: SubscriptionQueue) {
        guard let staged = detail.staged else { return }
        let id = owed.id(of: slot)
        let index = owed[slot].pointee.queue
        let size = Self.parkedOverhead + staged.events.reduce(0) { $0 + $1.recordSize }
        flows[index].pointee.parkedSize += size
        let unpark = { [unowned self] in
            flows[index].pointee.parkedSize -= size
            ready(index)
        }
        park(
            staged, at: full, isWanted: { [unowned self] in owed.find(id) != nil },
            reserved: { [unowned self] in
                unpark()
                let batch = takeBatch()
                add(slot, .done, .done, commit: staged.commit, detail: detail, to: batch)
                commit(batch)
            },
            tooLate: { [unowned self] fault in
                unpark()
                let batch = takeBatch()
                settleDead(slot, fault, batch)
                commit(batch)
            },
            stopped: { [unowned self] in
                unpark()
                requeue(slot, countsAsAttempt: false)
            })
    }

    /// Keeps a checkpoint; its run goes on.
    func parkCheckpoint(_ id: UInt64, _ detail: SettlingBatch.Detail, at full: SubscriptionQueue) {
        guard let staged = detail.staged, let slot = owed.find(id), let queue = queues[Int(owed[slot].pointee.queue)] else { return }
        let extra = extra(of: slot)
        extra.parkedCheckpoints += 1
        if extra.parkedCheckpoints > Self.parkedCheckpointsMax {
            cancel(slot, reason: "emits faster than subscription '\(full.name)' takes it")
        }
        park(
            staged, at: full, isWanted: { [unowned self] in owed.find(id) != nil },
            reserved: { [unowned self] in
                extra.parkedCheckpoints -= 1
                commitCheckpoint(slot, detail)
            },
            tooLate: { [unowned self] fault in
                extra.parkedCheckpoints -= 1
                bury(staged, fault, of: slot, queue)
            },
            stopped: {})
    }

    private func park(
        _ staged: Staged, at full: SubscriptionQueue, isWanted: @escaping () -> Bool, reserved: @escaping () -> Void,
        tooLate: @escaping (Fault) -> Void, stopped: @escaping () -> Void
    ) {
        var isOver = false
        let name = full.name
        let patience = owner.timer(after: configuration.fullPatience) { [unowned self] in
            guard !isOver, isWanted() else { return }
            isOver = true
            let limit = DurationText.format(configuration.fullPatience)
            tooLate(
                Fault(
                    .full,
                    "subscription '\(name)' had no room for the events of this handler for \(limit): let it catch up, then retry the dead letter"
                ))
        }
        func seeker() -> RoomSeeker {
            RoomSeeker(
                attempt: { [unowned self] queue in
                    guard !isOver, isWanted() else { return true }
                    let blocking = reserve(staged, seeking: queue)
                    if blocking === queue { return false }
                    if let blocking {
                        blocking.emitters.append(seeker())
                        noteRoom(blocking)
                        return true
                    }
                    isOver = true
                    owner.cancel(patience)
                    reserved()
                    return true
                },
                giveUp: { [unowned self] in
                    guard !isOver, isWanted() else { return }
                    // The queue that was full is gone, or the bus stops: in the first case there may be room now.
                    if isOpen, let blocking = reserve(staged) {
                        blocking.emitters.append(seeker())
                        return
                    }
                    isOver = true
                    owner.cancel(patience)
                    if isOpen { reserved() } else { stopped() }
                })
        }
        full.emitters.append(seeker())
        noteRoom(full)
    }

    /// Makes dead letters of a checkpoint's events that found no room.
    private func bury(_ staged: Staged, _ fault: Fault, of slot: UInt32, _ queue: SubscriptionQueue) {
        let now = owner.clock.now()
        let letters = staged.commit.events.map {
            DeadLetter(
                subscription: queue.name, position: 0, event: $0, failures: [FailedAttempt(attempt: 1, time: now, fault: fault)], died: now)
        }
        let detail = SettlingBatch.Detail()
        detail.staged = Staged(
            Commit(
                delayed: staged.commit.delayed, state: staged.commit.state, cursor: staged.commit.cursor, deadLetters: letters,
                share: staged.commit.share))
        commitCheckpoint(slot, detail)
    }
}
