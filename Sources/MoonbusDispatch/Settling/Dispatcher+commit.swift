internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// From the journal's answer to what happens next.
extension Dispatcher {
    /// An empty batch; the last one's memory is used again.
    func takeBatch() -> SettlingBatch {
        defer { spareBatch = nil }
        return spareBatch ?? SettlingBatch()
    }

    /// Hands a batch to the journal. Until it answers, what is in it is nobody else's.
    func commit(_ batch: SettlingBatch) {
        if !batch.settlements.isEmpty {
            openCalls += 1
            for ending in batch.endings {
                if let detail = ending.detail, !detail.results.isEmpty { detail.results = addressed(detail.results) }
            }
            journal.settle(batch.settlements) { result in
                self.onOwner { self.committed(batch, result) }
            }
            guard batch.isAnswered else { return }
        }
        batch.clear()
        spareBatch = batch
    }

    private func committed(_ batch: SettlingBatch, _ result: Result<[Settled], JournalError>) {
        openCalls -= 1
        let answers: [Settled]
        switch result {
        case .success(let value): answers = value
        case .failure(let error): return tryAgain(batch, error)
        }
        if refusal != nil { refusal = nil }
        batch.isAnswered = true
        if settleTrouble.clear() { logger.notice("settling works again") }
        for index in batch.endings.indices {
            if batch.endings[index].kind == .done, batch.endings[index].detail == nil, endPlainly(batch.endings[index].slot) { continue }
            let ending = batch.endings[index]
            if ending.kind == .checkpoint, let committing = ending.detail?.committing { endCommit(committing) }
            switch answers[index] {
            case .committed(let recorded):
                if let staged = ending.detail?.staged { spread(staged, recorded, from: ending.slot) }
                conclude(ending)
                if let results = ending.detail?.results { deliver(results) }
            case .hadEnded:
                takeBack(ending)
                conclude(ending)
            case .conflict(let keys):
                takeBack(ending)
                runAgain(ending, after: keys)
            case .beyondShare(let excess):
                takeBack(ending)
                refuse(ending, excess)
            }
        }
    }

    /// Gives back the room that was reserved for what is not committed after all.
    private func takeBack(_ ending: SettlingBatch.Ending) {
        guard let detail = ending.detail else { return }
        if let staged = detail.staged { giveUp(staged.matches) }
        deliver(detail.results, isCommitted: false)
    }

    /// Keeps a batch until the journal takes it: its handlers have run, so forgetting it would run them twice.
    private func tryAgain(_ batch: SettlingBatch, _ error: JournalError) {
        if settleTrouble.failures == 0 {
            logger.warning("outcomes cannot be settled now and are kept until they can: \(error)")
        }
        refusal = (error, now())
        if error.code == .full {
            forgetDeparted()
            trim {}
        }
        _ = owner.timer(after: settleTrouble.note()) { [unowned self] in commit(batch) }
    }

    // MARK: Effects

    /// Hands the events of a commit to those who are owed them, and tells those who keep copies of state.
    private func spread(_ staged: Staged, _ recorded: [Recorded], from slot: UInt32) {
        let commit = staged.commit
        let queue = queues[Int(owed[slot].pointee.queue)]
        if !staged.events.isEmpty {
            let recorded = staged.split?.places(recorded) ?? recorded
            for event in staged.events { lineage.note(event) }
            _ = place(staged.events, recorded, staged.matches, generation: staged.generation ?? 0, ask: nil)
        }
        if !commit.delayed.isEmpty { delay(commit.delayed) }
        if let cursor = commit.cursor { queue?.cursor = cursor }
        if let queue, let state = commit.state, !state.writes.isEmpty { stateChanged?(queue.spec.plugin, .committed(state.writes)) }
        counts.dead &+= UInt64(commit.deadLetters.count)
        if let queue { queue.deadCount &+= UInt64(commit.deadLetters.count) }
    }

    // MARK: Endings

