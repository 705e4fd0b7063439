internal import MoonbusEvents

/// Events that nobody wanted, by type: a table that takes new types until it is full. Confined to the owner thread.
struct UnmatchedTypes {
    private var counts: [String: UInt64] = [:]
    private var others: UInt64 = 0

    mutating func note(_ event: Event, typesMax: Int) {
        let type = event.typeText
        if counts[type] != nil || counts.count < typesMax {
            counts[type, default: 0] += 1
        } else {
            others += 1
        }
    }

    /// Most frequent first; what found no place in the table last.
    var table: [BusStatistics.Unmatched] {
        let named = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { BusStatistics.Unmatched(type: $0.key, count: $0.value) }
        return others == 0 ? named : named + [BusStatistics.Unmatched(type: nil, count: others)]
    }
}
