internal import DequeModule

/// An endpoint as the scheduler sees it.
///
/// `@unchecked Sendable`: confined to the owner thread; it travels through that thread's own mailbox.
final class EndpointEntry: @unchecked Sendable {
    let endpoint: any HandlerEndpoint
    /// Its place in the table, as deliveries remember it.
    let index: UInt32
    /// Queues with deliveries that may go, each once, in the order of their turns.
    var ready = Deque<UInt32>()
    /// Deliveries that it has.
    var inFlight = 0
    /// Queues that it serves.
    var serving = 0
    /// True while it waits for its turn.
    var isDirty = false
    /// Who wants to know when it has nothing left.
    var drained: [() -> Void] = []

    init(_ endpoint: any HandlerEndpoint, index: UInt32) {
        self.endpoint = endpoint
        self.index = index
    }

    /// True when nothing connects it with the bus any more.
    var isIdle: Bool { inFlight == 0 && serving == 0 }
}

/// All endpoints that serve something or still have deliveries. Confined to the owner thread.
final class Endpoints {
    private var entries = ContiguousArray<EndpointEntry?>()
    private var indices: [ObjectIdentifier: UInt32] = [:]
    private var free: [UInt32] = []
    /// Those with something to do, in the order of their turns.
    private var dirty = Deque<EndpointEntry>()

    /// The entry with that index; it must be there: a delivery keeps it.
    @inline(__always)
    subscript(index: UInt32) -> EndpointEntry {
        guard let entry = entries[Int(index)] else { preconditionFailure("a delivery keeps its endpoint's entry") }
        return entry
    }

    /// The entry of an endpoint; makes one if there is none.
    func entry(for endpoint: any HandlerEndpoint) -> EndpointEntry {
        if let entry = find(endpoint) { return entry }
        let index = free.popLast() ?? UInt32(entries.count)
        let entry = EndpointEntry(endpoint, index: index)
        if Int(index) == entries.count { entries.append(entry) } else { entries[Int(index)] = entry }
        indices[ObjectIdentifier(endpoint)] = index
        return entry
    }

    /// The entry of an endpoint that is known.
    func find(_ endpoint: any HandlerEndpoint) -> EndpointEntry? {
        indices[ObjectIdentifier(endpoint)].flatMap { entries[Int($0)] }
    }

    /// Forgets an idle entry, and tells those who waited for that.
    func forgetIfIdle(_ entry: EndpointEntry) {
        guard entry.isIdle, Int(entry.index) < entries.count, entries[Int(entry.index)] === entry else { return }
        entries[Int(entry.index)] = nil
        indices[ObjectIdentifier(entry.endpoint)] = nil
        free.append(entry.index)
        let drained = entry.drained
        entry.drained = []
        for tell in drained { tell() }
    }

    /// Forgets all endpoints: the bus has stopped.
    func removeAll() {
        entries = []
        indices = [:]
        free = []
        dirty = []
    }

    /// Gives an endpoint a turn.
    @inline(__always)
    func mark(_ entry: EndpointEntry) {
        guard !entry.isDirty else { return }
        entry.isDirty = true
        dirty.append(entry)
    }

    /// The endpoint whose turn it is.
    func nextTurn() -> EndpointEntry? {
        guard let entry = dirty.popFirst() else { return nil }
        entry.isDirty = false
        return entry
    }
}
