internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// Events: recorded once, in one order.
extension Store {
    /// How often the time is noted down.
    static let ageEvery = Duration.seconds(60)

    func append(_ events: [Event]) throws(StoreFailure) -> [Recorded] {
        guard !events.isEmpty else { return [] }
        try makeRoom(for: events.count)
        return try record(events)
    }

    /// Records events, for which there is room.
    func record(_ events: [Event]) throws(StoreFailure) -> [Recorded] {
        guard !events.isEmpty else { return [] }
        try begin()
        var recorded: [Recorded] = []
        recorded.reserveCapacity(events.count)
        for event in events { recorded.append(try record(event)) }
        return recorded
    }

    @inline(__always)
    private func record(_ event: Event) throws(StoreFailure) -> Recorded {
        let id = hash.identity(of: event)
        if !delayed.isEmpty { try takeFromDelayed(id) }
        if let position = try position(of: event, id) { return Recorded(position: position, isDuplicate: true) }
        if next == undo.next { try noteAge() }
        let position = next
        try event.withUnsafeRecord { record throws(StoreFailure) in
            queries.insertEvent.bind(position, at: 1)
            queries.insertEvent.bind(unsafe: record, at: 2)
            try queries.insertEvent.run()
            tags.append(hash.tag(record: record))
        }
        ids.add(id.place, at: position)
        next += 1
        return Recorded(position: position)
    }

    /// Where the event was recorded lately; nil: it is new.
    @inline(__always)
    func position(of event: Event, _ id: ByteHash.Value) throws(StoreFailure) -> UInt64? {
        let young = try ids.young.first(id.place) { position throws(StoreFailure) in try isSame(event, at: position) ?? true }
        if let young { return young }
        for segment in ids.sealed {
            let position = try segment.first(id.place) { position throws(StoreFailure) in
                if let isSame = try isSame(event, at: position) { return isSame }
                return try hasHash(id.place, at: position)
            }
            if let position { return position }
        }
        return nil
    }

    /// Whether the event at a position has the same source and id; nil if it has been forgotten.
    private func isSame(_ event: Event, at position: UInt64) throws(StoreFailure) -> Bool? {
        queries.event.bind(position, at: 1)
        defer { queries.event.reset() }
        guard try queries.event.step() else { return nil }
        return queries.event.withBytes(0) { record in
            guard record.count >= 40 else { return false }
            let there = EventFields(record: record)
            return event.withUnsafeFields { $0.id.elementsEqual(there.id) && $0.source.elementsEqual(there.source) }
        }
    }

    /// Whether the hash that was kept for a position is this one.
    private func hasHash(_ hash: UInt64, at position: UInt64) throws(StoreFailure) -> Bool {
        queries.idsBefore.bind(position, at: 1)
        defer { queries.idsBefore.reset() }
        guard try queries.idsBefore.step() else { return false }
        let offset = Int(position - queries.idsBefore.unsigned(0)) * 8
        return queries.idsBefore.withBytes(1) { hashes in
            offset + 8 <= hashes.count && UInt64(littleEndian: hashes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) == hash
        }
    }

    /// An event that waits and is appended now has come due.
    private func takeFromDelayed(_ id: ByteHash.Value) throws(StoreFailure) {
        guard let row = delayed.removeValue(forKey: id) else { return }
        undo.delayedRemoved.append((id, row))
        if let plugin = row.plugin { change(plugin) { $0.removeDelayed(size: row.size, of: plugin) } }
        queries.deleteDelayed.bind(row.number, at: 1)
        try queries.deleteDelayed.run()
    }

    /// Lets an event wait, unless it is recorded or waits already.
    ///
    /// - Parameter plugin: in whose share it counts; nil: in nobody's.
    func delay(_ later: DelayedEvent, of plugin: String?) throws(StoreFailure) {
        let id = hash.identity(of: later.event)
        guard delayed[id] == nil, try position(of: later.event, id) == nil else { return }
        let number = nextDelayed
        try later.event.withUnsafeRecord { record throws(StoreFailure) in
            queries.insertDelayed.bind(number, at: 1)
            queries.insertDelayed.bind(later.due, at: 2)
            queries.insertDelayed.bind(unsafe: record, at: 3)
            if let plugin { queries.insertDelayed.bind(plugin, at: 4) } else { queries.insertDelayed.bindNull(at: 4) }
            try queries.insertDelayed.run()
        }
        nextDelayed += 1
        let size = later.event.recordSize
        delayed[id] = Waiting(number: number, size: size, plugin: plugin)
        undo.delayedAdded.append(id)
        if let plugin { change(plugin) { $0.addDelayed(size: size, of: plugin) } }
    }

    /// Notes the time, at most once a minute, before the first event of a transaction.
    private func noteAge() throws(StoreFailure) {
        // Nor while the clock, set back, has not caught up: times must rise, and what is kept too long does no harm.
        if let last = ages.last, now - last.recorded < Self.ageEvery { return }
        queries.insertAge.bind(next, at: 1)
        queries.insertAge.bind(now, at: 2)
        try queries.insertAge.run()
        ages.append(Age(position: next, recorded: now))
    }
}
