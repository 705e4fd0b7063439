internal import DequeModule
internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// From a batch to its place in the journal and in the queues.
extension Dispatcher {
    /// Takes a batch that the intake has let in.
    func admit(_ submission: Submission) {
        counts.emitted &+= UInt64(submission.events.count)
        let admission = Admission(submission)
        guard isOpen else { return refuse(admission, Intake.stopped) }
        if let full = tryAdmit(admission, seeking: nil) { park(admission, at: full) }
    }

    /// Finds out who is owed the batch, reserves their room and hands the batch to the journal.
    ///
    /// - Parameter seeking: the queue that the batch waited for and is first in line of.
    /// - Returns: a queue that has no room; nothing has happened then.
    private func tryAdmit(_ admission: Admission, seeking: SubscriptionQueue?) -> SubscriptionQueue? {
        if admission.generation != router.generation {
            match(admission.submission.events, into: &admission.matches)
            admission.generation = router.generation
        } else if let seeking, seeking.room < admission.share {
            return seeking
        }
        if let full = reserve(admission.matches, seeking: seeking) { return full }
        append(admission, mayTrim: true)
        return nil
    }

    func match(_ events: [Event], into matches: inout ContiguousArray<Router.Match>) {
        matches.removeAll(keepingCapacity: true)
        router.match(events, into: &matches) { noteUntested($1, of: $0) }
    }

    // MARK: Room

    /// Reserves a place for each event of each match, or none and names a queue that is full. A queue that others wait for counts as full.
    func reserve(_ matches: ContiguousArray<Router.Match>, seeking: SubscriptionQueue?) -> SubscriptionQueue? {
        for index in matches.indices {
            let flow = flows[matches[index].queue]
            if flow.pointee.room >= matches[index].count, !flow.pointee.hasEmitters || matches[index].queue == seeking?.index {
                flow.pointee.reserved += matches[index].count
            } else {
                release(matches[..<index])
                return queues[Int(matches[index].queue)]
            }
        }
        return nil
    }

    /// Gives back reserved places.
    func release(_ matches: ArraySlice<Router.Match>) {
        for match in matches {
            let flow = flows[match.queue]
            flow.pointee.reserved -= match.count
            // A queue that was retired meanwhile had to stay for this.
            if !flow.pointee.isServing, flow.pointee.reserved == 0, let queue = queues[Int(match.queue)] { freeIfIdle(queue) }
        }
    }

    /// Gives back reserved places that nobody else takes, to those who wait for room.
    func giveUp(_ matches: ContiguousArray<Router.Match>) {
        release(matches[...])
        for match in matches {
            if let queue = queues[Int(match.queue)] { noteRoom(queue) }
        }
    }

    private func park(_ admission: Admission, at full: SubscriptionQueue) {
        let submission = admission.submission
        if let error = line(up: admission, for: full) { return refuse(admission, error) }
        guard submission.waitsForRoom, waitingBatches < configuration.waitingBatchesMax || submission.size == 0 else {
            noteRefusal(by: full)
            let text = "subscription '\(full.name)' holds \(full.fullness): let it catch up; if it stays full, its handler "
            return refuse(
                admission, EmitError(.full, text + "is too slow for what comes, or fails again and again", retryAfter: .seconds(1)))
        }
        waitingBatches += 1
        full.emitters.append(seeker(for: admission))
        noteRoom(full)
        guard let limit = submission.recordedWithin else { return }
        let name = full.name
        admission.timer = owner.timer(after: limit) { [unowned self] in
            guard !admission.isOver else { return }
            waitingBatches -= 1
            refuse(admission, EmitError(.timeout, "subscription '\(name)' had no room within the time: nothing was recorded"))
        }
    }

    /// Says, at most once a minute, that a queue refuses emitters: they know, but who runs the service may not.
    private func noteRefusal(by full: SubscriptionQueue) {
        let now = now()
        guard now >= full.refusalSilence else { return }
        full.refusalSilence = now + Duration.seconds(60).wholeNanoseconds
        logger.warning(
            """
            '\(full.name)' holds \(full.fullness): who emits what it is owed is refused until it catches up. If it does not, mend its handler or \
            switch its plugin off (POST /plugins/\(full.spec.plugin)/disable): then it refuses nobody, and what it is owed stays in the journal
            """)
    }

    /// Notes how much room the batch needs in a queue that is full, so that it is not tried before there is so much.
    ///
    /// - Returns: why it can never have it.
    private func line(up admission: Admission, for full: SubscriptionQueue) -> EmitError? {
        admission.share = admission.matches.reduce(0) { $1.queue == full.index ? $0 + $1.count : $0 }
        let limit = full.flow.pointee.countMax
        guard admission.share > limit else { return nil }
        return EmitError(
            .tooLarge,
            "\(admission.share) events of the batch are for subscription '\(full.name)', which holds at most \(limit): split it")
    }

