internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// Replays that were there before: after a restart, for a dead letter, and what is told of them.
extension Dispatcher {
    // MARK: After a restart

    private static let lettersMax = 10_000

    /// Reads which replays are open.
    func readReplays(_ done: @escaping @Sendable (Result<Void, JournalError>) -> Void) {
        openCalls += 1
        journal.read(.subscriptions) { answer in
            self.onOwner {
                self.openCalls -= 1
                guard case .success(.subscriptions(let known)) = answer else { return done(answer.map { _ in }) }
                // A crash may have left it.
                if known.contains(where: { $0.name == Self.numberName }) { self.journal.retire([Self.numberName]) { _ in } }
                for part in known.compactMap(ReplayPart.init) {
                    self.replays.add(part)
                    self.replays.dormant[part.name] = part
                }
                if self.replays.dormant.isEmpty { return done(.success(())) }
                self.countLetters(done)
            }
        }
    }

    private func countLetters(_ done: @escaping @Sendable (Result<Void, JournalError>) -> Void) {
        journal.read(.deadLetters(limit: Self.lettersMax)) { answer in
            self.onOwner {
                if case .success(.deadLetters(let letters)) = answer {
                    for letter in letters {
                        if let name = ReplayName(letter.subscription) { self.replays.dormant[name]?.deadBefore += 1 }
                    }
                }
                // They only count: a letter that can't be read keeps no service from starting.
                if case .failure(let error) = answer { self.logger.warning("dead letters of open replays are not counted: \(error)") }
                done(.success(()))
            }
        }
    }

    // MARK: Dead letters

    /// Makes a replay's subscription again for a dead letter of it.
    func reopen(_ name: ReplayName, for letter: DeadLetter, _ opened: @escaping @Sendable (Result<Void, JournalError>) -> Void) {
        guard let original = names[name.original], original.phase == .serving, case .events = original.spec.trigger,
            let all = try? EventPattern(">")
        else { return opened(.success(())) }  // the letter's subscription is not there, as the caller will find
        if replays.reopening[name] != nil {
            replays.reopening[name]?.append(opened)
            return
        }
        replays.reopening[name] = [opened]
        let order = replays.open[name.number]?.order ?? ReplayOrder(plugin: original.spec.plugin, pattern: all)
        let position = max(1, letter.position)
        let stretch = ReplayStretch(first: position, last: position, count: 1)
        var part = ReplayPart(name, order, stretch)
        part.holds = 1
        let queue = add(part.spec(like: original.spec), original.endpoint, replay: part)
        replays.add(part)
        claim([Claim(name: name.text, beginning: .init(after: .max, cursor: part.record))], for: [queue]) { result in
            if case .failure = result {
                _ = self.replays.end(name)
                if queue.phase != .retired { self.retire([queue], inJournal: false) }
            }
            for opened in self.replays.reopening.removeValue(forKey: name) ?? [] { opened(result) }
            // Whoever wanted it has a hold of its own by now, or has given up.
            queue.replay?.holds -= 1
            if queue.phase != .retired { self.deliveryEnded(queue) }
        }
    }

    // MARK: Telling

    /// How the open replays of a plugin are, and how those ended that ended lately; by number.
    func replays(of plugin: String, _ completion: @escaping @Sendable (Result<[ReplayStatus], JournalError>) -> Void) {
        openCalls += 1
        journal.read(.subscriptions) { answer in
            self.onOwner {
                self.openCalls -= 1
                completion(
                    answer.map { answer in
                        var floors: [String: UInt64] = [:]
                        if case .subscriptions(let known) = answer { for known in known { floors[known.name] = known.floor } }
                        let open = self.replays.open.filter { $0.value.order.plugin == plugin }.keys
                        return self.replays.over.filter { $0.order.plugin == plugin && self.replays.open[$0.number] == nil }
                            + open.sorted().compactMap { self.status(of: $0, floors: floors) }
                    })
            }
        }
    }

    func status(of number: UInt32, floors: [String: UInt64]) -> ReplayStatus? {
        guard let replay = replays.open[number] else { return nil }
        let stretch = replay.stretch
        var status = ReplayStatus(
            number: number, order: replay.order, first: stretch.first, last: stretch.last, count: stretch.count,
            subscriptions: replay.all, state: .waiting, position: stretch.last, done: replay.done, dead: replay.dead)
        for original in replay.originals {
            let name = ReplayName(original: original, number: number)
            status.position = min(status.position, max(floors[name.text] ?? 0, stretch.first - 1))
            if let queue = names[name.text] {
                if queue.endpoint != nil { status.state = .running }
                status.owed += queue.count
                status.done += queue.flow.pointee.doneCount
                status.dead += queue.deadCount + (queue.replay?.deadBefore ?? 0)
            } else {
                status.dead += replays.dormant[name]?.deadBefore ?? 0
            }
        }
        return status
    }
}
