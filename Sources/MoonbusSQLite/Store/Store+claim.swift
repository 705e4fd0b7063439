internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// Subscriptions come and go.
extension Store {
    func claim(_ claims: [Claim]) throws(StoreFailure) -> [Claimed] {
        guard !claims.isEmpty else { return [] }
        try begin()
        keepSubscriptions()
        var claimed: [Claimed] = []
        claimed.reserveCapacity(claims.count)
        for claim in claims { claimed.append(try self.claim(claim)) }
        return claimed
    }

    func retire(_ names: [String]) throws(StoreFailure) {
        for name in names {
            guard let number = numbers[name] else { continue }
            try begin()
            keepSubscriptions()
            numbers[name] = nil
            records[Int(number)] = nil
            queries.deleteSubscription.bind(number + 1, at: 1)
            try queries.deleteSubscription.run()
            queries.deleteStraysOf.bind(number + 1, at: 1)
            try queries.deleteStraysOf.run()
        }
    }

    private func keepSubscriptions() {
        if undo.subscriptions == nil { undo.subscriptions = (records, numbers) }
    }

    private func claim(_ claim: Claim) throws(StoreFailure) -> Claimed {
        guard let number = numbers[claim.name] else { return try create(claim) }
        records[Int(number)]?.isClaimed = true
        // What was let go while nobody was owed it has ended, whatever the record says.
        var progress = records[Int(number)]?.progress ?? Progress(floor: next - 1)
        progress.end(Span(after: 0, through: first - 1))
        var claimed = Claimed(
            number: SubscriptionNumber(number), isNew: false, floor: progress.floor, ended: progress.ended, strays: try strays(of: number))
        (claimed.cursor, claimed.schedule) = try attributes(of: number)
        if claimed.schedule == nil, let schedule = claim.schedule {
            try saveSchedule(schedule, of: number)
            claimed.schedule = schedule
        }
        return claimed
    }

    private func create(_ claim: Claim) throws(StoreFailure) -> Claimed {
        let floor = claim.beginning.map { min(max($0.after, first - 1), next - 1) } ?? next - 1
        let query = queries.insertSubscription
        query.bind(claim.name, at: 1)
        query.bind(floor, at: 2)
        query.bind(claim.schedule, at: 3)
        let row = try query.number()
        guard row > 0, let number = UInt32(exactly: row - 1) else {
            throw .refused(JournalError(.full, "\(path): no subscription number is left"))
        }
        while records.count < Int(number) { records.append(nil) }
        records.append(SubscriptionRecord(name: claim.name, progress: Progress(floor: floor), isClaimed: true))
        numbers[claim.name] = number
        // Nobody was owed what comes after it, so it may have been given up already.
        passed = min(passed, floor)
        if let cursor = claim.beginning?.cursor { try saveCursor(cursor, of: number) }
        return Claimed(
            number: SubscriptionNumber(number), isNew: true, floor: floor, cursor: claim.beginning?.cursor, schedule: claim.schedule)
    }

    private func attributes(of number: UInt32) throws(StoreFailure) -> (cursor: JSON?, schedule: Timestamp?) {
        let query = queries.attributes
        query.bind(number + 1, at: 1)
        defer { query.reset() }
        guard try query.step() else { return (nil, nil) }
        return (query.isNull(0) ? nil : query.withBytes(0) { JSON(trusted: $0) }, query.time(1))
    }

    private func strays(of number: UInt32) throws(StoreFailure) -> [Stray] {
        let query = queries.strays
        query.bind(number + 1, at: 1)
        var strays: [Stray] = []
        try query.forEachRow { () throws(StoreFailure) in
            strays.append(
                Stray(
                    position: query.unsigned(0), event: try event(in: query, 3, what: "a stray"),
                    due: Timestamp(microseconds: query.int(1)), failures: try failures(in: query, 2)))
            return true
        }
        return strays
    }
}
