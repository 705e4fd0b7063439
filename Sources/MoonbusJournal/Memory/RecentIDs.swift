import MoonbusEvents

/// Which events were recorded lately, by the hash of source and id, with their positions.
///
/// Two generations of one flat table. When the younger one is full or a window old, it becomes the elder and the elder is forgotten: no
/// deletions, no list of ages. So an id is remembered for at least the window or for at least the last `countMax` events, whichever ends
/// first, and for at most twice of it.
struct RecentIDs {
    private let countMax: Int
    private let window: Duration
    private var young = IDTable()
    private var youngBorn: Timestamp
    private var old = IDTable()

    init(countMax: Int, window: Duration, now: Timestamp) {
        self.countMax = min(countMax, IDTable.countMax)
        self.window = window
        youngBorn = now
    }

    /// Forgets what is too old. Call it once a batch.
    mutating func age(now: Timestamp) {
        guard young.count >= countMax || now - youngBorn >= window else { return }
        swap(&old, &young)
        young.clear()
        youngBorn = now
    }

    /// Fetches the places of ids that are about to be remembered.
    ///
    /// A lookup ends in a branch that nobody can predict, so the next one would begin only when the memory has answered. Here nothing
    /// depends on what is read, and the processor asks for many places at once. This halves the cost of recording an event.
    ///
    /// - Returns: a number without meaning, to be kept somewhere: otherwise the compiler would leave the reading out.
    @inline(__always)
    func touch(_ ids: ContiguousArray<ByteHash.Value>) -> UInt32 {
        ids.reduce(0) { $0 ^ young.content(of: $1) ^ old.content(of: $1) }
    }

    /// The position under which the id is remembered; if there is none, remembers it under `position` and returns nil.
    @inline(__always)
    mutating func remember(_ id: ByteHash.Value, at position: UInt64) -> UInt64? {
        if old.count > 0, let known = old.position(of: id) { return known }
        return young.insert(id, position)
    }

    /// The position under which the id is remembered.
    func position(of id: ByteHash.Value) -> UInt64? {
        young.position(of: id) ?? old.position(of: id)
    }
}

/// Ids with positions: entries in the order in which they came, and an index over them with linear probing, at most half full.
///
/// A place of the index is four bytes: where the entry is, and enough of the id to tell almost always that it is another one. So the usual
/// case, an id that is not there, touches one small cell at random, and the entries are only written, one after the other.
private struct IDTable {
    private struct Entry {
        var id: ByteHash.Value
        var position: UInt64
    }

    /// Bits of a place for the entry's number, which counts from 1: 0 is a free place. The others are the id's.
    private static let numberBits: UInt32 = 21
    private static let numberMask = UInt32(1) << numberBits - 1
    private static let placesMin = 1_024
    /// The most ids in a table.
    static let countMax = Int(numberMask)

    private var places = ContiguousArray<UInt32>(repeating: 0, count: placesMin)
    private var entries = ContiguousArray<Entry>()

    var count: Int { entries.count }

    /// Empties the table, and gives back memory that it did not use.
    mutating func clear() {
        places = ContiguousArray(repeating: 0, count: count * 4 < places.count ? Self.placesMin : places.count)
        entries.removeAll(keepingCapacity: true)
    }

    /// What is at the id's first place.
    @inline(__always)
    func content(of id: ByteHash.Value) -> UInt32 {
        places[Int(truncatingIfNeeded: id.place) & (places.count &- 1)]
    }

    @inline(__always)
    func position(of id: ByteHash.Value) -> UInt64? {
        let place = place(of: id)
        return places[place] == 0 ? nil : entries[Int(places[place] & Self.numberMask) - 1].position
    }

    /// The position that the id has already; nil: it has this one now.
    @inline(__always)
    mutating func insert(_ id: ByteHash.Value, _ position: UInt64) -> UInt64? {
        if entries.count * 2 >= places.count { grow() }
        let place = place(of: id)
        if places[place] != 0 { return entries[Int(places[place] & Self.numberMask) - 1].position }
        entries.append(Entry(id: id, position: position))
        places[place] = UInt32(entries.count) | Self.mark(of: id)
        return nil
    }

    /// Where the id is in the index, or where it would go.
    @inline(__always)
    private func place(of id: ByteHash.Value) -> Int {
        let mask = places.count &- 1
        let mark = Self.mark(of: id)
        var place = Int(truncatingIfNeeded: id.place) & mask
        while places[place] != 0, places[place] & ~Self.numberMask != mark || entries[Int(places[place] & Self.numberMask) - 1].id != id {
            place = (place &+ 1) & mask
        }
        return place
    }

    @inline(__always)
    private static func mark(of id: ByteHash.Value) -> UInt32 {
        UInt32(truncatingIfNeeded: id.mark) & ~numberMask
    }

    private mutating func grow() {
        places = ContiguousArray(repeating: 0, count: places.count * 2)
        for (index, entry) in entries.enumerated() { places[place(of: entry.id)] = UInt32(index + 1) | Self.mark(of: entry.id) }
    }
}
