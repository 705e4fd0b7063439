/// Which keys are taken, and who waits behind each: at most one delivery of a key is under way.
///
/// Keys are 64-bit hashes under a seed of this process. Two keys with one hash would wait for each other without need, which breaks nothing.
struct KeyTable {
    private struct Line {
        var first: UInt32 = .max
        var last: UInt32 = .max
    }

    private var lines: [UInt64: Line] = [:]

    var isEmpty: Bool { lines.isEmpty }

    /// Takes the key; or, if another delivery has it, puts `slot` at the end of the line behind it.
    ///
    /// - Returns: true if the key is taken now.
    mutating func take(_ key: UInt64, for slot: UInt32, in owed: OwedTable) -> Bool {
        guard let index = lines.index(forKey: key) else {
            lines[key] = Line()
            return true
        }
        let last = lines.values[index].last
        if last == .max {
            lines.values[index].first = slot
        } else {
            owed[last].pointee.next = slot
        }
        lines.values[index].last = slot
        owed[slot].pointee.next = .max
        return false
    }

    /// Gives the key to the next in line, or frees it.
    ///
    /// - Returns: the delivery that has the key now.
    mutating func release(_ key: UInt64, in owed: OwedTable) -> UInt32? {
        guard let index = lines.index(forKey: key) else { return nil }
        let first = lines.values[index].first
        guard first != .max else {
            lines.remove(at: index)
            return nil
        }
        let next = owed[first].pointee.next
        lines.values[index].first = next
        if next == .max { lines.values[index].last = .max }
        owed[first].pointee.next = .max
        return first
    }

    /// Takes out everyone who waits in a line. The keys stay taken by those who have them.
    mutating func removeWaiting(in owed: OwedTable) -> [UInt32] {
        var slots: [UInt32] = []
        for index in lines.values.indices {
            var slot = lines.values[index].first
            while slot != .max {
                slots.append(slot)
                let next = owed[slot].pointee.next
                owed[slot].pointee.next = .max
                slot = next
            }
            lines.values[index] = Line()
        }
        return slots
    }
}
