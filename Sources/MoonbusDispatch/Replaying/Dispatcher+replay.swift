internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// Replays with effects: recorded events, in order, into one plugin once more.
///
/// A replay is a temporary durable subscription for each subscription of the plugin that can match: the same function, the same
/// policies, a name of its own (``ReplayName``). It begins before the first of its events, is in no router, and ends with the last one;
/// when everything up to there has ended, it is retired. So attempts, dead letters, reloads and restarts are those of any subscription,
/// and what its handlers want is settled with its own acknowledgements. What it is for lies in the journal, as its cursor.
///
/// The log is read a page at a time, the next one when less than a page is left to do.
extension Dispatcher {
    // MARK: Beginning

    /// A subscription that a replay can have, and what it takes.
    struct Prospect: Sendable {
        var name: String
        var pattern: EventPattern
        var filter: Filter?
    }

    /// The subscriptions that an order is for, and the end of the log.
    func prospects(_ order: ReplayOrder) throws(ReplayError) -> (prospects: [Prospect], end: UInt64) {
        guard isOpen else { throw ReplayError(.journal, "the bus is not running") }
        guard let queues = byPlugin[order.plugin] else { throw ReplayError(.noPlugin, "there is no plugin '\(order.plugin)' that serves") }
        let own = queues.filter { $0.replay == nil }
        guard own.contains(where: { $0.endpoint != nil }) else {
            throw ReplayError(.notServed, "plugin '\(order.plugin)' is switched off: enable it first")
        }
        let prospects = own.compactMap { queue -> Prospect? in
            guard case .events(let pattern, let filter) = queue.spec.trigger, pattern.overlaps(order.pattern) else { return nil }
            return Prospect(name: queue.name, pattern: pattern, filter: filter)
        }
        guard !prospects.isEmpty else {
            throw ReplayError(
                .notServed,
                "plugin '\(order.plugin)' has no subscription for '\(order.pattern)'; timers and sources don't take part in a replay")
        }
        guard replays.open.count + replays.beginning < ReplayTable.openMax else {
            throw ReplayError(.full, "\(ReplayTable.openMax) replays are open: wait until one is done, or stop one")
        }
        return (prospects, lastPosition)
    }

    /// Why nothing was found: perhaps because such events are never recorded.
    func noEvents(_ order: ReplayOrder) -> ReplayError {
        var text = "no event of '\(order.pattern)' that '\(order.plugin)' subscribes to is recorded in that time"
        let ephemeral = configuration.ephemeral.filter { $0.overlaps(order.pattern) }.map { "'\($0)'" }
        if !ephemeral.isEmpty { text += "; events of ephemeral types (\(ephemeral.joined(separator: ", "))) never are" }
        return ReplayError(.noEvents, text)
    }

    /// Begins a replay: its subscriptions are in the journal when `begun` is called, on the owner thread.
    func begin(
        _ order: ReplayOrder, _ stretch: ReplayStretch, _ begun: @escaping @Sendable (Result<ReplayStatus, ReplayError>) -> Void
    ) {
        replays.beginning += 1
        drawNumber { number in
            self.replays.beginning -= 1
            do throws(ReplayError) {
                try self.begin(order, stretch, number, begun)
            } catch {
                begun(.failure(error))
            }
        }
    }

    private func begin(
        _ order: ReplayOrder, _ stretch: ReplayStretch, _ number: Result<UInt32, JournalError>,
        _ begun: @escaping @Sendable (Result<ReplayStatus, ReplayError>) -> Void
    ) throws(ReplayError) {
        let drawn: UInt32
        do throws(JournalError) { drawn = try number.get() } catch { throw ReplayError(error) }
        let prospects = try prospects(order).prospects
        var fresh: [SubscriptionQueue] = []
        var claims: [Claim] = []
        for prospect in prospects {
            guard let original = names[prospect.name] else { continue }
            let part = ReplayPart(ReplayName(original: prospect.name, number: drawn), order, stretch)
            fresh.append(add(part.spec(like: original.spec), original.endpoint, replay: part))
            claims.append(Claim(name: part.name.text, beginning: .init(after: stretch.first - 1, cursor: part.record)))
            replays.add(part)
        }
        let queues = fresh
        claim(claims, for: queues) { result in
            guard case .failure(let error) = result else {
                self.logger.notice("replay \(drawn): '\(order.plugin)' handles \(stretch.count) events once more")
                // It may be over already, if the plugin went meanwhile.
                let status = self.status(of: drawn, floors: [:]) ?? self.replays.over.last { $0.number == drawn }
                return begun(status.map { .success($0) } ?? .failure(ReplayError(.noReplay, "replay \(drawn) has ended")))
            }
            self.replays.forget(drawn)
            for queue in queues where queue.phase != .retired { self.retire(queue, inJournal: false) }
            begun(.failure(ReplayError(error)))
        }
    }

