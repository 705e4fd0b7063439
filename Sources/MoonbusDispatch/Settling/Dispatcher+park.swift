internal import MoonbusEvents
internal import MoonbusJournal

/// Effects whose targets have no room: the acknowledgement waits with them, for so long, and nothing is lost.
extension Dispatcher {
    /// Keeps an outcome until the queues that its events go to have room. The handler does not run again for it, and it counts as no attempt.
    func parkOutcome(_ slot: UInt32, _ detail: SettlingBatch.Detail, at full: SubscriptionQueue) {
        guard let staged = detail.staged else { return }
        let id = owed.id(of: slot)
        let index = owed[slot].pointee.queue
        let parked = ParkedEffects(staged, detail)
        flows[index].pointee.parkedSize += parked.size
        let unpark = { [unowned self] in
            flows[index].pointee.parkedSize -= parked.size
            ready(index)
        }
        park(
            parked, at: full, isWanted: { [unowned self] in owed.find(id) != nil },
            reserved: { [unowned self] staged, detail in
                unpark()
                let batch = takeBatch()
                add(slot, .done, .done, commit: staged.commit, detail: detail, to: batch)
                commit(batch)
            },
            tooLate: { [unowned self] _, fault in
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

    /// Keeps a checkpoint. Its run goes on, but its next call waits for this (``whenRoom(for:size:_:)``).
    func parkCheckpoint(_ slot: UInt32, _ detail: SettlingBatch.Detail, at full: SubscriptionQueue) {
        guard let staged = detail.staged, let queue = queues[Int(owed[slot].pointee.queue)] else { return }
        let (open, parked) = (checkpoints(of: slot, queue), ParkedEffects(staged, detail))
        if let reason = excess(parked.size, in: open, at: full) { return cut(open, slot, because: reason) }
        keep(parked, in: open)
        park(
            parked, at: full, isWanted: { true },
            reserved: { [unowned self] _, detail in
                release(parked, from: open)
                commitCheckpoint(slot, detail)
            },
            tooLate: { [unowned self] staged, fault in
                release(parked, from: open)
                bury(staged, fault, of: slot, queue)
            },
            stopped: {})
    }

    private func park(
        _ parked: ParkedEffects, at full: SubscriptionQueue, isWanted: @escaping () -> Bool,
        reserved: @escaping (Staged, SettlingBatch.Detail) -> Void, tooLate: @escaping (Staged, Fault) -> Void,
        stopped: @escaping () -> Void
    ) {
        let name = full.name
        parked.patience = owner.timer(after: configuration.fullPatience) { [unowned self] in
            guard isWanted(), let (staged, _) = parked.take() else { return }
            let limit = DurationText.format(configuration.fullPatience)
            tooLate(
                staged,
                Fault(
                    .full,
                    "subscription '\(name)' had no room for the events of this handler for \(limit): let it catch up, "
                        + "then retry the dead letter"
                ))
        }
        func over() -> (Staged, SettlingBatch.Detail)? {
            if let patience = parked.patience { owner.cancel(patience) }
            return parked.take()
        }
        func seeker() -> RoomSeeker {
            RoomSeeker(
                attempt: { [unowned self] queue in
                    guard isWanted(), let staged = parked.staged else { return true }
                    let blocking = reserve(staged, seeking: queue)
                    if blocking === queue { return false }
                    if let blocking {
                        blocking.emitters.append(seeker())
                        noteRoom(blocking)
                    } else if let (staged, detail) = over() {
                        reserved(staged, detail)
                    }
                    return true
                },
                giveUp: { [unowned self] in
                    guard isWanted(), let staged = parked.staged else { return }
                    // The queue that was full is gone, or the bus stops: in the first case there may be room now.
                    if isOpen, let blocking = reserve(staged) {
                        blocking.emitters.append(seeker())
                        return
                    }
                    guard let (staged, detail) = over() else { return }
                    if isOpen { reserved(staged, detail) } else { stopped() }
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
