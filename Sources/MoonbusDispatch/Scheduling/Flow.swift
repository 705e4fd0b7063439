internal import DequeModule
internal import MoonbusEvents
internal import MoonbusJournal

/// What changes with each delivery of a subscription.
///
/// Apart from ``SubscriptionQueue``, at an address that stays: the way of an event touches only this, and so it needs no retain of the queue
/// and none of the exclusivity checks that stored properties of a class have at run time. (Both together were half of its cost.)
struct Flow {
    /// Due deliveries in the order of positions.
    var waiting = Deque<UInt32>()
    /// Those that come before them: released by their key, due again, or given back.
    var urgent = Deque<UInt32>()
    /// Which keys are taken, and who waits for them.
    var keys = KeyTable()
    /// Deliveries that have not ended, and the most of them.
    var count = 0
    var countMax = 0
    /// Room that is promised to events which the journal is recording.
    var reserved = 0
    /// Bytes of the large ones among the events that emitters brought, in units of ``blockSize``, and so many there may be before no more are
    /// let in: ten thousand small events are nothing, and ten thousand of a megabyte are a machine's memory.
    var blocks = 0
    static let blockSize = 4 << 10
    static let blocksMax = (64 << 20) / blockSize
    /// Deliveries that run or are being settled, and the most of them.
    var inFlight = 0
    var concurrency = Int.max
    /// Bytes of effects of those that wait for room, and how many of them there may be before no more are handed out. In bytes: one outcome may
    /// have four megabytes, and a subscription that feeds itself a little must go on to make room.
    var parkedSize = 0
    static let parkedSizeMax = 16 << 20
    /// The last position that it was owed: the start of the next delivery's span.
    var last: UInt64 = 0
    var doneCount: UInt64 = 0
    /// Oldest and youngest delivery with a wall-clock limit.
    var flightHead = UInt32.max
    var flightTail = UInt32.max
    var number = SubscriptionNumber(.max)
    /// How many events make a batch; 0: there are no batches.
    var batchCount = 0
    /// True once the first event of a batch has waited long enough.
    var isBatchOver = false
    /// True while it is in order: claimed, caught up, not retired.
    var isServing = false
    /// True when what comes in just waits for its turn: no debounce, throttle or batch, and no key that has to be looked for in the data.
    var isPlain = true
    var isKeyed = true
    /// True while it is in its endpoint's list of turns.
    var isReady = false
    /// True while emitters wait for room.
    var hasEmitters = false
    /// True when the end of a delivery has a sequel: the next tick of one that runs by the clock, or more of the log for a replay or a backlog.
    var hasSequel = false

    /// How many more events it takes.
    @inline(__always)
    var room: Int { blocks < Self.blocksMax ? countMax - count - reserved : 0 }

    /// True when there may be something to take.
    @inline(__always)
    var isTakable: Bool {
        guard isServing, inFlight < concurrency, parkedSize < Self.parkedSizeMax else { return false }
        return !urgent.isEmpty || (!waiting.isEmpty && (batchCount == 0 || isBatchOver || waiting.count >= batchCount))
    }
}

extension UnsafeMutablePointer<Flow> {
    /// Counts the bytes of an event that an emitter brought.
    @inline(__always)
    func hold(_ event: Event, in owed: UnsafeMutablePointer<Owed>) {
        let blocks = event.recordSize / Flow.blockSize
        guard blocks > 0 else { return }
        owed.pointee.blocks = UInt16(clamping: blocks)
        pointee.blocks += Int(owed.pointee.blocks)
    }

    @inline(__always)
    func letGo(of owed: UnsafeMutablePointer<Owed>) {
        guard owed.pointee.blocks > 0 else { return }
        pointee.blocks -= Int(owed.pointee.blocks)
        owed.pointee.blocks = 0
    }
}

/// The flows of all queues, by the queues' indices. A flow belongs to its queue and lives as long as that. Confined to the owner thread.
final class FlowTable {
    private var flows = ContiguousArray<UnsafeMutablePointer<Flow>?>()

    /// The flow of a queue. Indices come from the router and from deliveries; both keep their queue in the table.
    @inline(__always)
    subscript(index: UInt32) -> UnsafeMutablePointer<Flow> {
        guard let flow = flows[Int(index)] else { preconditionFailure("a queue stays as long as something knows its index") }
        return flow
    }

    func add(_ flow: UnsafeMutablePointer<Flow>, at index: UInt32) {
        while flows.count <= Int(index) { flows.append(nil) }
        flows[Int(index)] = flow
    }

    func remove(at index: UInt32) {
        flows[Int(index)] = nil
    }
}
