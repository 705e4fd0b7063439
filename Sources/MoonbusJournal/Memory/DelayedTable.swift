import MoonbusEvents

/// Events that wait for their time, by source and id, each with who delayed it.
struct DelayedTable {
    private struct Waiting {
        var due: Timestamp
        /// Nil: whoever is no plugin.
        var plugin: String?
    }

    private var events: [Event: Waiting] = [:]
    private(set) var size = 0

    var count: Int { events.count }
    var isEmpty: Bool { events.isEmpty }

    func contains(_ event: Event) -> Bool { events[event] != nil }

    mutating func add(_ later: DelayedEvent, of plugin: String?, _ holdings: inout Holdings) {
        events[later.event] = Waiting(due: later.due, plugin: plugin)
        size += later.event.recordSize
        if let plugin { holdings.addDelayed(size: later.event.recordSize, of: plugin) }
    }

    /// Takes out an event that is appended now, if it waits.
    mutating func remove(_ event: Event, _ holdings: inout Holdings) {
        guard let place = events.index(forKey: event) else { return }
        let (stored, waiting) = events.remove(at: place)
        size -= stored.recordSize
        if let plugin = waiting.plugin { holdings.removeDelayed(size: stored.recordSize, of: plugin) }
    }

    /// Earliest first.
    func earliest(_ limit: Int) -> [DelayedEvent] {
        let sorted = events.map { DelayedEvent(event: $0.key, due: $0.value.due) }.sorted { ($0.due, $0.event.id) < ($1.due, $1.event.id) }
        return Array(sorted.prefix(limit))
    }
}