    /// The end of most deliveries: done, and nobody waits for their result, their room or their sequel.
    ///
    /// - Returns: false if there is more to it; nothing has happened then.
    @inline(__always)
    private func endPlainly(_ slot: UInt32) -> Bool {
        let entry = owed[slot]
        let flow = flows[entry.pointee.queue]
        guard entry.pointee.extra == nil, flow.pointee.isServing, !flow.pointee.hasEmitters, !flow.pointee.hasSequel
        else { return false }
        flow.pointee.inFlight -= 1
        flow.pointee.count -= 1
        flow.letGo(of: entry)
        flow.pointee.doneCount &+= 1
        plainEnds &+= 1
        let queue = entry.pointee.queue
        if entry.pointee.holdsKey { passKey(of: slot, flow) }
        owed.free(slot)
        ready(queue)
        return true
    }

    /// Does what follows from an answered settlement.
    func conclude(_ ending: SettlingBatch.Ending) {
        let slot = ending.slot
        guard let queue = queues[Int(owed[slot].pointee.queue)] else { return }
        switch ending.kind {
        case .checkpoint: return
        case .retry: return waitForRetry(slot, queue, ending.detail)
        case .done:
            counts.settled &+= 1
            queue.flow.pointee.doneCount &+= 1
        case .shed:
            counts.shed &+= 1
            queue.shedCount &+= 1
        case .dead: noteDeath(slot, queue, ending.detail?.fault)
        }
        if ending.kind != .shed { queue.inFlight -= 1 }
        let isTick = isTick(slot, queue)
        finish(slot, queue, ending.kind, ending.detail)
        if isTick { tickEnded(queue, fault: ending.kind == .dead ? ending.detail?.fault : nil) }
    }

    /// Takes an ended delivery out of everything: its key goes on, its askers are told, its room is free.
    func finish(_ slot: UInt32, _ queue: SubscriptionQueue, _ kind: SettlingBatch.Kind, _ detail: SettlingBatch.Detail?) {
        if let extra = owed[slot].pointee.extra {
            forgetCheckpoints(extra)
            for member in extra.members {
                tellAsk(member, queue, kind, detail, attempts: Int(owed[slot].pointee.attempt))
                queue.flow.letGo(of: owed[member])
                owed.free(member)
            }
            queue.count -= extra.members.count
            tellAsk(slot, queue, kind, detail, attempts: Int(owed[slot].pointee.attempt))
        }
        if owed[slot].pointee.holdsKey { passKey(of: slot, queue.flow) }
        if owed[slot].pointee.isResult { countResults(-(owed[slot].pointee.event?.recordSize ?? 0), of: queue) }
        if queue.backlog != nil { queue.backlog?.size -= owed[slot].pointee.event?.recordSize ?? 0 }
        queue.flow.letGo(of: owed[slot])
        owed.free(slot)
        queue.count -= 1
        if !queue.emitters.isEmpty { roomy.append(queue) }
        ready(queue)
        if queue.replay != nil { deliveryEnded(queue) }
        if queue.backlog != nil { deliveryEnded(ofBacklogOf: queue) }
        if queue.phase == .retired { freeIfIdle(queue) }
    }

    /// Gives the key of an ended delivery to the next in line.
    @inline(__always)
    private func passKey(of slot: UInt32, _ flow: UnsafeMutablePointer<Flow>) {
        owed[slot].pointee.holdsKey = false
        guard let next = flow.pointee.keys.release(owed[slot].pointee.key, in: owed) else { return }
        owed[next].pointee.holdsKey = true
        flow.pointee.urgent.append(next)
    }

    private func tellAsk(
        _ slot: UInt32, _ queue: SubscriptionQueue, _ kind: SettlingBatch.Kind, _ detail: SettlingBatch.Detail?, attempts: Int
    ) {
        guard let extra = owed[slot].pointee.extra, let ask = extra.ask else { return }
        let result = HandlerResult(
            subscription: queue.name, status: kind.status(detail?.fault), result: detail?.result, error: detail?.fault, attempts: attempts)
        resolve(ask, extra.askIndex, order: queue.order, result)
    }

