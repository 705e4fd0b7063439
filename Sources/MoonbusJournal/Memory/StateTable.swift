import MoonbusEvents

/// The state of all plugins: values, each with the version that its writer gave it.
struct StateTable {
    private var plugins: [String: [String: StateEntry]] = [:]
    private(set) var size = 0
    private var nextSweep = Timestamp(microseconds: 0)

    /// Values that have expired go at most this long after somebody has written.
    private static let sweepEvery = Duration.seconds(60)

    func entry(_ plugin: String, _ key: String, now: Timestamp) -> StateEntry? {
        guard let entry = plugins[plugin]?[key], !entry.hasExpired(now) else { return nil }
        return entry
    }

    /// In bytewise key order.
    func entries(_ plugin: String, prefix: String, after: String?, limit: Int, now: Timestamp) -> [StateEntry] {
        let found = (plugins[plugin] ?? [:]).values.filter { entry in
            !entry.hasExpired(now) && entry.key.utf8.starts(with: prefix.utf8) && after.map { Self.precedes($0, entry.key) } ?? true
        }
        return Array(found.sorted { Self.precedes($0.key, $1.key) }.prefix(limit))
    }

    /// The keys that are not any more what the handler saw.
    func conflicts(of change: StateChange, now: Timestamp) -> [String] {
        change.reads.filter { (entry(change.plugin, $0.key, now: now)?.version ?? 0) != $0.version }.map(\.key)
    }

    /// ``StateEntry/size`` of a value, also of one that has expired and was not swept yet; 0: there is none.
    func size(_ plugin: String, _ key: String) -> Int { plugins[plugin]?[key]?.size ?? 0 }

    mutating func apply(_ change: StateChange, now: Timestamp, _ holdings: inout Holdings) {
        var growth = 0
        for write in change.writes {
            let entry = write.value.map { StateEntry(key: write.key, value: $0, version: write.version, expires: write.expires) }
            let before = plugins[change.plugin, default: [:]].removeValue(forKey: write.key)
            if let entry { plugins[change.plugin, default: [:]][write.key] = entry }
            growth += write.size - (before?.size ?? 0)
        }
        size += growth
        holdings.add(stateSize: growth, of: change.plugin)
        sweepIfDue(now, &holdings)
    }

    mutating func sweepIfDue(_ now: Timestamp, _ holdings: inout Holdings) {
        guard now >= nextSweep else { return }
        nextSweep = now + Self.sweepEvery
        for plugin in plugins.keys {
            var freed = 0
            for entry in plugins[plugin, default: [:]].values.filter({ $0.hasExpired(now) }) {
                freed += entry.size
                plugins[plugin]?[entry.key] = nil
            }
            size -= freed
            if freed > 0 { holdings.add(stateSize: -freed, of: plugin) }
            if plugins[plugin]?.isEmpty == true { plugins[plugin] = nil }
        }
    }

    private static func precedes(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}

extension StateEntry {
    fileprivate func hasExpired(_ now: Timestamp) -> Bool {
        expires.map { $0 <= now } ?? false
    }
}
