package import MoonbusEvents
package import MoonbusJournal

/// A look through the log: in pages, so that the journal answers others in between, and with an end, because a pattern may match nothing.
///
/// | given | what is found |
/// |---|---|
/// | nothing | the newest events |
/// | `since` | the newest events that happened then or later |
/// | `before` | the newest events before that position |
/// | `after` | the first events after that position |
///
/// In each case those whose type matches, at most `limit` of them, in the order of the log.
package struct EventSearch: Sendable {
    /// Types to find.
    package var pattern: EventPattern
    /// The earliest time of an event.
    package var since: Timestamp?
    /// The position after which to look.
    package var after: UInt64?
    /// The position before which to look; not together with ``after``.
    package var before: UInt64?
    /// The most events to find.
    package var limit: Int

    /// What was found.
    package struct Found: Sendable {
        /// In the order of the log.
        package var events: [RecordedEvent] = []
        /// What to give as `after` for what comes behind this.
        package var next: UInt64 = 0
        /// The search ended before the log did: there were too many events to look at.
        package var isCut = false
        /// What to give as `before` to go on with a search that was cut on its way back; nil for every other.
        package var before: UInt64?
    }

    /// How a journal is asked.
    package typealias Asking = LogWalk.Asking

    private static let pageCount = 1_000
    /// Events that one search looks at: some tenths of a second.
    private static let looksMax = 50_000

    /// Creates a search.
    package init(pattern: EventPattern, since: Timestamp? = nil, after: UInt64? = nil, before: UInt64? = nil, limit: Int) {
        self.pattern = pattern
        self.since = since
        self.after = after
        self.before = before
        self.limit = limit
    }

    /// Searches.
    package func run(_ ask: Asking) async throws(JournalError) -> Found {
        if let after { try await forwards(from: after, ask) } else { try await backwards(ask) }
    }

    private func matches(_ recorded: RecordedEvent) -> Bool {
        if let since, recorded.event.time < since { return false }
        return recorded.event.withUnsafeType { pattern.matches(typeBytes: $0) }
    }

    private func forwards(from after: UInt64, _ ask: Asking) async throws(JournalError) -> Found {
        var found = Found(next: after)
        var looks = 0
        while found.events.count < limit {
            guard case .events(let page) = try await ask(.events(after: found.next, limit: Self.pageCount)), !page.isEmpty else { break }
            for recorded in page where found.events.count < limit {
                found.next = recorded.position
                if matches(recorded) { found.events.append(recorded) }
            }
            looks += page.count
            if looks >= Self.looksMax, found.events.count < limit {
                found.isCut = true
                break
            }
        }
        return found
    }

    private func backwards(_ ask: Asking) async throws(JournalError) -> Found {
        var newestFirst: [RecordedEvent] = []
        var looks = 0
        var isCut = false
        var first: UInt64?
        let last = before.map { $0 > 0 ? $0 - 1 : 0 }
        let end = try await LogWalk.back(from: last, ask) { page in
            first = page.first?.position
            for recorded in page.reversed() where newestFirst.count < limit && matches(recorded) { newestFirst.append(recorded) }
            looks += page.count
            // Events may be a little out of order in time, a whole page of them is not.
            let isPast = since.map { since in page.allSatisfy { $0.event.time < since } } ?? false
            if newestFirst.count >= limit || isPast { return false }
            isCut = looks >= Self.looksMax
            return !isCut
        }
        return Found(events: newestFirst.reversed(), next: end, isCut: isCut, before: isCut ? first : nil)
    }
}
