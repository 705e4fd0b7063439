import MoonbusEvents

/// The events that can still be read, by position: a ring whose first element has position `first`.
///
/// Invariant: positions `first ..< next` are there, without holes. The capacity is a power of two and only grows.
struct EventLog {
    private var ring: ContiguousArray<Event?>
    /// The lowest position that is there, if any is.
    private(set) var first: UInt64 = 1
    /// The position that the next event gets.
    private(set) var next: UInt64 = 1
    /// Bytes of the events' records.
    private(set) var size = 0

    init() {
        ring = ContiguousArray(repeating: nil, count: 1_024)
    }

    var count: Int { Int(next - first) }

    /// Adds an event at `next`.
    mutating func append(_ event: Event) {
        if count == ring.count { grow() }
        ring[slot(of: next)] = event
        size += event.withUnsafeRecord { $0.count }
        next += 1
    }

    /// Drops the event at `first`. There must be one.
    mutating func dropFirst() {
        let slot = slot(of: first)
        size -= ring[slot]?.withUnsafeRecord { $0.count } ?? 0
        ring[slot] = nil
        first += 1
    }

    /// The event at a position; nil when it was forgotten or is not there yet.
    subscript(position: UInt64) -> Event? {
        guard position >= first, position < next else { return nil }
        return ring[slot(of: position)]
    }

    private func slot(of position: UInt64) -> Int {
        Int(truncatingIfNeeded: position) & (ring.count - 1)
    }

    private mutating func grow() {
        var larger = ContiguousArray<Event?>(repeating: nil, count: ring.count * 2)
        for position in first..<next {
            larger[Int(truncatingIfNeeded: position) & (larger.count - 1)] = ring[slot(of: position)]
        }
        ring = larger
    }
}
