internal import MoonbusEvents
internal import MoonbusJournal

/// From outcomes to what the journal commits.
extension Dispatcher {
    /// Takes outcomes of any kind. Those without effects and result are settled first: they have nothing that could depend on the order.
    func settle(_ outcomes: [Outcome]) {
        let batch = takeBatch()
        var landings = Landings()
        var others: [(slot: UInt32, index: Int)] = []
        batch.fill(outcomes.count) { settlements, endings in
            for index in outcomes.indices {
                guard let slot = land(outcomes[index].delivery, &landings) else { continue }
                if case .done(nil) = outcomes[index].verdict, outcomes[index].effects.isEmpty, isPlainlyDone(slot) {
                    addDone(slot, &settlements, &endings)
                } else {
                    others.append((slot, index))
                }
            }
        }
        for other in others { settle(other.slot, outcomes[other.index], batch) }
        book(landings)
        commit(batch)
    }

    /// Takes deliveries whose handlers returned nothing and want nothing.
    func settle(done ids: [UInt64]) {
        let batch = takeBatch()
        var landings = Landings()
        var others: [UInt32] = []
        batch.fill(ids.count) { settlements, endings in
            for id in ids {
                guard let slot = land(id, &landings) else { continue }
                if isPlainlyDone(slot) { addDone(slot, &settlements, &endings) } else { others.append(slot) }
            }
        }
        for slot in others { settleDone(slot, nil, [], batch) }
        book(landings)
        commit(batch)
    }

    private func settle(_ slot: UInt32, _ outcome: Outcome, _ batch: SettlingBatch) {
        switch outcome.verdict {
        case .done(let result): settleDone(slot, result, outcome.effects, batch)
        case .failed(let fault): settleFailed(slot, fault, batch)
        case .rejected(let reason): settleDead(slot, Fault(.rejected, reason), batch)
        case .retry(let delay): settleRetry(slot, nil, after: max(.zero, delay), batch)
        case .interrupted: requeue(slot, countsAsAttempt: false)
        }
    }

    /// True when the end of a delivery without effects and result is an acknowledgement and nothing else.
    @inline(__always)
    private func isPlainlyDone(_ slot: UInt32) -> Bool {
        let entry = owed[slot]
        return entry.pointee.position > 0 && !flows[entry.pointee.queue].pointee.hasSequel
            && (entry.pointee.extra == nil || !isAwaited(slot))
    }

    /// Adds the settlement of a delivery that is just done.
    @inline(__always)
    private func addDone(_ slot: UInt32, _ settlements: inout [Settlement], _ endings: inout ContiguousArray<SettlingBatch.Ending>) {
        let number = flows[owed[slot].pointee.queue].pointee.number
        settlements.append(Settlement(number, coverage(of: slot, .done), .done))
        endings.append(SettlingBatch.Ending(slot: slot, kind: .done, detail: nil))
    }

    /// Commits what policies skipped in this turn.
    func settleShed() {
        guard !shed.isEmpty else { return }
        let batch = takeBatch()
        for slot in shed { add(slot, .done, .shed, to: batch) }
        shed.removeAll(keepingCapacity: true)
        commit(batch)
    }

    // MARK: Verdicts

    private func settleDone(_ slot: UInt32, _ result: JSON?, _ effects: [Effect], _ batch: SettlingBatch) {
        guard let queue = queues[Int(owed[slot].pointee.queue)] else { return }
        var detail: SettlingBatch.Detail?
        if result != nil, isAwaited(slot) {
            detail = SettlingBatch.Detail()
            detail?.result = result
        }
        let schedule = nextSchedule(after: slot, queue)
        guard !effects.isEmpty || schedule != nil else {
            if isUnknownToJournal(slot) { return concludeEphemeral(slot, .done, detail) }
            return add(slot, .done, .done, detail: detail, to: batch)
        }
        let staged: Staged
        do throws(Fault) {
            staged = try stage(effects, of: slot, queue, schedule: schedule)
        } catch {
            return settleFailed(slot, error, batch)
        }
        let finished = detail ?? SettlingBatch.Detail()
        finished.staged = staged
        if let full = reserve(staged) {
            parkOutcome(slot, finished, at: full)
        } else {
            add(slot, .done, .done, commit: staged.commit, detail: finished, to: batch)
        }
    }

