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
            for queue in queues where queue.phase != .retired { self.retire([queue], inJournal: false) }
            begun(.failure(ReplayError(error)))
        }
    }

    /// No subscription can have this name: theirs have no spaces.
    static let numberName = "the number of a replay"

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
        take((page?.owed(beyond: replay.progress) ?? []).filter { replay.order.includes($0.event) }, queue)
    }
}
