internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// How replays end, and what new code of their plugin does to them.
extension Dispatcher {
    /// Ends one subscription of a replay.
    ///
    /// - Parameter reason: why it ends early; nil: it is done.
    func end(_ queue: SubscriptionQueue, because reason: String?, inJournal: Bool = true) {
        guard let replay = queue.replay else { return }
        let (done, dead) = (queue.flow.pointee.doneCount, queue.deadCount + replay.deadBefore)
        retire([queue], inJournal: inJournal)
        tell(replays.end(replay.name, done: done, dead: dead, because: reason))
    }

    func tell(_ status: ReplayStatus?) {
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

    func original(of part: ReplayPart, in specs: [SubscriptionSpec]) -> SubscriptionSpec? {
        specs.first { spec in
            guard spec.name == part.name.original, case .events = spec.trigger else { return false }
            return true
        }
    }

    static func undeclared(_ part: ReplayPart) -> String { "'\(part.name.original)' is not declared any more" }
}
