/// Which keys are taken, and who waits behind each: at most one delivery of a key is under way.
///
/// Keys are 64-bit hashes under a seed of this process, never 0. Two keys with one hash would wait for each other without need, which
/// breaks nothing.
///
/// Open addressing with linear probing, at most half full; a removal moves the entries behind it up, so there are no tombstones. The waiting
/// deliveries of a key are a list through their slots.
struct KeyTable {
    private struct Line {
        var key: UInt64 = 0  // 0: the place is free
        var first: UInt32 = .max
        var last: UInt32 = .max
    }

    private var lines = ContiguousArray<Line>()
    private(set) var count = 0

    /// Takes the key; or, if another delivery has it, puts `slot` at the end of the line behind it.
    ///
    /// - Returns: true if the key is taken now.
    @inline(__always)
    mutating func take(_ key: UInt64, for slot: UInt32, in owed: OwedTable) -> Bool {
        if count * 2 >= lines.count { grow() }
        let place = place(of: key)
        if lines[place].key == 0 {
            lines[place].key = key
            count += 1
            return true
        }
        let last = lines[place].last
        if last == .max {
            lines[place].first = slot
        } else {
            owed[last].pointee.next = slot
        }
        lines[place].last = slot
        owed[slot].pointee.next = .max
        return false
    }

    /// Gives the key to the next in line, or frees it.
    ///
    /// - Returns: the delivery that has the key now.
    @inline(__always)
    mutating func release(_ key: UInt64, in owed: OwedTable) -> UInt32? {
        guard count > 0 else { return nil }
        let place = place(of: key)
        guard lines[place].key != 0 else { return nil }
        let first = lines[place].first
        guard first != .max else {
            remove(at: place)
            return nil
        }
        let next = owed[first].pointee.next
        lines[place].first = next
        if next == .max { lines[place].last = .max }
        owed[first].pointee.next = .max
        return first
    }

    /// Where the key is, or where it would go.
    @inline(__always)
    private func place(of key: UInt64) -> Int {
        let mask = lines.count &- 1
        var place = Int(truncatingIfNeeded: key) & mask
        while lines[place].key != 0, lines[place].key != key { place = (place &+ 1) & mask }
        return place
    }

    /// Empties a place, and moves up what stands behind it only because of it.
    private mutating func remove(at start: Int) {
        let mask = lines.count - 1
        var hole = start
        var place = (hole + 1) & mask
        while lines[place].key != 0 {
            let home = Int(truncatingIfNeeded: lines[place].key) & mask
            // The entry may move if its home does not lie between the hole and it.
            if (place - home) & mask >= (place - hole) & mask {
                lines[hole] = lines[place]
                hole = place
            }
            place = (place + 1) & mask
        }
        lines[hole] = Line()
        count -= 1
    }

    private mutating func grow() {
        let before = lines
        lines = ContiguousArray(repeating: Line(), count: max(16, before.count * 2))
        for line in before where line.key != 0 { lines[place(of: line.key)] = line }
    }
}
