import MoonbusEvents

/// Which events were recorded lately, by the hash of source and id, with their positions.
///
/// Two generations of one flat table (linear probing, at most half full). When the younger one is full or a window old, it becomes
/// the elder and the elder is forgotten: no deletions, no list of ages. So an id is remembered for at least the window or for at least
/// the last `countMax` events, whichever ends first, and for at most twice of it.
struct RecentIDs {
    private struct Entry {
        var id: ByteHash.Value
        var position: UInt64  // 0: empty

        static let empty = Entry(id: ByteHash.Value(place: 0, mark: 0), position: 0)
    }

    private static let sizeMin = 1_024

    private let countMax: Int
    private let window: Duration
    private var young: ContiguousArray<Entry>
    private var youngCount = 0
    private var youngBorn: Timestamp
    private var old: ContiguousArray<Entry> = []

    init(countMax: Int, window: Duration, now: Timestamp) {
        self.countMax = countMax
        self.window = window
        youngBorn = now
        young = ContiguousArray(repeating: .empty, count: Self.sizeMin)
    }

    /// Forgets what is too old. Call it once a batch.
    mutating func age(now: Timestamp) {
        guard youngCount >= countMax || now - youngBorn >= window else { return }
        old = young
        // A full generation will be followed by one like it; a quiet one gives its memory back.
        young = ContiguousArray(repeating: .empty, count: youngCount >= countMax ? young.count : Self.sizeMin)
        youngCount = 0
        youngBorn = now
    }

    /// The position under which the id is remembered; if there is none, remembers it under `position` and returns nil.
    mutating func remember(_ id: ByteHash.Value, at position: UInt64) -> UInt64? {
        if !old.isEmpty, let known = Self.find(id, in: old) { return known }
        if youngCount * 2 >= young.count { grow() }
        let slot = Self.slot(of: id, in: young)
        if young[slot].position != 0 { return young[slot].position }
        young[slot] = Entry(id: id, position: position)
        youngCount += 1
        return nil
    }

    /// The position under which the id is remembered.
    func position(of id: ByteHash.Value) -> UInt64? {
        Self.find(id, in: young) ?? (old.isEmpty ? nil : Self.find(id, in: old))
    }

    private static func find(_ id: ByteHash.Value, in table: ContiguousArray<Entry>) -> UInt64? {
        let position = table[slot(of: id, in: table)].position
        return position == 0 ? nil : position
    }

    /// Where the id is, or where it would go.
    @inline(__always)
    private static func slot(of id: ByteHash.Value, in table: ContiguousArray<Entry>) -> Int {
        let mask = table.count &- 1
        var slot = Int(truncatingIfNeeded: id.place) & mask
        while table[slot].position != 0, table[slot].id != id { slot = (slot &+ 1) & mask }
        return slot
    }

    /// Doubles the younger generation, so that it stays at most half full.
    private mutating func grow() {
        var larger = ContiguousArray<Entry>(repeating: .empty, count: young.count * 2)
        for entry in young where entry.position != 0 { larger[Self.slot(of: entry.id, in: larger)] = entry }
        young = larger
    }
}
