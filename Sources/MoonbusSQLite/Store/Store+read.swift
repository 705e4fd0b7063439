internal import GRDBSQLite
internal import MoonbusEvents
internal import MoonbusJournal

/// Answers about what is there now.
extension Store {
    func answer(_ question: JournalQuestion) throws(StoreFailure) -> JournalAnswer {
        switch question {
        case .events(let position, let limit): .events(try events(after: position, limit: limit))
        case .event(let id): .events(try event(id: id))
        case .end: .position(next - 1)
        case .delayed(let limit): .delayed(try waiting(limit: limit))
        case .deadLetters(let limit): .deadLetters(try letters(limit: limit))
        case .deadLetter(let id): .deadLetters(try letter(id: id))
        case .state(let plugin, let key, let now): .state(try state(plugin, key, now: now))
        case .measures: .measures(try measures())
        case .scan(let plugin, let prefix, let after, let limit, let now):
            .state(try states(plugin, prefix: prefix, after: after, limit: limit, now: now))
        }
    }

    private func events(after position: UInt64, limit: Int) throws(StoreFailure) -> [RecordedEvent] {
        guard limit > 0, position < next - 1 else { return [] }
        let query = queries.events
        query.bind(position, at: 1)
        query.bind(Int64(limit), at: 2)
        var events: [RecordedEvent] = []
        try query.forEachRow { () throws(StoreFailure) in
            events.append(RecordedEvent(position: query.unsigned(0), event: try event(in: query, 1, what: "event \(query.unsigned(0))")))
            return true
        }
        return events
    }

    /// From the newest back: an index by id alone would cost every event, and few are asked for.
    private func event(id: String) throws(StoreFailure) -> [RecordedEvent] {
        let query = queries.eventsBackwards
        query.bind(Int64.max, at: 1)
        var found: [RecordedEvent] = []
        try id.withUTF8Bytes { id throws(StoreFailure) in
            try query.forEachRow { () throws(StoreFailure) in
                let isIt = query.withBytes(1) { $0.count >= 40 && EventFields(record: $0).id.elementsEqual(id) }
                if isIt { found = [RecordedEvent(position: query.unsigned(0), event: try event(in: query, 1, what: "an event"))] }
                return !isIt
            }
        }
        return found
    }

    private func waiting(limit: Int) throws(StoreFailure) -> [DelayedEvent] {
        let query = queries.delayed
        query.bind(Int64(max(0, limit)), at: 1)
        var waiting: [DelayedEvent] = []
        try query.forEachRow { () throws(StoreFailure) in
            let event = try event(in: query, 1, what: "a delayed event")
            waiting.append(DelayedEvent(event: event, due: Timestamp(microseconds: query.int(0))))
            return true
        }
        return waiting
    }

    private func letters(limit: Int) throws(StoreFailure) -> [DeadLetter] {
        queries.letters.bind(Int64(max(0, limit)), at: 1)
        return try letters(queries.letters)
    }

    private func letter(id: UInt64) throws(StoreFailure) -> [DeadLetter] {
        queries.letter.bind(id, at: 1)
        return try letters(queries.letter)
    }

    private func letters(_ query: Query) throws(StoreFailure) -> [DeadLetter] {
        var letters: [DeadLetter] = []
        try query.forEachRow { () throws(StoreFailure) in
            letters.append(
                DeadLetter(
                    id: query.unsigned(0), subscription: query.text(1), position: query.unsigned(2),
                    event: try event(in: query, 5, what: "dead letter \(query.int(0))"), failures: try failures(in: query, 4),
                    died: Timestamp(microseconds: query.int(3))))
            return true
        }
        return letters
    }

    private func state(_ plugin: String, _ key: String, now: Timestamp) throws(StoreFailure) -> [StateEntry] {
        try bind(queries.state, plugin, key) { query throws(StoreFailure) in
            defer { query.reset() }
            guard try query.step(), let entry = entry(in: query, now: now) else { return [] }
            return [entry]
        }
    }

    private func states(
        _ plugin: String, prefix: String, after: String?, limit: Int, now: Timestamp
    ) throws(StoreFailure) -> [StateEntry] {
        var entries: [StateEntry] = []
        guard limit > 0 else { return [] }
        let start = after.map { $0.utf8.lexicographicallyPrecedes(prefix.utf8) ? prefix : $0 } ?? prefix
        try bind(queries.scan, plugin, start) { query throws(StoreFailure) in
            try query.forEachRow { () throws(StoreFailure) in
                let key = query.text(0)
                // In bytewise order the keys with a prefix lie together: the first one without it ends the search.
                guard key.utf8.starts(with: prefix.utf8) else { return false }
                if let after, key.utf8.elementsEqual(after.utf8) { return true }
                if let entry = entry(in: query, now: now) { entries.append(entry) }
                return entries.count < limit
            }
        }
        return entries
    }

    private func measures() throws(StoreFailure) -> JournalMeasures {
        JournalMeasures(
            eventCount: Int(next - first), size: try usedSize(), delayedCount: delayed.count, deadLetterCount: letterCount,
            forgottenDeadLetterCount: forgottenLetterCount, commitCount: commitCount)
    }

    /// Bytes of the file that are in use.
    func usedSize() throws(StoreFailure) -> Int {
        Int(try (queries.pageCount.number() - queries.freePageCount.number()) * queries.pageSize.number())
    }

    // MARK: Rows

    private func entry(in query: Query, now: Timestamp) -> StateEntry? {
        let expires = query.time(2)
        if let expires, expires <= now { return nil }
        return StateEntry(
            key: query.text(0), value: query.withBytes(3) { JSON(trusted: $0) }, version: query.unsigned(1), expires: expires)
    }

    /// An event, checked as whatever comes from outside: a flipped bit must not become a handler's input.
    func event(in query: Query, _ column: Int32, what: @autoclosure () -> String) throws(StoreFailure) -> Event {
        let result = query.withBytes(column) { record in
            Result { () throws(EventError) in try Event(record: record) }
        }
        switch result {
        case .success(let event): return event
        case .failure(let error): throw damaged(what(), "\(error)")
        }
    }

    func failures(in query: Query, _ column: Int32) throws(StoreFailure) -> [FailedAttempt] {
        guard let failures = query.withBytes(column, { FailureRecord.decode($0) }) else {
            throw damaged("a delivery's failures", "they cannot be read")
        }
        return failures
    }

    func damaged(_ what: String, _ why: String) -> StoreFailure {
        // As SQLite's own word for it: the transaction is over, so that a call which has found damage half-way leaves nothing behind.
        .failed(code: SQLITE_CORRUPT, text: "\(what): \(why)")
    }
}
