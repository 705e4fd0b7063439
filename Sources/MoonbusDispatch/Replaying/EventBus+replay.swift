internal import MoonbusEvents
internal import MoonbusJournal

extension EventBus {
    /// Lets one plugin handle recorded events once more, with effects; from any thread.
    ///
    /// When this returns the replay has begun, and goes on over restarts, until its last event has ended. What is recorded after the call
    /// is not replayed. What its handlers emit has ids of this replay's own: a second replay is a second set of effects.
    ///
    /// - Throws: ``ReplayError``: nothing has happened.
    package func beginReplay(_ order: ReplayOrder) async throws(ReplayError) -> ReplayStatus {
        let asked = await owner.perform { Result { () throws(ReplayError) in try self.dispatcher.prospects(order) } }
        guard let asked else { throw Self.stopped }
        let (prospects, end) = try asked.get()
        guard let stretch = try await stretch(of: order, for: prospects, through: end) else {
            throw await owner.perform { self.dispatcher.noEvents(order) } ?? Self.stopped
        }
        return try await performReplay { self.dispatcher.begin(order, stretch, $0) }
    }

    /// How the open replays of a plugin are, and the last ones that are over; by number. From any thread.
    package func replays(of plugin: String) async throws(ReplayError) -> [ReplayStatus] {
        try await performReplay { done in
            self.dispatcher.replays(of: plugin) { result in done(result.mapError { ReplayError($0) }) }
        }
    }

    /// Stops a replay: what runs may finish, the rest is owed no more. From any thread.
    ///
    /// - Throws: ``ReplayError`` `.noReplay`; `.journal` if it goes on because the journal could not be told.
    package func stopReplay(plugin: String, number: UInt32) async throws(ReplayError) -> ReplayStatus {
        try await performReplay { self.dispatcher.stopReplay(plugin: plugin, number: number, $0) }
    }

    /// Ends replays from before the start whose plugins nobody has: a folder lost them while the service was down. On the owner thread.
    package func endReplays(exceptOf plugins: Set<String>) {
        assert(owner.isCurrent)
        // A Swift handler is its own plugin, and in no folder.
        let lost = dispatcher.replays.dormant.values.filter { $0.name.original != $0.order.plugin && !plugins.contains($0.order.plugin) }
        for plugin in Set(lost.map(\.order.plugin)) {
            dispatcher.endReplays(of: plugin, because: "its plugin is not there any more")
        }
    }

    /// Looks for the order's events, off the owner thread, from the newest back: an order is mostly about the recent past.
    private func stretch(
        of order: ReplayOrder, for prospects: [Dispatcher.Prospect], through end: UInt64
    ) async throws(ReplayError) -> ReplayStretch? {
        var found: ReplayStretch?
        do throws(JournalError) {
            _ = try await LogWalk.back(from: end, { question throws(JournalError) in try await self.ask(question) }) { page in
                for recorded in page.reversed()
                where order.includes(recorded.event) && prospects.contains(where: { $0.wants(recorded.event) }) {
                    let last = found?.last ?? recorded.position
                    found = ReplayStretch(first: recorded.position, last: last, count: (found?.count ?? 0) + 1)
                }
                // Events may be a little out of order in time, a whole page of them is not.
                guard let from = order.from else { return true }
                return !page.allSatisfy { $0.event.time < from }
            }
        } catch {
            throw ReplayError(error)
        }
        return found
    }

    private static let stopped = ReplayError(.journal, "the bus is stopped")

    private func performReplay<Value: Sendable>(
        _ work: @escaping @Sendable (@escaping @Sendable (Result<Value, ReplayError>) -> Void) -> Void
    ) async throws(ReplayError) -> Value {
        let answer: Result<Value, ReplayError> = await withCheckedContinuation { continuation in
            let isOpen = owner.post { work { continuation.resume(returning: $0) } }
            if !isOpen { continuation.resume(returning: .failure(Self.stopped)) }
        }
        return try answer.get()
    }
}

extension Dispatcher.Prospect {
    func wants(_ event: Event) -> Bool {
        event.withUnsafeType { pattern.matches(typeBytes: $0) } && filter?.matches(event) ?? true
    }
}