    private func seeker(for admission: Admission) -> RoomSeeker {
        RoomSeeker(
            attempt: { [unowned self] queue in
                guard !admission.isOver else { return true }
                let generation = admission.generation
                let full = tryAdmit(admission, seeking: queue)
                if full === queue, admission.generation == generation { return false }
                if let full {
                    if let error = line(up: admission, for: full) {
                        waitingBatches -= 1
                        refuse(admission, error)
                        return true
                    }
                    if full === queue { return false }
                    full.emitters.append(seeker(for: admission))
                    noteRoom(full)
                } else {
                    waitingBatches -= 1
                    if let timer = admission.timer { owner.cancel(timer) }
                }
                return true
            },
            giveUp: { [unowned self] in
                guard !admission.isOver else { return }
                waitingBatches -= 1
                refuse(admission, Intake.stopped)
            })
    }

    /// Remembers that a queue may have room for those who wait for it.
    func noteRoom(_ queue: SubscriptionQueue) {
        if !queue.emitters.isEmpty { roomy.append(queue) }
    }

    /// Lets those in who wait for room, first come, first served.
    func wakeEmitters() {
        guard !roomy.isEmpty else { return }
        let queues = roomy
        roomy.removeAll(keepingCapacity: true)
        for queue in queues {
            while queue.room > 0, let first = queue.emitters.first, first.attempt(queue) { queue.emitters.removeFirst() }
        }
    }

    /// Tells everyone who waits for a queue to give up.
    func refuseEmitters(of queue: SubscriptionQueue) {
        let emitters = queue.emitters
        queue.emitters.removeAll()
        for seeker in emitters { seeker.giveUp() }
    }

    // MARK: Recording

    private func append(_ admission: Admission, mayTrim: Bool) {
        let split = admission.submission.isDurable ? nil : ephemeral.split(admission.submission.events)
        if let split, split.durable.isEmpty { return recorded(admission, .success(split.places([]))) }
        openCalls += 1
        journal.append(split?.durable ?? admission.submission.events) { result in
            self.onOwner {
                self.openCalls -= 1
                let result = split.map { result.map($0.places) } ?? result
                if mayTrim, case .failure(let error) = result, error.code == .full {
                    self.forgetDeparted()
                    self.trim { self.append(admission, mayTrim: false) }
                } else {
                    self.recorded(admission, result)
                }
            }
        }
    }

    private func recorded(_ admission: Admission, _ result: Result<[Recorded], JournalError>) {
        let submission = admission.submission
        let recorded: [Recorded]
        switch result {
        case .success(let value): recorded = value
        case .failure(let error):
            giveUp(admission.matches)
            refusal = (error, now())
            return refuse(admission, EmitError(.journal, error.message, retryAfter: .seconds(1)))
        }
        if refusal != nil { refusal = nil }
        intake.leave(submission)
        admission.isOver = true
        let ask = submission.settled.map { makeAsk(submission, recorded, $0) }
        let duplicates = place(submission.events, recorded, admission.matches, generation: admission.generation ?? 0, ask: ask)
        switch submission.recorded {
        case .nothing, .refusal: break
        case .count(let answer):
            answer(.success(SubmittedCount(recorded: recorded.count - duplicates, duplicates: duplicates)))
        case .receipts(let answer): answer(.success(receipts(submission.events, recorded)))
        }
        if let ask { open(ask, within: submission.settledWithin ?? .seconds(30)) }
    }

    private func refuse(_ admission: Admission, _ error: EmitError) {
        admission.isOver = true
        if let timer = admission.timer { owner.cancel(timer) }
        intake.leave(admission.submission)
        counts.refused &+= UInt64(admission.submission.events.count)
        admission.submission.refuse(error)
    }

    private func receipts(_ events: [Event], _ recorded: [Recorded]) -> [Receipt] {
        zip(events, recorded).map { Receipt(id: $0.id, position: $1.position, isDuplicate: $1.isDuplicate) }
    }

    // MARK: Results

    private func makeAsk(_ submission: Submission, _ recorded: [Recorded], _ settled: @escaping @Sendable ([Receipt]) -> Void) -> Ask {
        let ask = Ask(receipts: receipts(submission.events, recorded), rule: submission.settledBy, answer: settled)
        guard !away.isEmpty else { return ask }
        for index in submission.events.indices where !recorded[index].isDuplicate && recorded[index].position > 0 {
            ask.owe(index, awayCount(for: submission.events[index]))
        }
        return ask
    }

    /// Starts waiting for the results of an ask.
    func open(_ ask: Ask, within limit: Duration) {
        if ask.isOver || ask.finishIfComplete() { return }
        asks.add(ask, deadline: now() + limit.wholeNanoseconds)
        armAsks()
    }

    private func armAsks() {
        guard let deadline = asks.nextDeadline, deadline < asks.timerDeadline else { return }
        if let timer = asks.timer { owner.cancel(timer) }
        asks.timerDeadline = deadline
        asks.timer = owner.timer(after: .nanoseconds(deadline - now())) { [unowned self] in
            asks.timer = nil
            asks.timerDeadline = .max
            while let ask = asks.popDue(now()) { ask.finish() }
            armAsks()
        }
    }

    /// Tells an ask how one subscription ended.
    func resolve(_ ask: Ask, _ index: Int, order: Int, _ result: HandlerResult) {
        guard ask.resolve(index, order: order, result) else { return }
        asks.noteAnswered()
    }
}
