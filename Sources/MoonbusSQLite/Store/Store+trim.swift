internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// What is not needed any more goes, a little at a time.
extension Store {
    /// Events that are deleted in a row when nothing else is to be done: about a millisecond.
    static let idleStep = 1_000
    /// Rows of ids that are deleted in a row.
    private static let idStep: UInt64 = 2_000

    func trim(through position: UInt64, owing: [SubscriptionNumber]) -> UInt64 {
        var lowest = min(position, next - 1)
        for number in owing where Int(number.index) < records.count {
            if let record = records[Int(number.index)] { lowest = min(lowest, record.progress.floor) }
        }
        for record in records {
            if let record, !record.isClaimed { lowest = min(lowest, record.progress.floor) }
        }
        passed = max(passed, lowest)
        mayForget = true
        return first
    }

    /// Forgets what may be forgotten if the log would have too many events otherwise.
    func makeRoom(for count: Int) throws(StoreFailure) {
        let present = Int(next - first)
        let excess = present + count - options.limits.events
        guard options.limits.events < .max, excess > 0 else { return }
        guard excess <= forgettableCount else {
            throw .refused(
                JournalError(
                    .full,
                    "\(path): the log holds \(present) events, its limit is \(options.limits.events): let handlers catch up, or raise the limit"
                ))
        }
        try forget(excess)
    }

    /// Events that nobody is owed and that are not part of the history to be kept.
    private var forgettableCount: Int {
        guard passed >= first else { return 0 }
        return max(0, min(Int(passed - first) + 1, Int(next - first) - options.retention.history))
    }

    /// Events that are to go by the retention's rules.
    private func dueCount() throws(StoreFailure) -> Int {
        let forgettable = forgettableCount
        guard forgettable > 0 else { return 0 }
        if options.retention.age <= .zero { return forgettable }
        if try usedSize() > options.retention.size { return forgettable }
        guard let old = position(before: options.retention.age), old > first else { return 0 }
        return min(forgettable, Int(old - first))
    }

    /// Everything below this position is older than `age`; nil: nothing is known to be.
    func position(before age: Duration) -> UInt64? {
        // What was given within a minute of a time shares its row: the row is old when the minute is.
        let limit = now - age - Self.ageEvery
        var (low, high) = (0, ages.count)
        while low < high {
            let middle = (low + high) / 2
            if ages[middle].recorded <= limit { low = middle + 1 } else { high = middle }
        }
        if low == 0 { return nil }
        return low < ages.count ? ages[low].position : next
    }

    /// Does a part of what is due, in a transaction that is open or one that it begins.
    ///
    /// - Parameter count: events to delete at most.
    /// - Returns: true if something was done: there may be more.
    @discardableResult
    func forgetSome(_ count: Int) throws(StoreFailure) -> Bool {
        let due = min(count, try dueCount())
        if due > 0 { try forget(due) }
        let hadOld = try forgetOldIDs()
        return due > 0 || hadOld
    }

    private func forget(_ count: Int) throws(StoreFailure) {
        try begin()
        first += UInt64(count)
        queries.deleteEvents.bind(first - 1, at: 1)
        try queries.deleteEvents.run()
    }

    /// - Returns: true if there were any.
    private func forgetOldIDs() throws(StoreFailure) -> Bool {
        guard let old = position(before: Self.duplicateWindow), let last = ages.last else { return false }
        // The last row stays in any case: it is how the next opening knows that the file is not older than its mark.
        var window = min(old, last.position)
        ids.forget(through: window - 1)
        // Events that are older and still there are found by their tags.
        window = min(window, first)
        guard window > oldestID else { return false }
        try begin()
        oldestID = min(window, oldestID + Self.idStep)
        queries.deleteIDs.bind(oldestID - 1, at: 1)
        try queries.deleteIDs.run()
        // The last age before what is still there stays: it says how old that is.
        let needed = min(first, oldestID)
        let count = ages.dropLast().prefix { age in age.position < needed }.count
        if count > 1 {
            ages.removeFirst(count - 1)
            queries.deleteAges.bind(ages[0].position, at: 1)
            try queries.deleteAges.run()
        }
        return true
    }
}
