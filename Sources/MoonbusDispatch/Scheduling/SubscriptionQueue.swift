internal import DequeModule
internal import MoonbusEvents
internal import MoonbusJournal

/// What one subscription is owed, in order, and the rules by which it goes out.
///
/// `@unchecked Sendable`: confined to the owner thread; it travels through the journal's completions, back to that thread.
///
/// A delivery is in exactly one place: `waiting` (in the order of positions), `urgent` (before those: released by its key, due again, or
/// given back), behind another one of its key in `keys`, held by a policy, flying, or with a timer until its next attempt.
final class SubscriptionQueue: @unchecked Sendable {
    /// What the journal has said about the subscription.
    enum Phase {
        /// Asked for its position; what matches is gathered already.
        case claiming
        /// Reads what it was owed before.
        case catchingUp
        /// In order.
        case serving
        /// Gone; only what runs may still finish.
        case retired
    }

    let index: UInt32
    /// What changes with each delivery; freed with the queue.
    let flow: UnsafeMutablePointer<Flow>
    /// Rises with each subscription: the order of results.
    let order: Int
    let name: String
    /// What the identities of its deliveries derive from.
    let identityKey: (UInt64, UInt64)
    var spec: SubscriptionSpec { didSet { readPolicy() } }
    var phase = Phase.claiming { didSet { flow.pointee.isServing = phase == .serving } }
    var number: SubscriptionNumber? { didSet { flow.pointee.number = number ?? SubscriptionNumber(.max) } }
    /// Nil while its plugin is suspended.
    var endpoint: EndpointEntry?
    var route: Router.Route?
    /// What its filter may cost, and its throttle may keep; all of a plugin have the same.
    let filterShare: FilterShare
    let throttleShare: ThrottleShare
    /// Events that its filter could not be tested on.
    var untestedCount = 0
    /// What the journal held when it was made: later events reach it by themselves.
    var joined: UInt64 = 0
    /// How far it has got in the log while later events are not in memory. Nil while they reach it by themselves.
    var backlog: Backlog? { didSet { noteSequel() } }
    /// What waited before its plugin was suspended, while what came since is read.
    var early = Deque<UInt32>()
    /// What makes it a replay's; nil for all others.
    var replay: ReplayPart? { didSet { noteSequel() } }
    /// Emitters that wait for room here, in order.
    var emitters = Deque<RoomSeeker>() { didSet { flow.pointee.hasEmitters = !emitters.isEmpty } }
    /// Ends the oldest flight at its wall-clock limit.
    var flightTimer: OwnerTimer?

    // Policies, read once.
    private(set) var timeoutNanoseconds: Int64 = 0
    private(set) var cpuMicroseconds: UInt32 = 0

    var batchTimer: OwnerTimer?
    var debouncing = Debouncing()
    var throttling = Throttling()
    var clockwork: Clockwork? { didSet { noteSequel() } }
    var cursor: JSON?
    /// Bytes of the results that it is owed.
    var resultSize = 0
    /// The extensions of the events that it emits: where their results go. Nil when it does not want them.
    private(set) var replyTo: JSON?

    /// Until then nobody is told again that it refuses emitters; nanoseconds on the owner's monotonic clock.
    var refusalSilence = Int64.min
    var retriedCount: UInt64 = 0
    /// Runs of the present code that failed and are tried again.
    var failedCount = 0
    var deadCount: UInt64 = 0
    var lostCount: UInt64 = 0
    var shedCount: UInt64 = 0

    /// - Parameter sibling: any other subscription of its plugin.
    init(index: UInt32, order: Int, spec: SubscriptionSpec, sibling: SubscriptionQueue?) {
        self.index = index
        filterShare = sibling?.filterShare ?? FilterShare()
        throttleShare = sibling?.throttleShare ?? ThrottleShare()
        flow = .allocate(capacity: 1)
        flow.initialize(to: Flow())
        self.order = order
        name = spec.name
        identityKey = Identity.key(subscription: spec.name)
        self.spec = spec
        readPolicy()
    }

    deinit {
        flow.deinitialize(count: 1)
        flow.deallocate()
    }

    private func noteSequel() {
        flow.pointee.hasSequel = clockwork != nil || replay != nil || backlog != nil
    }

    private func readPolicy() {
        let policy = spec.policy
        replyTo = spec.resultHandler == nil ? nil : JSON(.object([Event.replyToName: .string(name)]))
        flow.pointee.countMax = policy.queueLimit
        flow.pointee.isKeyed = policy.key != .none
        flow.pointee.isPlain = policy.batch == nil && policy.debounce == nil && policy.throttle == nil && !policy.key.isPath
        flow.pointee.batchCount = policy.batch?.count ?? 0
        // A batch may hold any keys, so with keys at most one batch is under way: order within the subscription is order within each key.
        flow.pointee.concurrency = policy.batch != nil && policy.key != .none ? 1 : policy.concurrency
        // A source runs as long as it likes.
        if case .start = spec.trigger { timeoutNanoseconds = .max } else { timeoutNanoseconds = policy.timeout.wholeNanoseconds }
        cpuMicroseconds = UInt32(clamping: policy.cpuLimit?.microseconds ?? 0)
    }

    // MARK: Short names for what is in the flow

    var waiting: Deque<UInt32> {
        get { flow.pointee.waiting }
        _modify { yield &flow.pointee.waiting }
    }
    var urgent: Deque<UInt32> {
        get { flow.pointee.urgent }
        _modify { yield &flow.pointee.urgent }
    }
    var count: Int {
        get { flow.pointee.count }
        set { flow.pointee.count = newValue }
    }
    var inFlight: Int {
        get { flow.pointee.inFlight }
        set { flow.pointee.inFlight = newValue }
    }
    var last: UInt64 {
        get { flow.pointee.last }
        set { flow.pointee.last = newValue }
    }
    var room: Int { flow.pointee.room }

    /// What it holds, and what it may: "10000 events, its limit is 10000".
    var fullness: String {
        guard flow.pointee.blocks >= Flow.blocksMax else { return "\(count) events, its limit is \(flow.pointee.countMax)" }
        let megabytes = { (blocks: Int) in (blocks * Flow.blockSize) >> 20 }
        return "\(count) events of \(megabytes(flow.pointee.blocks)) MB, its limit is \(megabytes(Flow.blocksMax)) MB"
    }
}

extension UnsafeMutablePointer<Flow> {
    // MARK: Flights: deliveries at the endpoint, oldest first

    @inline(__always)
    func addFlight(_ slot: UInt32, in owed: OwedTable) {
        owed[slot].pointee.flightPrevious = pointee.flightTail
        owed[slot].pointee.flightNext = .max
        if pointee.flightTail == .max {
            pointee.flightHead = slot
        } else {
            owed[pointee.flightTail].pointee.flightNext = slot
        }
        pointee.flightTail = slot
    }

    /// Takes a delivery out of the list; one that is not in it is left alone.
    @inline(__always)
    func removeFlight(_ slot: UInt32, in owed: OwedTable) {
        let (previous, next) = (owed[slot].pointee.flightPrevious, owed[slot].pointee.flightNext)
        guard previous != .max || pointee.flightHead == slot else { return }
        if previous == .max { pointee.flightHead = next } else { owed[previous].pointee.flightNext = next }
        if next == .max { pointee.flightTail = previous } else { owed[next].pointee.flightPrevious = previous }
        owed[slot].pointee.flightPrevious = .max
        owed[slot].pointee.flightNext = .max
    }
}
