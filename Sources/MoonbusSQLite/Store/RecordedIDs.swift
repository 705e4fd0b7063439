/// Which events were recorded lately, by the hash of source and id: where to look before an event is called new.
///
/// The ids themselves are in the file (table `ids`). In memory is an index over them, in segments of about a million: 8 bytes for each id,
/// so ten million take 80 MB. Segments, because a table that grew without end would stop every append while it doubles, and because the
/// oldest ids go a segment at a time, without deletions.
///
/// Only the young segment keeps whole hashes. A sealed one answers "perhaps, at this position" (11 bits of the hash are in the place itself,
/// so in 1 of 1,500 lookups it is another id), and its caller compares with the file.
struct RecordedIDs {
    /// Ids in a segment, about: 8 MiB of places.
    static let segmentCount = 1 << 20
    private(set) var sealed: [SealedIDs] = []
    private(set) var young = YoungIDs(base: 1)

    /// Ids that are remembered.
    var count: Int { sealed.reduce(young.count) { $0 + $1.count } }

    /// Remembers an id under the next position of the young segment, which must be `position`.
    @inline(__always)
    mutating func add(_ hash: UInt64, at position: UInt64) {
        assert(position == young.end)
        young.add(hash)
    }

    /// Takes back the ids that were added last.
    mutating func removeLast(_ count: Int) {
        for _ in 0..<count { young.removeLast() }
    }

    /// Between two commits: closes a segment that is full, or ahead of a position that does not follow on.
    ///
    /// - Parameter segmentsMax: sealed segments to keep; the oldest goes.
    mutating func sealIfDue(next position: UInt64, segmentsMax: Int) {
        guard young.count >= Self.segmentCount || position != young.end else { return }
        if young.count > 0 { sealed.append(young.sealed) }
        young = YoungIDs(base: position)
        if sealed.count > segmentsMax { sealed.removeFirst(sealed.count - segmentsMax) }
    }

    /// Forgets segments in which every id is too old.
    mutating func forget(through position: UInt64) {
        while let first = sealed.first, first.end <= position + 1 { sealed.removeFirst() }
    }
}

/// The segment that ids are added to: exact.
struct YoungIDs {
    /// The position of the first id.
    let base: UInt64
    private var hashes = ContiguousArray<UInt64>()
    private var places = ContiguousArray<UInt32>(repeating: 0, count: 1_024)

    init(base: UInt64) {
        self.base = base
    }

    var count: Int { hashes.count }
    /// The position that the next id gets.
    var end: UInt64 { base + UInt64(hashes.count) }
    /// The hashes from a position on.
    func hashes(from position: UInt64) -> ArraySlice<UInt64> { ArraySlice(hashes[Int(position - base)...]) }

    var sealed: SealedIDs { SealedIDs(base: base, count: count, places: places) }

    @inline(__always)
    mutating func add(_ hash: UInt64) {
        if hashes.count * 2 >= places.count { grow() }
        hashes.append(hash)
        enter(hash, number: hashes.count)
    }

    /// The place is simply cleared: nothing that came later has gone round it, because nothing came later.
    mutating func removeLast() {
        let hash = hashes[hashes.count - 1]
        var place = IDPlaces.first(of: hash, in: places.count)
        while places[place] != UInt32(hashes.count) | IDPlaces.mark(of: hash) { place = (place &+ 1) & (places.count &- 1) }
        places[place] = 0
        hashes.removeLast()
    }

    /// Calls `body` with each position that has this hash, until it returns true.
    @inline(__always)
    func first<Failure: Error>(_ hash: UInt64, where body: (UInt64) throws(Failure) -> Bool) throws(Failure) -> UInt64? {
        var place = IDPlaces.first(of: hash, in: places.count)
        let mark = IDPlaces.mark(of: hash)
        while places[place] != 0 {
            let number = places[place] & IDPlaces.numberMask
            if places[place] & ~IDPlaces.numberMask == mark, hashes[Int(number) - 1] == hash {
                let position = base + UInt64(number) - 1
                if try body(position) { return position }
            }
            place = (place &+ 1) & (places.count &- 1)
        }
        return nil
    }

    @inline(__always)
    private mutating func enter(_ hash: UInt64, number: Int) {
        var place = IDPlaces.first(of: hash, in: places.count)
        while places[place] != 0 { place = (place &+ 1) & (places.count &- 1) }
        places[place] = UInt32(number) | IDPlaces.mark(of: hash)
    }

    private mutating func grow() {
        places = ContiguousArray(repeating: 0, count: places.count * 2)
        for index in hashes.indices { enter(hashes[index], number: index + 1) }
    }
}

/// A segment that nothing is added to any more.
struct SealedIDs {
    /// The position of the first id.
    let base: UInt64
    let count: Int
    let places: ContiguousArray<UInt32>

    /// The position after the last id.
    var end: UInt64 { base + UInt64(count) }

    /// Calls `body` with each position that may have this hash, until it returns true.
    @inline(__always)
    func first<Failure: Error>(_ hash: UInt64, where body: (UInt64) throws(Failure) -> Bool) throws(Failure) -> UInt64? {
        var place = IDPlaces.first(of: hash, in: places.count)
        let mark = IDPlaces.mark(of: hash)
        while places[place] != 0 {
            if places[place] & ~IDPlaces.numberMask == mark {
                let position = base + UInt64(places[place] & IDPlaces.numberMask) - 1
                if try body(position) { return position }
            }
            place = (place &+ 1) & (places.count &- 1)
        }
        return nil
    }
}

/// What a place of an index holds: the id's number in its segment, from 1, in 21 bits, and 11 bits of its hash. 0: nothing.
private enum IDPlaces {
    static let numberMask = UInt32(1) << 21 - 1

    /// Where the search begins; `count` is a power of two.
    @inline(__always)
    static func first(of hash: UInt64, in count: Int) -> Int { Int(truncatingIfNeeded: hash) & (count &- 1) }

    /// The highest bits, because the lowest choose the place.
    @inline(__always)
    static func mark(of hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) & ~numberMask }
}
