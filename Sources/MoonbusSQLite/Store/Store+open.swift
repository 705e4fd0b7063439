internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// What the memory needs to know, read from the file.
extension Store {
    /// Reads a journal whose tables are there.
    ///
    /// - Parameter end: a position that must have been given, whatever the tables say.
    static func open(
        _ connection: Database, path: String, options: SQLiteJournal.Options, clock: any WallClock, log: CommitLog,
        history: History, end: UInt64
    ) throws(StoreFailure) -> Store {
        let store = Store(
            connection: connection, queries: try Queries(connection), path: path, options: options, clock: clock,
            hash: ByteHash(seed: try seed(connection)), log: log, history: history)
        try store.readAges()
        try store.readSubscriptions()
        try store.readPositions(atLeast: end)
        try store.readIDs()
        try store.readDelayed()
        try store.readState()
        try store.readLetters()
        return store
    }

    /// Draws the seed of the file's hashes when there is none.
    private static func seed(_ connection: Database) throws(StoreFailure) -> (UInt64, UInt64) {
        let read = try Query(connection, "SELECT value FROM settings WHERE name = ?")
        let write = try Query(connection, "INSERT INTO settings (name, value) VALUES (?, ?)")
        func value(_ name: String) throws(StoreFailure) -> UInt64 {
            read.bind(name, at: 1)
            defer { read.reset() }
            if try read.step() { return read.unsigned(0) }
            let value = UInt64.random(in: .min ... .max)
            write.bind(name, at: 1)
            write.bind(value, at: 2)
            try write.run()
            return value
        }
        return (try value("seed0"), try value("seed1"))
    }

    private func readAges() throws(StoreFailure) {
        let query = try Query(connection, "SELECT position, recorded FROM ages ORDER BY position")
        try query.forEachRow { () throws(StoreFailure) in
            ages.append(Age(position: query.unsigned(0), recorded: Timestamp(microseconds: query.int(1))))
            return true
        }
    }

    private func readSubscriptions() throws(StoreFailure) {
        let count = try Query(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'subscriptions'").number()
        records = Array(repeating: nil, count: Int(count))
        let query = try Query(connection, "SELECT number, name, floor, ended FROM subscriptions")
        try query.forEachRow { () throws(StoreFailure) in
            let number = query.int(0) - 1
            guard number >= 0, number < count else { throw damaged("a subscription", "its number \(number) was never given") }
            let ended = query.withBytes(3) { bytes in
                stride(from: 0, to: bytes.count / 16 * 16, by: 16).map { offset in
                    Span(
                        after: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
                        through: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)))
                }
            }
            let progress = Progress(floor: query.unsigned(2), ended: ended)
            records[Int(number)] = SubscriptionRecord(name: query.text(1), progress: progress, isClaimed: false)
            numbers[query.text(1)] = UInt32(number)
            return true
        }
    }

    /// A position that was given once is not given again: what was trimmed, or lost, has left traces in other tables.
    private func readPositions(atLeast end: UInt64) throws(StoreFailure) {
        let last = try Query(connection, "SELECT max(position) FROM events").number()
        let lowest = try Query(connection, "SELECT min(position) FROM events").number()
        let lastIDs = try Query(connection, "SELECT first + length(hashes) / 8 - 1 FROM ids ORDER BY first DESC LIMIT 1").number()
        let floor = records.compactMap { $0?.progress.floor }.max() ?? 0
        // What was given up on purpose counts as seen: it is no alarm twice.
        let givenUp = try Query(connection, "SELECT max(committed) FROM losses").number()
        lastFound = max(UInt64(last), UInt64(lastIDs), floor, UInt64(givenUp))
        next = max(lastFound, end) + 1
        first = lowest > 0 ? UInt64(lowest) : next
        oldestID = UInt64(try Query(connection, "SELECT min(first) FROM ids").number())
    }

    private func readIDs() throws(StoreFailure) {
        let query = try Query(connection, "SELECT first, hashes FROM ids WHERE first >= ? ORDER BY first")
        query.bind(position(before: Self.duplicateWindow) ?? 0, at: 1)
        let segmentsMax = max(1, (options.limits.rememberedIDs - 1) / RecordedIDs.segmentCount)
        try query.forEachRow { () throws(StoreFailure) in
            var position = query.unsigned(0)
            ids.sealIfDue(next: position, segmentsMax: segmentsMax)
            query.withBytes(1) { hashes in
                for offset in stride(from: 0, to: hashes.count / 8 * 8, by: 8) {
                    ids.add(UInt64(littleEndian: hashes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)), at: position)
                    position += 1
                }
            }
            return true
        }
        ids.sealIfDue(next: next, segmentsMax: segmentsMax)
    }

    private func readDelayed() throws(StoreFailure) {
        let query = try Query(connection, "SELECT number, record, plugin FROM delayed ORDER BY number")
        try query.forEachRow { () throws(StoreFailure) in
            let id: ByteHash.Value? = query.withBytes(1) { record in
                guard record.count >= 40 else { return nil }
                let sizes = [6, 16, 18].map { Int(record.loadUnaligned(fromByteOffset: $0, as: UInt16.self)) }
                return 40 + sizes.reduce(0, +) <= record.count ? hash.identity(record: record) : nil
            }
            guard let id else { throw damaged("delayed event \(query.int(0))", "its record is too short") }
            let plugin = query.isNull(2) ? nil : query.text(2)
            let size = query.withBytes(1) { $0.count }
            delayed[id] = Waiting(number: query.unsigned(0), size: size, plugin: plugin)
            if let plugin { holdings.addDelayed(size: size, of: plugin) }
            nextDelayed = query.unsigned(0) + 1
            return true
        }
    }

    /// Reads through all values: about as long as their bytes take from the disk.
    private func readState() throws(StoreFailure) {
        let query = try Query(connection, "SELECT plugin, sum(\(Schema.stateSize)) FROM state GROUP BY plugin")
        try query.forEachRow { () throws(StoreFailure) in
            holdings.add(stateSize: Int(query.int(1)), of: query.text(0))
            return true
        }
    }

    private func readLetters() throws(StoreFailure) {
        let query = try Query(connection, "SELECT id, subscription, length(failures) + length(record) FROM letters ORDER BY id")
        try query.forEachRow { () throws(StoreFailure) in
            letters.add(query.unsigned(0), of: query.text(1), size: Int(query.int(2)) + LetterShares.overhead)
            return true
        }
    }
}
