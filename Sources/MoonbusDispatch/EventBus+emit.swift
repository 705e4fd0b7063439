public import MoonbusEvents
internal import MoonbusJournal

extension EventBus {
    /// Emits one event.
    ///
    /// Waits while a subscription that it is for has no room. Cancelling the task does not take the event back.
    ///
    /// - Parameters:
    ///   - event: a fact; if one with its source and id was recorded within the last day, nothing happens.
    ///   - stage: `.recorded`, or `.settled` for the results of the handlers.
    ///   - limit: the longest wait, at most a day; nil: as long as it takes to be recorded, and 30 s for results. Results that have not come by then are counted
    ///     in ``Receipt/pending``.
    /// - Throws: ``EmitError``: `.full`, `.stopped`, `.tooLarge`, `.journal`, `.timeout`; the event is not recorded.
    @discardableResult
    public func emit(
        _ event: Event, until stage: EmitStage = .recorded, within limit: Duration? = nil
    ) async throws(EmitError) -> Receipt {
        try await emit([event], until: stage, within: limit)[0]
    }

    /// Emits a batch: all of its events are recorded, one after the other, or none.
    ///
    /// - Throws: as for one event.
    @discardableResult
    public func emit(_ events: [Event]) async throws(EmitError) -> [Receipt] {
        try await emit(events, until: .recorded, within: nil)
    }

    private func emit(_ events: [Event], until stage: EmitStage, within limit: Duration?) async throws(EmitError) -> [Receipt] {
        let answer: Result<[Receipt], EmitError> = await withCheckedContinuation { continuation in
            var submission = Submission(events: events, waitsForRoom: true)
            submission.recordedWithin = limit
            switch stage {
            case .recorded:
                submission.recorded = .receipts { continuation.resume(returning: $0) }
            case .settled:
                submission.recorded = .receipts { if case .failure = $0 { continuation.resume(returning: $0) } }
                submission.settled = { continuation.resume(returning: .success($0)) }
                submission.settledWithin = limit
            }
            submit(submission)
        }
        return try answer.get()
    }

    /// Hands over a batch from any thread and returns at once. Never waits for room: a full subscription is a refusal.
    ///
    /// - Parameters:
    ///   - events: 1 to 4,096 events, recorded all or none.
    ///   - settled: gets the receipts with results when `settledBy` says so, or `settledWithin` is over. Not called when the batch was refused.
    ///   - settledBy: how many results are waited for.
    ///   - settledWithin: the longest wait for results, from the moment of recording; nil: 30 s.
    ///   - recorded: called once the journal has recorded the batch, or refused it: before `settled`, on the owner thread or the calling one.
    package func submit(
        _ events: [Event], settled: (@Sendable ([Receipt]) -> Void)? = nil, settledBy rule: AskRule = .everyResult,
        settledWithin: Duration? = nil,
        recorded: @escaping @Sendable (Result<[Receipt], EmitError>) -> Void
    ) {
        var submission = Submission(events: events, waitsForRoom: false)
        submission.recorded = .receipts(recorded)
        submission.settled = settled
        submission.settledBy = rule
        submission.settledWithin = settledWithin
        submit(submission)
    }

    /// The same for an emitter that only wants to know how many were recorded: no receipt is made.
    package func submit(_ events: [Event], counted: @escaping @Sendable (Result<SubmittedCount, EmitError>) -> Void) {
        var submission = Submission(events: events, waitsForRoom: false)
        submission.recorded = .count(counted)
        submit(submission)
    }

    /// Hands over a batch on the owner thread, for someone who waits for its results. Not from inside of a callback of the bus: the batch is
    /// admitted at once, without the way through the mailbox, and the answer may come before this returns.
    ///
    /// - Parameters:
    ///   - events: as for ``submit(_:settled:settledWithin:recorded:)``.
    ///   - limit: the longest wait for results, from the moment of recording.
    ///   - settled: gets the receipts with results, on the owner thread.
    ///   - refused: called instead when nothing was recorded, on the owner thread.
    package func ask(
        _ events: [Event], within limit: Duration, settled: @escaping @Sendable ([Receipt]) -> Void,
        refused: @escaping @Sendable (EmitError) -> Void
    ) {
        assert(owner.isCurrent)
        var submission = Submission(events: events, waitsForRoom: false)
        submission.recorded = .refusal(refused)
        submission.settled = settled
        submission.settledWithin = limit
        if let refusal = intake.enter(&submission) { return submission.refuse(refusal) }
        dispatcher.admit(submission)
    }

    private func submit(_ submission: Submission) {
        var submission = submission
        if let refusal = intake.enter(&submission) { return submission.refuse(refusal) }
        let accepted = submission
        if !owner.post({ self.dispatcher.admit(accepted) }) {
            intake.leave(accepted)
            accepted.refuse(Intake.stopped)
        }
    }
}
