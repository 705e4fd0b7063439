internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// Settlements, one after the other, each all or nothing.
extension Store {
    func settle(_ settlements: [Settlement]) throws(StoreFailure) -> [Settled] {
        try makeRoom(for: settlements)
        var answers: [Settled] = []
        answers.reserveCapacity(settlements.count)
        for settlement in settlements { answers.append(try settle(settlement)) }
        return answers
    }

    /// Room for everything that a batch may add, before any of it is done: a batch that does not fit changes nothing.
    private func makeRoom(for settlements: [Settlement]) throws(StoreFailure) {
        var eventCount = 0
        var delayedCount = 0
        for settlement in settlements {
            guard Int(settlement.subscription.index) < records.count else {
                throw .refused(JournalError(.misuse, "subscription number \(settlement.subscription.index) was never given out"))
            }
            guard let commit = settlement.commit else { continue }
            eventCount += commit.events.count
            delayedCount += commit.delayed.count
        }
        if eventCount > 0 { try makeRoom(for: eventCount) }
        guard delayedCount == 0 || delayed.count + delayedCount <= options.limits.delayed else {
            throw .refused(
                JournalError(
                    .full, "\(delayed.count) events wait for their time, the limit is \(options.limits.delayed): let some come due first"))
        }
    }

    private func settle(_ settlement: Settlement) throws(StoreFailure) -> Settled {
        let number = settlement.subscription.index
        // Everything that may stand against it comes before the first change.
        if try hasEnded(settlement.coverage, of: number) { return .hadEnded }
        if let change = settlement.commit?.state {
            let keys = try conflicts(of: change)
            if !keys.isEmpty { return .conflict(keys: keys) }
        }
        if let commit = settlement.commit, let excess = try excess(of: commit) { return .beyondShare(excess) }
        try begin()
        if case .revived(let letter, let stray) = settlement.transition { return try revive(letter, as: stray, of: number) }
        try end(settlement.coverage, of: number)
        switch settlement.transition {
        case .done, .goesOn, .revived: break
        case .retry(let strays):
            if records[Int(number)] != nil { for stray in strays { try add(stray, of: number) } }
        case .dead(let letters):
            for letter in letters { try add(letter) }
        }
        guard let commit = settlement.commit else { return .committed([]) }
        return .committed(try apply(commit, of: number))
    }

    private func hasEnded(_ coverage: Settlement.Coverage, of number: UInt32) throws(StoreFailure) -> Bool {
        // A retired subscription has no record to look it up in; its bus has it in hand only once.
        guard let record = records[Int(number)] else { return false }
        switch coverage {
        case .nothing: return false
        case .span(let span): return record.progress.hasEnded(span.through)
        case .spans(let spans): return spans.contains { record.progress.hasEnded($0.through) }
        case .strays(let positions):
            for position in positions where try !hasStray(position, of: number) { return true }
            return false
        }
    }

    private func end(_ coverage: Settlement.Coverage, of number: UInt32) throws(StoreFailure) {
        switch coverage {
        case .nothing: break
        case .span(let span): end(span, of: number)
        case .spans(let spans): for span in spans { end(span, of: number) }
        case .strays(let positions): for position in positions { try removeStray(position, of: number) }
        }
    }

    /// Notes it in memory; the file gets the subscription's progress once, at the end of the transaction.
    private func end(_ span: Span, of number: UInt32) {
        let index = Int(number)
        guard let progress = records[index]?.progress else { return }
        if records[index]?.before == nil {
            records[index]?.before = progress
            undo.moved.append(number)
        }
        records[index]?.progress.end(span)
    }

    private func revive(_ letter: UInt64, as stray: Stray?, of number: UInt32) throws(StoreFailure) -> Settled {
        guard try removeLetter(letter) else { return .hadEnded }
        if let stray, records[Int(number)] != nil { try add(stray, of: number) }
        return .committed([])
    }

    private func apply(_ commit: Commit, of number: UInt32) throws(StoreFailure) -> [Recorded] {
        let recorded = try record(commit.events)
        for later in commit.delayed { try delay(later, of: commit.share?.plugin) }
        if let change = commit.state { try apply(change) }
        if let cursor = commit.cursor { try saveCursor(cursor, of: number) }
        if let schedule = commit.schedule { try saveSchedule(schedule, of: number) }
        for letter in commit.deadLetters { try add(letter) }
        for result in commit.results {
            if let source = numbers[result.subscription] { try add(result.stray, of: source) }
        }
        return recorded
    }

    // MARK: Cursors and schedules

    func saveCursor(_ cursor: JSON, of number: UInt32) throws(StoreFailure) {
        try cursor.withUnsafeBytes { bytes throws(StoreFailure) in
            queries.saveCursor.bind(unsafeText: bytes, at: 1)
            queries.saveCursor.bind(number + 1, at: 2)
            try queries.saveCursor.run()
        }
    }

    func saveSchedule(_ schedule: Timestamp, of number: UInt32) throws(StoreFailure) {
        queries.saveSchedule.bind(schedule, at: 1)
        queries.saveSchedule.bind(number + 1, at: 2)
        try queries.saveSchedule.run()
    }

    // MARK: Strays and dead letters

    private func hasStray(_ position: UInt64, of number: UInt32) throws(StoreFailure) -> Bool {
        queries.hasStray.bind(number + 1, at: 1)
        queries.hasStray.bind(position, at: 2)
        return try queries.hasStray.number() == 1
    }

    private func removeStray(_ position: UInt64, of number: UInt32) throws(StoreFailure) {
        queries.deleteStray.bind(number + 1, at: 1)
        queries.deleteStray.bind(position, at: 2)
        try queries.deleteStray.run()
    }

    private func add(_ stray: Stray, of number: UInt32) throws(StoreFailure) {
        let query = queries.insertStray
        query.bind(number + 1, at: 1)
        query.bind(stray.position, at: 2)
        query.bind(stray.due, at: 3)
        try run(query, failures: (stray.failures, 4), record: (stray.event, 5))
    }

    private func add(_ letter: DeadLetter) throws(StoreFailure) {
        let query = queries.insertLetter
        query.bind(letter.subscription, at: 1)
        query.bind(letter.position, at: 2)
        query.bind(letter.died, at: 3)
        let size = try run(query, failures: (letter.failures, 4), record: (letter.event, 5))
        letters.add(UInt64(connection.lastInsertedRowID), of: letter.subscription, size: size + LetterShares.overhead)
        while let id = letters.removeExcess(options.limits.letters) {
            queries.deleteLetter.bind(id, at: 1)
            _ = try queries.deleteLetter.number()
            forgottenLetterCount += 1
        }
    }

    /// - Returns: false: there is none.
    private func removeLetter(_ id: UInt64) throws(StoreFailure) -> Bool {
        let query = queries.deleteLetter
        query.bind(id, at: 1)
        defer { query.reset() }
        guard try query.step() else { return false }
        letters.remove(id, of: query.text(0))
        return true
    }

    /// - Returns: bytes of both.
    @discardableResult
    private func run(_ query: Query, failures: ([FailedAttempt], Int32), record: (Event, Int32)) throws(StoreFailure) -> Int {
        let bytes = FailureRecord.encode(failures.0)
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(StoreFailure) in
                query.bind(unsafe: bytes, at: failures.1)
                try record.0.withUnsafeRecord { bytes throws(StoreFailure) in
                    query.bind(unsafe: bytes, at: record.1)
                    try query.run()
                }
            }
        }
        try result.get()
        return bytes.count + record.0.recordSize
    }
}
