/// A context's copy of values that it has seen or written, with the versions that the host knows them by.
///
/// It lets handlers read without waiting, and read what earlier handlers wrote before the host has committed it: a
/// handler that ran on a value which was not committed after all meets a conflict, and runs again.
///
/// Bounded: two generations; when the young one is full, the old one is forgotten, and what is used moves up.
struct KvCache {
    struct Entry {
        /// JSON; nil: there is no such key.
        var value: [UInt8]?
        /// 0: absent.
        var version: UInt64
        /// Microseconds since 1970; 0: never.
        var expiry: Int64

        static let absent = Entry(value: nil, version: 0)

        init(value: [UInt8]?, version: UInt64, expiry: Int64 = 0) {
            self.value = value
            self.version = version
            self.expiry = expiry
        }

        /// What the host answers to `kv.get`: `{"value", "version", "expiry_us"}`.
        init(reply: RawJSON) {
            let version = reply.member("version").flatMap { UInt64(String(decoding: $0, as: UTF8.self)) } ?? 0
            let value = version == 0 ? nil : reply.member("value")
            self.init(
                value: value.map(Array.init), version: value == nil ? 0 : version,
                expiry: reply.member("expiry_us").flatMap { RawJSON($0).integer } ?? 0)
        }
    }

    /// Entries of one generation.
    private static let entriesMax = 5_000
    /// Bytes of keys and values of one generation.
    private static let sizeMax = 4 << 20

    private var young: [KvKey: Entry] = [:]
    private var old: [KvKey: Entry] = [:]
    private var youngSize = 0

    /// What is known about a key; nil when the host must be asked, also because the value is past its expiry.
    mutating func entry(_ key: KvKey, now: Int64) -> Entry? {
        guard let entry = young[key] ?? old[key] else { return nil }
        if entry.expiry != 0, entry.expiry <= now {
            forget(key)
            return nil
        }
        if !old.isEmpty, old.removeValue(forKey: key) != nil { store(entry, for: key) }
        return entry
    }

    mutating func store(_ entry: Entry, for key: KvKey) {
        old[key] = nil
        youngSize += Self.size(entry, key) - (young[key].map { Self.size($0, key) } ?? 0)
        young[key] = entry
        if young.count > Self.entriesMax || youngSize > Self.sizeMax {
            old = young
            young = [:]
            youngSize = 0
        }
    }

    mutating func forget(_ key: KvKey) {
        old[key] = nil
        if let entry = young.removeValue(forKey: key) { youngSize -= Self.size(entry, key) }
    }

    /// Forgets a key, if the rule applies to what is known about it; an empty one means all keys, whatever the rule.
    mutating func forget(_ text: String, _ forgetting: KvForgetting) {
        if text.isEmpty {
            young = [:]
            old = [:]
            youngSize = 0
            return
        }
        let key = KvKey(Array(text.utf8))
        if let known = young[key] ?? old[key], forgetting.applies(to: known.version) { forget(key) }
    }

    private static func size(_ entry: Entry, _ key: KvKey) -> Int {
        key.bytes.count + (entry.value?.count ?? 0) + 64
    }
}
