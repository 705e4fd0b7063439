internal import GRDB
internal import GRDBSQLite
internal import MoonbusEvents
internal import MoonbusJournal

/// How to make the memory say again what the file says, when a transaction comes to nothing.
struct Undo {
    var isOpen = false
    var next: UInt64 = 1
    var first: UInt64 = 1
    var idCount = 0
    var ages: [Age] = []
    var oldestID: UInt64 = 1
    var letters = LetterShares()
    var forgottenLetterCount = 0
    /// What plugins held before each change of it, in the order of the changes.
    var holdings: [(plugin: String, before: Holdings.Holding)] = []
    /// Subscriptions whose progress has moved: written at the end, put back on failure.
    var moved: [UInt32] = []
    /// As they were before the first claim or retirement, which are rare.
    var subscriptions: (records: [SubscriptionRecord?], numbers: [String: UInt32])?
    var delayedAdded: [ByteHash.Value] = []
    var delayedRemoved: [(id: ByteHash.Value, row: Waiting)] = []
}

/// Transactions: many calls, one commit.
extension Store {
    /// Begins a transaction, unless one is open. Every change begins with it.
    func begin() throws(StoreFailure) {
        guard !undo.isOpen else { return }
        do {
            try log.retryIfFailed()
        } catch {
            throw .refused(error)
        }
        ids.sealIfDue(next: next, segmentsMax: max(1, (options.limits.rememberedIDs - 1) / RecordedIDs.segmentCount))
        try queries.begin.run()
        undo.isOpen = true
        undo.next = next
        undo.first = first
        undo.idCount = ids.young.count
        undo.ages = ages
        undo.oldestID = oldestID
        undo.letters = letters
        undo.forgottenLetterCount = forgottenLetterCount
    }

    /// Commits what was done since ``begin()``: when it returns, it is synced.
    func commit() throws(StoreFailure) {
        guard undo.isOpen else { return }
        try saveIDs()
        for number in undo.moved { try saveProgress(number) }
        try queries.commit.run()
        for number in undo.moved { records[Int(number)]?.before = nil }
        closeUndo()
        commitCount += 1
        log.committed(end: next - 1)
    }

    /// Makes undone what was done since ``begin()``.
    func rollBack() {
        guard undo.isOpen else { return }
        // After a full disk or a failed write SQLite has rolled back already, and another ROLLBACK would be an error.
        if sqlite3_get_autocommit(connection.sqliteConnection) == 0 {
            // Should it fail, the next BEGIN fails, too, and says so to whoever asked for it.
            try? queries.rollback.run()
        }
        next = undo.next
        first = undo.first
        ids.removeLast(ids.young.count - undo.idCount)
        ages = undo.ages
        oldestID = undo.oldestID
        letters = undo.letters
        forgottenLetterCount = undo.forgottenLetterCount
        if let (records, numbers) = undo.subscriptions {
            self.records = records
            self.numbers = numbers
        }
        for number in undo.moved where Int(number) < records.count {
            guard let before = records[Int(number)]?.before else { continue }
            records[Int(number)]?.progress = before
            records[Int(number)]?.before = nil
        }
        for id in undo.delayedAdded { delayed[id] = nil }
        for (id, row) in undo.delayedRemoved { delayed[id] = row }
        for (plugin, before) in undo.holdings.reversed() { holdings.restore(before, of: plugin) }
        closeUndo()
    }

    private func closeUndo() {
        undo.isOpen = false
        tags.removeAll(keepingCapacity: true)
        undo.moved.removeAll(keepingCapacity: true)
        undo.subscriptions = nil
        undo.ages = []
        // Or the next change would copy them.
        undo.letters = LetterShares()
        undo.holdings.removeAll(keepingCapacity: true)
        undo.delayedAdded.removeAll(keepingCapacity: true)
        undo.delayedRemoved.removeAll(keepingCapacity: true)
    }

    private func saveIDs() throws(StoreFailure) {
        guard ids.young.count > undo.idCount else { return }
        let hashes = ids.young.hashes(from: undo.next)
        queries.insertIDs.bind(undo.next, at: 1)
        // Little endian is this machine's own order: Swift runs on no other.
        let result = hashes.withUnsafeBytes { hashes in
            tags.withUnsafeBytes { tags in
                Result { () throws(StoreFailure) in
                    queries.insertIDs.bind(unsafe: hashes, at: 2)
                    queries.insertIDs.bind(unsafe: tags, at: 3)
                    try queries.insertIDs.run()
                }
            }
        }
        try result.get()
    }

    private func saveProgress(_ number: UInt32) throws(StoreFailure) {
        // Retired in the same transaction.
        guard let progress = records[Int(number)]?.progress else { return }
        queries.saveProgress.bind(progress.floor, at: 1)
        var bytes: [UInt8] = []
        for span in progress.ended {
            withUnsafeBytes(of: (span.after.littleEndian, span.through.littleEndian)) { bytes += $0 }
        }
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(StoreFailure) in
                queries.saveProgress.bind(unsafe: bytes, at: 2)
                queries.saveProgress.bind(number + 1, at: 3)
                try queries.saveProgress.run()
            }
        }
        try result.get()
    }
}