    /// No subscription can have this name: theirs have no spaces.
    private static let numberName = "the number of a replay"

    /// Draws a number that the journal has given to nobody and gives to nobody again: that of a subscription which is retired at once.
    private func drawNumber(_ drawn: @escaping @Sendable (Result<UInt32, JournalError>) -> Void) {
        openCalls += 1
        // Both calls at once: a second replay, or a crash, must not find the name still there.
        journal.claim([Claim(name: Self.numberName)]) { claimed in
            self.onOwner { self.drawing(claimed, drawn) }
        }
        journal.retire([Self.numberName]) { _ in self.onOwner { self.openCalls -= 1 } }
    }

    private func drawing(_ claimed: Result<[Claimed], JournalError>, _ drawn: (Result<UInt32, JournalError>) -> Void) {
        drawn(
            claimed.flatMap { claimed -> Result<UInt32, JournalError> in
                guard let number = claimed.first else { return .failure(JournalError(.misuse, "a claim was not answered")) }
                // The name was still there: retiring it had failed, and its number has been a replay's. The retirement behind this claim clears it.
                guard number.isNew else { return .failure(JournalError(.unavailable, "no number could be drawn: try again")) }
                return .success(number.number.index)
            })
    }

    // MARK: Reading

    /// Takes up a replay's subscription where the journal has it.
    func beginReading(_ queue: SubscriptionQueue, _ progress: Progress) {
        queue.replay?.progress = progress
        queue.replay?.read = progress.floor
        queue.last = progress.floor
        queue.phase = .serving
        ready(queue)
        readOn(queue)
    }

    /// Makes sure that the log is read on, or the replay ends, when enough of it has ended. In a turn of its own: its caller is not done
    /// with the delivery.
    func deliveryEnded(_ queue: SubscriptionQueue) {
        guard queue.phase == .serving, let replay = queue.replay, !replay.isReading, wantsMore(queue, replay) else { return }
        queue.replay?.isReading = true
        owner.post {
            queue.replay?.isReading = false
            self.readOn(queue)
        }
    }

    private func wantsMore(_ queue: SubscriptionQueue, _ replay: ReplayPart) -> Bool {
        replay.read < replay.stretch.last ? queue.count < max(Self.pageCount, queue.spec.policy.batch?.count ?? 0) : queue.count == 0
    }

    private func readOn(_ queue: SubscriptionQueue) {
        guard isOpen, queue.phase == .serving, let replay = queue.replay, !replay.isReading, replay.holds == 0, wantsMore(queue, replay)
        else {
            return
        }
        guard replay.read < replay.stretch.last else { return end(queue, because: nil) }
        queue.replay?.isReading = true
        readPage(of: queue, after: replay.read, through: replay.stretch.last) { page in
            queue.replay?.isReading = false
            guard queue.phase == .serving else { return }
            switch page {
            case .success(let page): self.take(page, queue)
            case .failure(let error) where error.code == .unavailable:
                return self.readLater(queue)
            case .failure(let error):
                return self.end(queue, because: "the journal could not read its events after position \(replay.read): \(error.message)")
            }
            self.ready(queue)
            self.deliveryEnded(queue)
        }
    }

    private func readLater(_ queue: SubscriptionQueue) {
        queue.replay?.isReading = true
        _ = owner.timer(after: .seconds(1)) { [unowned self] in
            queue.replay?.isReading = false
            readOn(queue)
        }
    }

    /// - Parameter page: nil: there is nothing more.
    private func take(_ page: Page?, _ queue: SubscriptionQueue) {
        guard let replay = queue.replay else { return }
        queue.replay?.read = min(page?.last ?? replay.stretch.last, replay.stretch.last)
        for recorded in page?.owed ?? [] where replay.order.includes(recorded.event) && !replay.progress.hasEnded(recorded.position) {
            let slot = owed.take()
            owed[slot].pointee.event = recorded.event
            owed[slot].pointee.position = recorded.position
            queue.count += 1
            takeUp(slot, queue)
        }
    }

