internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// Finds an event by its id, without an index: that would take a page at random for each event that is recorded.
///
/// Each row of **ids** has 4 bytes for each event of its commit, a hash of the id alone. They are looked through from the newest back, and only
/// events whose tag is right are read. So an id that is not there costs a pass over 1/80 of the log (a million events: some 20 ms) on a
/// thread on which nobody records. What an older version recorded has no tags; those events are read themselves.
struct EventLookup {
    let connection: Database

    /// - Returns: the newest event with this id.
    func event(id: String) throws -> RecordedEvent? {
        // The lowest position that was looked at by its tag.
        var lowest = UInt64(Int64.max)
        if try connection.columns(in: "ids").contains(where: { $0.name == "tags" }) {
            let tag = try hash().tag(ofID: id)
            let query = try Query(connection, "SELECT first, tags FROM ids ORDER BY first DESC")
            while try query.step(), !query.isNull(1) {
                lowest = query.unsigned(0)
                for index in query.withBytes(1, { Self.places(of: tag, in: $0) }).reversed() {
                    if let found = try event(at: lowest + UInt64(index), id: id) { return found }
                }
            }
        }
        return try scan(below: lowest, id: id)
    }

    private func hash() throws -> ByteHash {
        let query = try Query(
            connection, "SELECT name, value FROM settings WHERE name IN ('seed0', 'seed1') ORDER BY name")
        var seeds: [UInt64] = []
        while try query.step() { seeds.append(query.unsigned(1)) }
        guard seeds.count == 2 else {
            throw JournalError(.damaged, "the seeds of the file's hashes are missing")
        }
        return ByteHash(seed: (seeds[0], seeds[1]))
    }

    private static func places(of tag: UInt32, in tags: UnsafeRawBufferPointer) -> [Int] {
        var places: [Int] = []
        for index in 0..<tags.count / 4
        where UInt32(littleEndian: tags.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
            == tag
        { places.append(index) }
        return places
    }

    private func event(at position: UInt64, id: String) throws -> RecordedEvent? {
        let query = try Query(connection, "SELECT record FROM events WHERE position = ?")
        query.bind(position, at: 1)
        guard try query.step() else { return nil }
        let event = try JournalReading.event(query, 0, what: "event \(position)")
        return event.id == id ? RecordedEvent(position: position, event: event) : nil
    }

    private func scan(below position: UInt64, id: String) throws -> RecordedEvent? {
        let query = try Query(
            connection, "SELECT position, record FROM events WHERE position < ? ORDER BY position DESC")
        query.bind(position, at: 1)
        var id = id
        return try id.withUTF8 { id in
            while try query.step() {
                guard query.withBytes(1, { $0.count >= 40 && EventFields(record: $0).id.elementsEqual(id) })
                else { continue }
                let position = query.unsigned(0)
                return RecordedEvent(
                    position: position, event: try JournalReading.event(query, 1, what: "event \(position)"))
            }
            return nil
        }
    }
}

extension ByteHash {
    /// No identity has it: there the salt is the size of an id.
    private static let tagSalt: UInt64 = 1 << 32

    /// What **ids** keeps of an event's id, for who looks for it without its source.
    @inline(__always)
    func tag(record: UnsafeRawBufferPointer) -> UInt32 {
        let typeSize = Int(record.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
        let idSize = Int(record.loadUnaligned(fromByteOffset: 16, as: UInt16.self))
        let start = 40 + typeSize
        return UInt32(
            truncatingIfNeeded: self(
                UnsafeRawBufferPointer(rebasing: record[start..<start + idSize]), salt: Self.tagSalt
            ).place)
    }

    func tag(ofID id: String) -> UInt32 {
        var id = id
        return id.withUTF8 {
            UInt32(truncatingIfNeeded: self(UnsafeRawBufferPointer($0), salt: Self.tagSalt).place)
        }
    }
}
