/// Results of matching, remembered by type: what makes types that repeat cost one look at one cache line.
///
/// 64-byte entries with the type in them. A type has two homes, each of two entries, which keeps nearly all of as many
/// types as there are entries three quarters of; with one home, every third would push out another. Any change of a subscription makes all entries stale by
/// raising the generation. The cache starts small and doubles while it keeps overflowing, up to as many entries as there
/// are subscriptions (at least 1,024) and the bound that its owner gave. When types hardly ever repeat, only every eighth
/// result is remembered, so that a useless cache costs next to nothing.
struct ResultCache<Value: BitwiseCopyable>: ~Copyable {
    private struct Entry {
        var type: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
        /// Up to 16 bytes of values; of more values, the place of the first one in `spill`.
        var values: (UInt64, UInt64) = (0, 0)
        /// Stale unless it is the cache's.
        var generation: UInt32 = 0
        var count: UInt32 = 0
    }

    /// Results with more values are not remembered: copying them costs as much as finding them.
    private static var countMax: Int { 256 }
    private static var inlineMax: Int { 16 / MemoryLayout<Value>.stride }
    private static var capacityMin: Int { 256 }
    /// How many look-ups pass between two decisions whether remembering pays.
    private static var windowSize: Int { 1_024 }

    private let capacityMax: Int
    private var capacityWanted: Int
    private var base: UnsafeMutablePointer<Entry>
    private var capacity: Int
    private var spill: UnsafeMutablePointer<Value>
    private var spillCount = 0
    private var generation: UInt32 = 1
    private let seed = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))

    private var lookups = 0
    private var hits = 0
    private var skipsLeft = 0
    private var skips = 0
    /// Results remembered since the last doubling or invalidation.
    private var insertions = 0

    init(capacityMax: Int) {
        precondition(capacityMax == 0 || capacityMax >= Self.capacityMin, "a cache has no entries, or at least 256")
        self.capacityMax = capacityMax
        capacity = capacityMax == 0 ? 0 : Self.capacityMin
        capacityWanted = min(capacityMax, 1_024)
        base = Self.entries(capacity)
        spill = .allocate(capacity: capacity * 4)
    }

    deinit {
        base.deallocate()
        spill.deallocate()
    }

    var isOn: Bool { capacity > 0 }

    var memoryBytes: Int { capacity * (MemoryLayout<Entry>.stride + 4 * MemoryLayout<Value>.stride) }

    /// Where a key's two homes begin.
    @inline(__always)
    private func homes(of key: CacheKey) -> (Int, Int) {
        let words = key.words
        let first = (words.0 ^ seed.0).multipliedFullWidth(by: words.1 ^ seed.1)
        let second = (words.2 ^ seed.1).multipliedFullWidth(by: words.3 ^ seed.2)
        let mixed = ((first.high ^ first.low ^ words.4) &* 0x9E37_79B9_7F4A_7C15 ^ second.high ^ second.low) &* 0xD6E8_FEB8_6659_FD93
        let mask = UInt64(capacity - 1) & ~1
        return (Int(truncatingIfNeeded: mixed & mask), Int(truncatingIfNeeded: mixed >> 32 & mask))
    }

    /// Appends what is remembered under a key; false when nothing is.
    @inline(__always)
    mutating func append(_ key: CacheKey, to values: inout [Value]) -> Bool {
        lookups += 1
        let homes = homes(of: key)
        guard let entry = find(key, homes.0) ?? find(key, homes.1) else { return false }
        hits += 1
        let count = Int(entry.pointee.count)
        let start = count <= Self.inlineMax ? inline(entry) : spill + Int(entry.pointee.values.0)
        for index in 0..<count { values.append(start[index]) }
        return true
    }

    @inline(__always)
    private func find(_ key: CacheKey, _ home: Int) -> UnsafeMutablePointer<Entry>? {
        let entry = base + home
        if entry[0].type == key.words, entry[0].generation == generation { return entry }
        if entry[1].type == key.words, entry[1].generation == generation { return entry + 1 }
        return nil
    }

    /// A stale entry at one of a key's homes, or one that has to make room.
    private func room(for key: CacheKey) -> UnsafeMutablePointer<Entry> {
        let homes = homes(of: key)
        for place in [homes.0, homes.0 + 1, homes.1, homes.1 + 1] where base[place].generation != generation { return base + place }
        return base + (insertions & 2 == 0 ? homes.0 : homes.1) + (insertions & 1)
    }

    /// Remembers a result.
    mutating func insert(_ key: CacheKey, _ values: UnsafeBufferPointer<Value>) {
        guard values.count <= Self.countMax, isWorthRemembering() else { return }
        insertions += 1
        if insertions > capacity, capacity < capacityWanted { double() }
        if values.count > Self.inlineMax, spillCount + values.count > capacity * 4 { forgetAll() }

        let entry = room(for: key)
        entry.pointee = Entry(type: key.words, generation: generation, count: UInt32(values.count))
        if values.count <= Self.inlineMax {
            for (index, value) in values.enumerated() { inline(entry)[index] = value }
        } else {
            entry.pointee.values.0 = UInt64(spillCount)
            for (index, value) in values.enumerated() { (spill + spillCount + index).initialize(to: value) }
            spillCount += values.count
        }
    }

    /// Makes everything stale, because a subscription came or went.
    mutating func invalidate(subscriptions: Int) {
        guard isOn else { return }
        // Bulk changes call this for each subscription: only entries that may be in use are worth a new generation.
        if insertions > 0 { forgetAll() }
        while capacityWanted < subscriptions * 2, capacityWanted < capacityMax { capacityWanted *= 2 }
    }

    private mutating func forgetAll() {
        spillCount = 0
        insertions = 0
        generation &+= 1
        if generation == 0 {
            // After 2^32 changes old entries would look new again.
            base.update(repeating: Entry(), count: capacity)
            generation = 1
        }
    }

    private mutating func isWorthRemembering() -> Bool {
        if lookups >= Self.windowSize {
            skips = hits * 8 < lookups && capacity >= capacityWanted ? 7 : 0
            (lookups, hits) = (0, 0)
        }
        if skipsLeft > 0 {
            skipsLeft -= 1
            return false
        }
        skipsLeft = skips
        return true
    }

    private mutating func double() {
        base.deallocate()
        spill.deallocate()
        capacity *= 2
        base = Self.entries(capacity)
        spill = .allocate(capacity: capacity * 4)
        (spillCount, insertions, generation) = (0, 0, 1)
    }

    @inline(__always)
    private func inline(_ entry: UnsafeMutablePointer<Entry>) -> UnsafeMutablePointer<Value> {
        (UnsafeMutableRawPointer(entry) + 40).assumingMemoryBound(to: Value.self)
    }

    private static func entries(_ capacity: Int) -> UnsafeMutablePointer<Entry> {
        let entries = TrieBlock.allocate(capacity, of: Entry.self)
        entries.initialize(repeating: Entry(), count: capacity)
        return entries
    }
}

/// A type of at most 40 bytes as five words, padded with zeros.
struct CacheKey: BitwiseCopyable {
    /// Longer types are not remembered: an entry is one cache line.
    static let sizeMax = 40

    fileprivate var words: (UInt64, UInt64, UInt64, UInt64, UInt64)

    @inline(__always)
    init(_ type: UnsafeRawBufferPointer) {
        let size = type.count
        words = (TypeToken.word(type, 0, min(size, 8)), 0, 0, 0, 0)
        if size > 8 { words.1 = TypeToken.word(type, 8, min(size - 8, 8)) }
        if size > 16 { words.2 = TypeToken.word(type, 16, min(size - 16, 8)) }
        if size > 24 { words.3 = TypeToken.word(type, 24, min(size - 24, 8)) }
        if size > 32 { words.4 = TypeToken.word(type, 32, min(size - 32, 8)) }
    }
}
