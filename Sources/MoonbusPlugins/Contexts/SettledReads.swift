import MoonbusEvents

/// What deliveries read of the plugin's state, from the moment that they were answered: so that one which comes again is recognised.
///
/// A delivery that was done and comes again has met a conflict: what its lane remembers of the keys that it read is out of date, and has to
/// be forgotten before it runs again. (The bus tells of conflicts and of commits in the same words, and to forget after each commit would
/// throw away what the lane knows best: what its own handlers wrote, also the ones that are not committed yet.)
///
/// One table for all plugins of a host, direct-mapped over the version, the record's address, the handler and the attempt. A wrong hit costs a question
/// to the journal, a miss one more conflict.
struct SettledReads {
    private struct Entry {
        var version: ObjectIdentifier
        var address: UInt
        var handler: Int32
        var attempt: UInt16
        var keys: [String]
    }

    private static let size = 8_192  // a power of two: more than lanes have in flight

    private var entries: [Entry?] = []

    /// Whether there is nothing to be found.
    var isEmpty: Bool { entries.isEmpty }

    /// Notes what a delivery has read. Deliveries that read nothing need not be noted.
    mutating func add(_ event: Event, of version: PluginVersion, handler: Int32, attempt: UInt16, keys: [String]) {
        if entries.isEmpty { entries = Array(repeating: nil, count: Self.size) }
        let address = address(of: event)
        let version = ObjectIdentifier(version)
        entries[slot(version, address, handler)] = Entry(version: version, address: address, handler: handler, attempt: attempt, keys: keys)
    }

    /// What a delivery read when it was answered before; nil when it comes for the first time. Asked for once.
    mutating func take(_ event: Event, of version: PluginVersion, handler: Int32, attempt: UInt16) -> [String]? {
        let address = address(of: event)
        let version = ObjectIdentifier(version)
        let slot = slot(version, address, handler)
        guard let entry = entries[slot], entry.version == version, entry.address == address, entry.handler == handler,
            entry.attempt == attempt
        else { return nil }
        entries[slot] = nil
        return entry.keys
    }

    private func address(of event: Event) -> UInt { event.withUnsafeRecord { UInt(bitPattern: $0.baseAddress) } }

    private func slot(_ version: ObjectIdentifier, _ address: UInt, _ handler: Int32) -> Int {
        let version = UInt(bitPattern: version)
        return Int(truncatingIfNeeded: (address >> 4) ^ (address >> 17) ^ (version >> 4) ^ (UInt(bitPattern: Int(handler)) &* 31))
            & (Self.size - 1)
    }
}
