internal import MoonbusEvents
internal import MoonbusJournal

/// Questions to the journal, dead letters, and what may be forgotten.
extension Dispatcher {
    /// How many recorded events lie between two calls of `trim`.
    private static let trimEvery = 16_384

    func state(plugin: String, key: String, completion: @escaping @Sendable (Result<StateEntry?, JournalError>) -> Void) {
        journal.read(.state(plugin: plugin, key: key, now: owner.clock.now())) { answer in
            self.onOwner {
                completion(answer.map { if case .state(let entries) = $0 { entries.first } else { nil } })
            }
        }
    }

    func scan(
        plugin: String, prefix: String, after: String?, limit: Int,
        completion: @escaping @Sendable (Result<[StateEntry], JournalError>) -> Void
    ) {
        let question = JournalQuestion.scan(plugin: plugin, prefix: prefix, after: after, limit: limit, now: owner.clock.now())
        journal.read(question) { answer in
            self.onOwner {
                completion(answer.map { if case .state(let entries) = $0 { entries } else { [] } })
            }
        }
    }

    // MARK: Dead letters

    /// Makes a dead letter due again, with other data if there is some.
    func revive(_ id: UInt64, data: JSON?, _ completion: @escaping @Sendable (Result<Void, JournalError>) -> Void) {
        journal.read(.deadLetter(id: id)) { answer in
            self.onOwner {
                do throws(JournalError) {
                    guard case .deadLetters(let letters) = try answer.get(), let letter = letters.first else {
                        throw JournalError(.notFound, "there is no dead letter \(id)")
                    }
                    try self.revive(data.map { letter.carrying($0) } ?? letter, completion)
                } catch {
                    completion(.failure(error))
                }
            }
        }
    }

    private func revive(_ letter: DeadLetter, _ completion: @escaping @Sendable (Result<Void, JournalError>) -> Void) throws(JournalError) {
        if let name = ReplayName(letter.subscription), names[letter.subscription] == nil || replays.reopening[name] != nil {
            return reopen(name, for: letter) { result in
                do throws(JournalError) {
                    try result.get()
                    try self.reviveNow(letter, completion)
                } catch {
                    completion(.failure(error))
                }
            }
        }
        try reviveNow(letter, completion)
    }

    private func reviveNow(
        _ letter: DeadLetter, _ completion: @escaping @Sendable (Result<Void, JournalError>) -> Void
    ) throws(JournalError) {
        guard let queue = names[letter.subscription], queue.phase == .serving, let number = queue.number else {
            throw JournalError(
                .notServed,
                "dead letter \(letter.id) is for subscription '\(letter.subscription)', which is not there: load its plugin first")
        }
        let now = owner.clock.now()
        let position = letter.position > 0 ? letter.position : UnloggedPlace.revived(letter: letter.id)
        let stray = Stray(position: position, event: letter.event, due: now, failures: letter.failures)
        openCalls += 1
        queue.replay?.holds += 1
        journal.settle([Settlement(number, .nothing, .revived(letter: letter.id, stray))]) { result in
            self.onOwner {
                self.openCalls -= 1
                completion(result.map { _ in })
                queue.replay?.holds -= 1
                guard queue.phase != .retired else { return }
                if case .success(let answers) = result, case .committed? = answers.first { self.takeRevived(letter, queue) }
                if queue.replay != nil { self.deliveryEnded(queue) }
            }
        }
    }

    /// Gives up a dead letter.
    func drop(_ id: UInt64, _ completion: @escaping @Sendable (Result<Void, JournalError>) -> Void) {
        commitForOperator(.revived(letter: id, nil)) { result in
            completion(
                result.flatMap { settled in
                    if case .hadEnded = settled { .failure(JournalError(.notFound, "there is no dead letter \(id)")) } else { .success(()) }
                })
        }
    }

    /// Attempts begin anew; the errors so far stay with the delivery.
    private func takeRevived(_ letter: DeadLetter, _ queue: SubscriptionQueue) {
        let slot = owed.take()
        owed[slot].pointee.event = letter.event
        owed[slot].pointee.position = letter.position
        owed[slot].pointee.queue = queue.index
        owed[slot].pointee.stage = .queued
        owed[slot].pointee.isStray = true
        owed[slot].pointee.isResult = UnloggedPlace.isResult(letter.event, queue)
        extra(of: slot).failures = letter.failures
        if !owed[slot].pointee.isResult { noteResultSource(slot) }
        if owed[slot].pointee.isResult { countResults(letter.event.recordSize, of: queue) }
        if letter.position == 0 { extra(of: slot).strayPosition = UnloggedPlace.revived(letter: letter.id) }
        queue.count += 1
        queue.urgent.append(slot)
        ready(queue)
    }

    // MARK: Trimming

    func trimIfDue() {
        guard recordedSinceTrim >= Self.trimEvery else { return }
        trim {}
    }

    /// Tells the journal what nobody is owed any more.
    func trim(_ done: @escaping @Sendable () -> Void) {
        // Who waits for the answer to its claim may be owed anything, and has no number to be named by.
        guard openClaims == 0 else { return done() }
        recordedSinceTrim = 0
        let owing = queues.compactMap { queue -> SubscriptionNumber? in
            // What is no subscription to events is owed nothing of the log, whatever it has in hand.
            guard let queue, case .events = queue.spec.trigger,
                queue.count > 0 || queue.phase != .serving || queue.backlog != nil || queue.replay != nil
            else { return nil }
            return queue.number
        }
        journal.trim(through: lastPosition, owing: owing) { _ in self.onOwner(done) }
    }

    // MARK: Statistics

    func statistics(ofEach: Bool = true) -> BusStatistics {
        var statistics = counts
        statistics.settled &+= plainEnds
        statistics.refused &+= intake.refusedCount
        statistics.unmatchedTypes = unmatched.table
        statistics.delayed = delays.count
        statistics.waitingBatches = waitingBatches
        guard ofEach else { return statistics }
        statistics.subscriptions = names.values.sorted { $0.order < $1.order }.map { queue in
            BusStatistics.Subscription(
                name: queue.name, plugin: queue.spec.plugin, queued: queue.count - queue.inFlight, inFlight: queue.inFlight,
                unread: queue.backlog.map { lastPosition - min($0.read, lastPosition) } ?? 0, done: queue.flow.pointee.doneCount,
                retried: queue.retriedCount, dead: queue.deadCount, shed: queue.shedCount)
        }
        return statistics
    }
}

extension DeadLetter {
    /// The same letter, its event with other data.
    fileprivate func carrying(_ data: JSON) -> DeadLetter {
        var letter = self
        letter.event = data.withUnsafeBytes { bytes in
            event.withUnsafeFields { original in
                var fields = original
                fields.data = bytes
                return Event.make(fields)
            }
        }
        return letter
    }
}
