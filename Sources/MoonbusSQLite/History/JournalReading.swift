internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// Answers from a connection that only reads: of a running journal (``History``), or of a folder that nobody has open.
struct JournalReading {
    let connection: Database

    /// - Throws: ``JournalError`` `.damaged`, `.misuse`; what GRDB throws.
    func answer(_ question: JournalQuestion) throws -> JournalAnswer {
        switch question {
        case .end:
            .position(
                UInt64(try Query(connection, "SELECT coalesce(max(position), 0) FROM events").number()))
        case .events(let position, let limit, let bytes): .events(try events(after: position, limit: limit, bytes: bytes))
        case .event(let id):
            .events(try EventLookup(connection: connection).event(id: id).map { [$0] } ?? [])
        case .deadLetters(let limit):
            .deadLetters(try letters("ORDER BY id DESC LIMIT ?", Int64(max(0, limit))))
        case .deadLetter(let id): .deadLetters(try letters("WHERE id = ?", Int64(bitPattern: id)))
        case .state(let plugin, let key, let now):
            .state(try entries(plugin, from: key, limit: 1, now: now) { $0 == key ? true : nil })
        case .scan(let plugin, let prefix, let after, let limit, let now):
            .state(
                try entries(plugin, from: laterOf(prefix, after), limit: limit, now: now) { key in
                    key.utf8.starts(with: prefix.utf8) ? key != after : nil
                })
        case .delayed, .measures, .subscriptions: throw JournalError(.misuse, "only an open journal answers this")
        }
    }

    /// In the order of the bytes, which is SQLite's.
    private func laterOf(_ prefix: String, _ after: String?) -> String {
        guard let after, prefix.utf8.lexicographicallyPrecedes(after.utf8) else { return prefix }
        return after
    }

    private func events(after position: UInt64, limit: Int, bytes: Int) throws -> [RecordedEvent] {
        guard limit > 0 else { return [] }
        let query = try Query(
            connection, "SELECT position, record FROM events WHERE position > ? ORDER BY position LIMIT ?"
        )
        query.bind(position, at: 1)
        query.bind(Int64(limit), at: 2)
        var events: [RecordedEvent] = []
        var size = 0
        while size < bytes, try query.step() {
            let position = query.unsigned(0)
            let event = try Self.event(query, 1, what: "event \(position)")
            size += event.recordSize
            events.append(RecordedEvent(position: position, event: event))
        }
        return events
    }

    private func letters(_ which: String, _ number: Int64) throws -> [DeadLetter] {
        let query = try Query(
            connection, "SELECT id, subscription, position, died, failures, record FROM letters \(which)")
        query.bind(number, at: 1)
        var letters: [DeadLetter] = []
        while try query.step() {
            let id = query.unsigned(0)
            guard let failures = query.withBytes(4, { FailureRecord.decode($0) }) else {
                throw JournalError(.damaged, "the errors of dead letter \(id) cannot be read")
            }
            letters.append(
                DeadLetter(
                    id: id, subscription: query.text(1), position: query.unsigned(2),
                    event: try Self.event(query, 5, what: "dead letter \(id)"), failures: failures,
                    died: Timestamp(microseconds: query.int(3))))
        }
        return letters
    }

    /// - Parameter isWanted: says of a key whether it is one, or with nil that no later one is.
    private func entries(
        _ plugin: String, from start: String, limit: Int, now: Timestamp, _ isWanted: (String) -> Bool?
    ) throws -> [StateEntry] {
        let query = try Query(
            connection,
            "SELECT key, version, expires, value FROM state WHERE plugin = ? AND key >= ? ORDER BY key")
        query.bind(plugin, at: 1)
        query.bind(start, at: 2)
        var entries: [StateEntry] = []
        while entries.count < limit, try query.step(), let isWanted = isWanted(query.text(0)) {
            let expires = query.time(2)
            guard isWanted, expires.map({ $0 > now }) ?? true else { continue }
            entries.append(
                StateEntry(
                    key: query.text(0), value: query.withBytes(3) { JSON(trusted: $0) },
                    version: query.unsigned(1), expires: expires))
        }
        return entries
    }

    /// An event, checked as whatever comes from outside: a flipped bit must not become a handler's input.
    static func event(_ query: Query, _ column: Int32, what: String) throws -> Event {
        do {
            return try query.withBytes(column) { try Event(record: $0) }
        } catch {
            throw JournalError(.damaged, "\(what) cannot be read: \(error)")
        }
    }
}