    // MARK: Ending

    /// Ends one subscription of a replay.
    ///
    /// - Parameter reason: why it ends early; nil: it is done.
    private func end(_ queue: SubscriptionQueue, because reason: String?, inJournal: Bool = true) {
        guard let replay = queue.replay else { return }
        let (done, dead) = (queue.flow.pointee.doneCount, queue.deadCount + replay.deadBefore)
        retire(queue, inJournal: inJournal)
        tell(replays.end(replay.name, done: done, dead: dead, because: reason))
    }

    private func tell(_ status: ReplayStatus?) {
        guard let status else { return }
        if let reason = status.reason {
            logger.warning("replay \(status.number) of '\(status.order.plugin)' has ended before its events: \(reason)")
        } else {
            logger.notice("replay \(status.number) of '\(status.order.plugin)' is done; dead letters: \(status.dead)")
        }
    }

    /// Stops a replay: what runs may finish, the rest is owed no more.
    func stopReplay(plugin: String, number: UInt32, _ stopped: @escaping @Sendable (Result<ReplayStatus, ReplayError>) -> Void) {
        guard let replay = replays.open[number], replay.order.plugin == plugin else {
            return stopped(.failure(ReplayError(.noReplay, "plugin '\(plugin)' has no open replay \(number)")))
        }
        // First the journal: if it refuses, the replay goes on, instead of coming back with the next start.
        openCalls += 1
        journal.retire(replay.originals.map { ReplayName(original: $0, number: number).text }) { result in
            self.onOwner {
                self.openCalls -= 1
                if case .failure(let error) = result { return stopped(.failure(ReplayError(error))) }
                // In the journal once more: it may have been taken up since, and claimed anew.
                self.endAll("it was stopped", inJournal: true) { $0.number == number }
                guard let status = self.replays.over.last(where: { $0.number == number }) else {
                    return stopped(.failure(ReplayError(.noReplay, "replay \(number) has ended meanwhile")))
                }
                stopped(.success(status))
            }
        }
    }

    /// Ends the replays of a plugin that is gone.
    func endReplays(of plugin: String, because reason: String) {
        let numbers = Set(replays.open.filter { $0.value.order.plugin == plugin }.keys)
        endAll(reason, inJournal: true) { numbers.contains($0.number) }
    }

    private func endAll(_ reason: String, inJournal: Bool, where isMeant: (ReplayName) -> Bool) {
        for queue in names.values {
            if let replay = queue.replay, isMeant(replay.name) { end(queue, because: reason, inJournal: inJournal) }
        }
        for name in replays.dormant.keys.filter(isMeant) {
            if inJournal { journal.retire([name.text]) { _ in } }
            tell(replays.end(name, because: reason))
        }
    }

    // MARK: New code

    /// Lets new code of the plugin handle the rest.
    func follow(_ queue: SubscriptionQueue, _ specs: [SubscriptionSpec], _ entry: EndpointEntry) {
        guard let replay = queue.replay else { return }
        if let original = original(of: replay, in: specs) { return change(queue, to: replay.spec(like: original), entry) }
        end(queue, because: Self.undeclared(replay))
    }

    /// Takes up the replays of a plugin that the journal knows from before the service was started; the queues are to be claimed.
    func takeUpReplays(of plugin: String, _ specs: [SubscriptionSpec], _ entry: EndpointEntry) -> [SubscriptionQueue] {
        var fresh: [SubscriptionQueue] = []
        for part in replays.dormant.values where part.order.plugin == plugin {
            if let original = original(of: part, in: specs) {
                replays.dormant[part.name] = nil
                fresh.append(add(part.spec(like: original), entry, replay: part))
            } else {
                journal.retire([part.name.text]) { _ in }
                tell(replays.end(part.name, dead: part.deadBefore, because: Self.undeclared(part)))
            }
        }
        return fresh
    }

    private func original(of part: ReplayPart, in specs: [SubscriptionSpec]) -> SubscriptionSpec? {
        specs.first { spec in
            guard spec.name == part.name.original, case .events = spec.trigger else { return false }
            return true
        }
    }

    private static func undeclared(_ part: ReplayPart) -> String { "'\(part.name.original)' is not declared any more" }

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
                if queue.phase != .retired { self.retire(queue, inJournal: false) }
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

    private func status(of number: UInt32, floors: [String: UInt64]) -> ReplayStatus? {
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
