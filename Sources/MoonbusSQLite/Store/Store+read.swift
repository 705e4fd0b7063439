internal import GRDBSQLite
internal import MoonbusEvents
internal import MoonbusJournal

/// Answers about what is there now.
extension Store {
    /// - Parameter question: not one of ``History``'s.
    func answer(_ question: JournalQuestion) throws(StoreFailure) -> JournalAnswer {
        switch question {
        case .end: .position(next - 1)
        case .delayed(let limit): .delayed(try waiting(limit: limit))
        case .state(let plugin, let key, let now): .state(try state(plugin, key, now: now))
        case .measures: .measures(try measures())
        case .subscriptions: .subscriptions(try subscriptions())
        case .events, .event, .deadLetters, .deadLetter, .scan: preconditionFailure("the writer does not read history")
        }
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

    private func state(_ plugin: String, _ key: String, now: Timestamp) throws(StoreFailure) -> [StateEntry] {
        try bind(queries.state, plugin, key) { query throws(StoreFailure) in
            defer { query.reset() }
            guard try query.step(), let entry = entry(in: query, now: now) else { return [] }
            return [entry]
        }
    }

    private func subscriptions() throws(StoreFailure) -> [KnownSubscription] {
        var known: [KnownSubscription] = []
        try queries.subscriptions.forEachRow { () throws(StoreFailure) in
            let query = queries.subscriptions
            known.append(
                KnownSubscription(
                    name: query.text(0), floor: query.unsigned(1), cursor: query.isNull(2) ? nil : query.withBytes(2) { JSON(trusted: $0) })
            )
            return true
        }
        return known
    }

    private func measures() throws(StoreFailure) -> JournalMeasures {
        JournalMeasures(
            eventCount: Int(next - first), size: try usedSize(), delayedCount: delayed.count, deadLetterCount: letters.count,
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