    /// A failed run: another attempt by the policy, or the end.
    func settleFailed(_ slot: UInt32, _ fault: Fault, _ batch: SettlingBatch) {
        guard let queue = queues[Int(owed[slot].pointee.queue)] else { return }
        let attempt = Int(owed[slot].pointee.attempt)
        guard attempt < queue.spec.policy.retry.attempts, !runsForEver(slot, queue) else { return settleDead(slot, fault, batch) }
        let delay = jitter.draw(queue.spec.policy.retry.ceiling(afterFailures: attempt))
        settleRetry(slot, fault, after: delay, batch)
    }

    /// - Parameter fault: nil: the handler asked for it, and it counts as no attempt.
    private func settleRetry(_ slot: UInt32, _ fault: Fault?, after delay: Duration, _ batch: SettlingBatch) {
        let now = owner.clock.now()
        let extra = extra(of: slot)
        forgetCheckpoints(extra)
        if let fault {
            extra.failures.append(FailedAttempt(attempt: Int(owed[slot].pointee.attempt), time: now, fault: fault))
        } else {
            owed[slot].pointee.attempt &-= 1
        }
        let strays = slots(of: slot).compactMap { slot -> Stray? in
            guard let event = owed[slot].pointee.event, let position = strayPosition(of: slot) else { return nil }
            return Stray(position: position, event: event, due: now + delay, failures: extra.failures)
        }
        let detail = SettlingBatch.Detail()
        detail.delay = delay
        detail.fault = fault
        if isUnknownToJournal(slot) { return concludeEphemeral(slot, .retry, detail) }
        add(slot, .retry(strays), .retry, detail: detail, to: batch)
    }

    func settleDead(_ slot: UInt32, _ fault: Fault, _ batch: SettlingBatch) {
        guard let queue = queues[Int(owed[slot].pointee.queue)] else { return }
        let detail = SettlingBatch.Detail()
        detail.fault = fault
        if runsForEver(slot, queue) { return add(slot, .done, .dead, detail: detail, to: batch) }
        if isUnknownToJournal(slot) { return concludeEphemeral(slot, .dead, detail) }
        let now = owner.clock.now()
        let extra = extra(of: slot)
        extra.failures.append(FailedAttempt(attempt: Int(owed[slot].pointee.attempt), time: now, fault: fault))
        let letters = slots(of: slot).compactMap { slot -> DeadLetter? in
            guard let event = owed[slot].pointee.event, !isEphemeral(slot) else { return nil }
            return DeadLetter(
                subscription: queue.name, position: owed[slot].pointee.position, event: event, failures: extra.failures, died: now)
        }
        let schedule = nextSchedule(after: slot, queue).map { Commit(schedule: $0) }
        add(slot, .dead(letters), .dead, commit: schedule, detail: detail, to: batch)
    }

    // MARK: Checkpoints

    func checkpoint(_ id: UInt64, _ effects: [Effect]) {
        guard let slot = owed.find(id), owed[slot].pointee.stage == .flying, let queue = queues[Int(owed[slot].pointee.queue)],
            !effects.isEmpty, owed[slot].pointee.extra?.checkpoints?.isCut != true
        else { return }
        let detail = SettlingBatch.Detail()
        do throws(Fault) {
            detail.staged = try stage(effects, of: slot, queue, schedule: nil)
        } catch {
            return cancel(slot, reason: error.message)
        }
        extra(of: slot).emitCount += effects.reduce(0) { if case .emit = $1 { $0 + 1 } else { $0 } }
        guard let staged = detail.staged else { return }
        if let full = reserve(staged) {
            parkCheckpoint(slot, detail, at: full)
        } else if let reason = excess(staged.size, in: checkpoints(of: slot, queue), at: nil) {
            giveUp(staged.matches)
            cut(checkpoints(of: slot, queue), slot, because: reason)
        } else {
            commitCheckpoint(slot, detail)
        }
    }

    func commitCheckpoint(_ slot: UInt32, _ detail: SettlingBatch.Detail) {
        if let staged = detail.staged, let queue = queues[Int(owed[slot].pointee.queue)] {
            detail.committing = beginCommit(of: staged, in: checkpoints(of: slot, queue), owed.id(of: slot))
        }
        let batch = takeBatch()
        add(slot, .goesOn, .checkpoint, commit: detail.staged?.commit, detail: detail, to: batch)
        commit(batch)
    }

