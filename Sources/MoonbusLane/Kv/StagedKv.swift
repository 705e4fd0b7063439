/// What one delivery read from and wrote to the store, before anybody else may see it.
struct StagedKv {
    enum Write {
        case set([UInt8], expiry: Int64, version: UInt64)
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

    /// The delivery was done: its writes become what later ones read, under the versions that it gave them.
    ///
    /// Unless it had read what another delivery changed in between: then it meets a conflict, and what it wrote is never true.
    func apply(to cache: inout KvCache, now: Int64) {
        for (key, version) in reads {
            if let known = cache.entry(key, now: now), known.version != version { return }
        }
        for (key, write) in writes {
            switch write {
            case .set(let value, let expiry, let version):
                cache.store(KvCache.Entry(value: value, version: version, expiry: expiry), for: key)
            case .deleted: cache.store(.absent, for: key)
            }
        }
    }
}
