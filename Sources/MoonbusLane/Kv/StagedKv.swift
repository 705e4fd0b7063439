/// What one delivery read from and wrote to the store, before anybody else may see it.
struct StagedKv {
    enum Write {
        case set([UInt8], expiry: Int64)
        case deleted
    }

    /// The last write to each key.
    private(set) var writes: [KvKey: Write] = [:]
    /// The version of each key that was read from outside.
    private(set) var reads: [KvKey: UInt64] = [:]

    var isEmpty: Bool { writes.isEmpty && reads.isEmpty }

    mutating func write(_ write: Write, to key: KvKey) {
        writes[key] = write
    }

    /// - Returns: whether this is the first time, so that the read must be staged.
    mutating func read(_ key: KvKey, version: UInt64) -> Bool {
        guard reads[key] == nil else { return false }
        reads[key] = version
        return true
    }

    /// The delivery was done: its writes become what later ones read.
    ///
    /// A key that was written without having been read gets no entry: its version is only known to the host. Neither
    /// does a key that another delivery changed in between: this one meets a conflict.
    func apply(to cache: inout KvCache, now: Int64) {
        for (key, write) in writes {
            guard let known = cache.entry(key, now: now), reads[key] ?? known.version == known.version else {
                cache.forget(key)
                continue
            }
            switch write {
            case .set(let value, let expiry): cache.store(KvCache.Entry(value: value, version: known.version + 1, expiry: expiry), for: key)
            case .deleted: cache.store(.absent, for: key)
            }
        }
    }
}