    // MARK: Building blocks

    /// The slots of a delivery: its own, and those of the other events of its batch.
    func slots(of slot: UInt32) -> [UInt32] {
        [slot] + (owed[slot].pointee.extra?.members ?? [])
    }

    func extra(of slot: UInt32) -> Owed.Extra {
        if let extra = owed[slot].pointee.extra { return extra }
        let extra = Owed.Extra()
        owed[slot].pointee.extra = extra
        return extra
    }

    private func stage(_ effects: [Effect], of slot: UInt32, _ queue: SubscriptionQueue, schedule: Timestamp?) throws(Fault) -> Staged {
        let events = slots(of: slot).compactMap { owed[$0].pointee.event }
        let isRoot = owed[slot].pointee.position == 0 && !owed[slot].pointee.isResult && !isEphemeral(slot)
        let stager = Stager(
            queue: queue, cause: events[0], hops: events.reduce(0) { max($0, $1.hops) }, isRoot: isRoot, now: owner.clock.now(),
            configuration: configuration, firstOrdinal: owed[slot].pointee.extra?.emitCount ?? 0, delayedCount: delays.count)
        return try Staged(stager.commit(effects, schedule: schedule, lineage: lineage, versions: &versions), ephemeral)
    }

    /// Finds out who is owed the events of a commit and reserves their room, or names a queue that has none.
    func reserve(_ staged: Staged, seeking: SubscriptionQueue? = nil) -> SubscriptionQueue? {
        guard !staged.events.isEmpty else { return nil }
        if staged.generation != router.generation {
            match(staged.events, into: &staged.matches)
            staged.generation = router.generation
        }
        return reserve(staged.matches, seeking: seeking)
    }

    /// Adds a settlement, and what is to be done once it is committed.
    @inline(__always)
    func add(
        _ slot: UInt32, _ transition: Transition, _ kind: SettlingBatch.Kind, commit: Commit? = nil, detail: SettlingBatch.Detail? = nil,
        to batch: SettlingBatch
    ) {
        let entry = owed[slot]
        let number = flows[entry.pointee.queue].pointee.number
        var (commit, detail) = (commit, detail)
        if entry.pointee.extra != nil { addResults(of: slot, kind, to: &commit, &detail) }
        batch.settlements.append(Settlement(number, coverage(of: slot, kind), transition, commit: commit))
        batch.endings.append(SettlingBatch.Ending(slot: slot, kind: kind, detail: detail))
    }

    private func addResults(
        of slot: UInt32, _ kind: SettlingBatch.Kind, to commit: inout Commit?, _ detail: inout SettlingBatch.Detail?
    ) {
        let results = results(of: slot, kind, detail)
        guard !results.isEmpty else { return }
        let known = detail ?? SettlingBatch.Detail()
        known.results = results
        detail = known
        let durable = results.filter(\.isDurable).map { SourceResult(to: $0.subscription, $0.stray) }
        if !durable.isEmpty { commit = (commit ?? Commit()).answering(durable) }
    }

    /// The places in the log that a settlement is about.
    @inline(__always)
    private func coverage(of slot: UInt32, _ kind: SettlingBatch.Kind) -> Settlement.Coverage {
        let entry = owed[slot]
        guard kind != .checkpoint else { return .nothing }
        guard entry.pointee.extra?.members.isEmpty ?? true else { return coverage(ofBatch: slot) }
        guard entry.pointee.position > 0 else { return coverageOfUnlogged(slot) }
        if entry.pointee.isStray { return .strays([entry.pointee.position]) }
        return .span(Span(after: entry.pointee.after, through: entry.pointee.position))
    }

    /// Its ephemeral events are in no log.
    private func coverage(ofBatch slot: UInt32) -> Settlement.Coverage {
        let logged = slots(of: slot).filter { owed[$0].pointee.position > 0 }
        guard let first = logged.first else { return .nothing }
        if owed[first].pointee.isStray { return .strays(logged.map { owed[$0].pointee.position }) }
        return .spans(logged.map { Span(after: owed[$0].pointee.after, through: owed[$0].pointee.position) })
    }
}
