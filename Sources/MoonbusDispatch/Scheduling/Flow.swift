internal import DequeModule
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
    /// Deliveries that run or are being settled, and the most of them.
    var inFlight = 0
    var concurrency = Int.max
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
    /// True when what comes in just waits for its turn: no debounce, throttle or batch.
    var isPlain = true
    var isKeyed = true
    /// True while it is in its endpoint's list of turns.
    var isReady = false
    /// True while emitters wait for room.
    var hasEmitters = false
    /// True for one that runs by the clock, or by itself.
    var hasClockwork = false

    /// How many more events it takes.
    @inline(__always)
    var room: Int { countMax - count - reserved }

    /// True when there may be something to take.
    @inline(__always)
    var isTakable: Bool {
        guard isServing, inFlight < concurrency else { return false }
        return !urgent.isEmpty || (!waiting.isEmpty && (batchCount == 0 || isBatchOver || waiting.count >= batchCount))
    }
}

/// The flows of all queues, by the queues' indices, each at an address of its own. Confined to the owner thread.
final class FlowTable {
    private var flows: UnsafeMutablePointer<UnsafeMutablePointer<Flow>?>
    private var capacity = 64

    init() {
        flows = .allocate(capacity: capacity)
        flows.initialize(repeating: nil, count: capacity)
    }

    deinit {
        for index in 0..<capacity where flows[index] != nil { remove(UInt32(index)) }
        flows.deallocate()
    }

    /// The flow of a queue that is there.
    @inline(__always)
    subscript(index: UInt32) -> UnsafeMutablePointer<Flow> {
        // Indices come from the router and from deliveries, which keep their queue: a missing flow would be a bug of ours.
        flows[Int(index)].unsafelyUnwrapped
    }

    /// Makes the flow of a new queue.
    func add(_ index: UInt32) -> UnsafeMutablePointer<Flow> {
        while Int(index) >= capacity { grow() }
        let flow = UnsafeMutablePointer<Flow>.allocate(capacity: 1)
        flow.initialize(to: Flow())
        flows[Int(index)] = flow
        return flow
    }

    /// Frees the flow of a queue that nothing knows any more.
    func remove(_ index: UInt32) {
        flows[Int(index)]?.deinitialize(count: 1)
        flows[Int(index)]?.deallocate()
        flows[Int(index)] = nil
    }

    private func grow() {
        let larger = UnsafeMutablePointer<UnsafeMutablePointer<Flow>?>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: flows, count: capacity)
        (larger + capacity).initialize(repeating: nil, count: capacity)
        flows.deallocate()
        flows = larger
        capacity *= 2
    }
}
