internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// What plugins store.
extension Store {
    /// Values that have expired go at most this long after somebody has written, so many at a time; if there are more, the others soon after.
    private static let sweepEvery = Duration.seconds(60)
    private static let sweepAgain = Duration.milliseconds(100)
    private static let sweepCount = 500

    /// The keys that are not any more what the handler saw.
    func conflicts(of change: StateChange) throws(StoreFailure) -> [String] {
        var keys: [String] = []
        for read in change.reads where try version(change.plugin, read.key) != read.version { keys.append(read.key) }
        return keys
    }

    func apply(_ change: StateChange) throws(StoreFailure) {
        var growth = 0
        for write in change.writes {
            growth += write.size - (try stateSize(change.plugin, write.key))
            if let value = write.value {
                try save(change.plugin, write, value)
            } else {
                try bind(queries.deleteState, change.plugin, write.key) { query throws(StoreFailure) in try query.run() }
            }
        }
        if growth != 0 { self.change(change.plugin) { $0.add(stateSize: growth, of: change.plugin) } }
        try sweepIfDue()
    }

    /// What a commit wants beyond its share, once what has expired is out of its way.
    func excess(of commit: Commit) throws(StoreFailure) -> ShareExcess? {
        guard try findExcess(of: commit) != nil else { return nil }
        try sweepIfDue()
        return try findExcess(of: commit)
    }

    private func findExcess(of commit: Commit) throws(StoreFailure) -> ShareExcess? {
        try holdings.excess(of: commit) { key throws(StoreFailure) in try stateSize(commit.share?.plugin ?? "", key) }
    }

    /// Changes what a plugin holds, so that it can be undone.
    func change(_ plugin: String, _ change: (inout Holdings) -> Void) {
        undo.holdings.append((plugin, holdings[plugin]))
        change(&holdings)
    }

    /// What a value counts, also one that has expired and was not swept yet; 0: there is none.
    private func stateSize(_ plugin: String, _ key: String) throws(StoreFailure) -> Int {
        try bind(queries.stateSize, plugin, key) { query throws(StoreFailure) in Int(try query.number()) }
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
        try begin()
        queries.sweepState.bind(now, at: 1)
        queries.sweepState.bind(Int64(Self.sweepCount), at: 2)
        var swept = 0
        try queries.sweepState.forEachRow { () throws(StoreFailure) in
            let plugin = queries.sweepState.text(0)
            change(plugin) { $0.add(stateSize: -Int(queries.sweepState.int(1)), of: plugin) }
            swept += 1
            return true
        }
        nextSweep = now + (swept < Self.sweepCount ? Self.sweepEvery : Self.sweepAgain)
    }
}