    private func noteDeath(_ slot: UInt32, _ queue: SubscriptionQueue, _ fault: Fault?) {
        guard !runsForEver(slot, queue) else { return }
        if isEphemeral(slot) { return noteLoss(slot, queue, fault) }
        counts.dead &+= 1
        queue.deadCount &+= 1
        let event = owed[slot].pointee.event.map { "\($0)" } ?? ""
        logger.warning(
            "'\(queue.name)' gave up on \(event) after attempt \(owed[slot].pointee.attempt): it is a dead letter now",
            metadata: ["fault": "\(fault.map(String.init(describing:)) ?? "")"])
    }

    // MARK: Once more

    private func waitForRetry(_ slot: UInt32, _ queue: SubscriptionQueue, _ detail: SettlingBatch.Detail?) {
        queue.inFlight -= 1
        if queue.phase == .retired { return forget(slot, queue) }
        if let fault = detail?.fault {
            counts.retried &+= 1
            queue.retriedCount &+= 1
            noteFailure(slot, queue, fault, again: detail?.delay ?? .zero)
        }
        for slot in slots(of: slot) where strayPosition(of: slot) != nil { owed[slot].pointee.isStray = true }
        waitUntilDue(slot, queue, after: detail?.delay ?? .zero)
        ready(queue)
    }

    /// Says that a run failed: the first one of the present code, so that who has just saved it need not wait for the last attempt, and then
    /// each thousandth, because a flood of failures is one problem.
    private func noteFailure(_ slot: UInt32, _ queue: SubscriptionQueue, _ fault: Fault, again delay: Duration) {
        queue.failedCount += 1
        guard queue.failedCount % 1_000 == 1 else { return }
        let event = owed[slot].pointee.event.map { "\($0)" } ?? ""
        let (attempt, attempts) = (owed[slot].pointee.attempt, queue.spec.policy.retry.attempts)
        logger.warning(
            "'\(queue.name)' failed on \(event), attempt \(attempt) of \(attempts): it runs again in \(DurationText.format(delay))",
            metadata: ["fault": "\(fault)", "failed": "\(queue.failedCount)"])
    }

    /// Brings a delivery back after `delay`. It keeps its key meanwhile.
    func waitUntilDue(_ slot: UInt32, _ queue: SubscriptionQueue, after delay: Duration) {
        owed[slot].pointee.stage = .retrying
        owed.rename(slot)
        let id = owed.id(of: slot)
        _ = owner.timer(after: delay) { [unowned self] in
            guard owed.find(id) == slot, owed[slot].pointee.stage == .retrying else { return }
            owed[slot].pointee.stage = .queued
            queue.urgent.append(slot)
            ready(queue)
        }
    }

    /// State had changed under a handler: it runs again at once, so often; then that is a failure.
    private func runAgain(_ ending: SettlingBatch.Ending, after keys: [String]) {
        let slot = ending.slot
        guard let queue = queues[Int(owed[slot].pointee.queue)] else { return }
        if let state = ending.detail?.staged?.commit.state {
            let untrue = state.reads.filter { keys.contains($0.key) } + state.writes.map { StateRead(key: $0.key, version: $0.version) }
            stateChanged?(queue.spec.plugin, .refuted(untrue))
        }
        let named = keys.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
        guard ending.kind != .checkpoint else {
            return cancel(slot, reason: "state that it had read changed before it was committed: \(named)")
        }
        let extra = extra(of: slot)
        extra.conflicts += 1
        guard extra.conflicts > configuration.conflictsMax else { return requeue(slot, countsAsAttempt: false) }
        extra.conflicts = 0
        let text =
            "\(named) changed under this handler \(configuration.conflictsMax + 1) times in a row: give events that write the same state one key"
        let batch = takeBatch()
        settleFailed(slot, Fault(.conflict, text), batch)
        commit(batch)
    }
}
