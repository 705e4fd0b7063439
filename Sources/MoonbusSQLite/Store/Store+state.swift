internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// What plugins store.
extension Store {
    /// Values that have expired go at most this long after somebody has written, so many at a time.
    private static let sweepEvery = Duration.seconds(60)
    private static let sweepCount: Int64 = 500

    /// The keys that are not any more what the handler saw.
    func conflicts(of change: StateChange) throws(StoreFailure) -> [String] {
        var keys: [String] = []
        for read in change.reads where try version(change.plugin, read.key) != read.version { keys.append(read.key) }
        return keys
    }

    func apply(_ change: StateChange) throws(StoreFailure) {
        for write in change.writes {
            if let value = write.value {
                try save(change.plugin, write, value)
            } else {
                try bind(queries.deleteState, change.plugin, write.key) { query throws(StoreFailure) in try query.run() }
            }
        }
        try sweepIfDue()
    }

    /// The version that is there; 0: it is absent, or has expired.
    private func version(_ plugin: String, _ key: String) throws(StoreFailure) -> UInt64 {
        try bind(queries.stateVersion, plugin, key) { query throws(StoreFailure) in
            defer { query.reset() }
            guard try query.step(), query.time(1).map({ $0 > now }) ?? true else { return 0 }
            return query.unsigned(0)
        }
    }

    private func save(_ plugin: String, _ write: StateWrite, _ value: JSON) throws(StoreFailure) {
        try bind(queries.saveState, plugin, write.key) { query throws(StoreFailure) in
            query.bind(write.version, at: 3)
            query.bind(write.expires, at: 4)
            try value.withUnsafeBytes { bytes throws(StoreFailure) in
                query.bind(unsafeText: bytes, at: 5)
                try query.run()
            }
        }
    }

    /// Binds plugin and key as the first two parameters, for as long as `body` runs.
    func bind<Value>(
        _ query: Query, _ plugin: String, _ key: String, _ body: (Query) throws(StoreFailure) -> Value
    ) throws(StoreFailure) -> Value {
        try plugin.withUTF8Bytes { plugin throws(StoreFailure) in
            query.bind(unsafeText: plugin, at: 1)
            return try key.withUTF8Bytes { key throws(StoreFailure) in
                query.bind(unsafeText: key, at: 2)
                return try body(query)
            }
        }
    }

    private func sweepIfDue() throws(StoreFailure) {
        guard now >= nextSweep else { return }
        nextSweep = now + Self.sweepEvery
        queries.sweepState.bind(now, at: 1)
        queries.sweepState.bind(Self.sweepCount, at: 2)
        try queries.sweepState.run()
    }
}
