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
    /// Rises with each subscription: the order of results.
    let order: Int
    let name: String
    /// What the identities of its deliveries derive from.
    let identityKey: (UInt64, UInt64)
    var spec: SubscriptionSpec { didSet { readPolicy() } }
    var phase = Phase.claiming
    var number: SubscriptionNumber?
    /// Nil while its plugin is suspended.
    var endpoint: EndpointEntry?
    var route: Router.Route?
    /// The last position that it was owed: the start of the next delivery's span.
    var last: UInt64 = 0
    /// What the journal held when it was made: later events reach it by themselves.
    var joined: UInt64 = 0

    var waiting = Deque<UInt32>()
    var urgent = Deque<UInt32>()
    var keys = KeyTable()
    /// Deliveries that have not ended.
    var count = 0
    /// Room that is promised to events which the journal is recording.
    var reserved = 0
    var inFlight = 0
    /// True while it is in its endpoint's list of turns.
    var isReady = false
    /// Emitters that wait for room here, in order.
    var emitters = Deque<RoomSeeker>()
    /// Oldest and youngest delivery with a wall-clock limit.
    var flightHead = UInt32.max
    var flightTail = UInt32.max
    var flightTimer: OwnerTimer?

    // Policies, read once.
    private(set) var concurrency = Int.max
    private(set) var isKeyed = true
    private(set) var countMax = 0
    private var hasPolicies = false
    private(set) var timeoutNanoseconds: Int64 = 0
    private(set) var cpuMicroseconds: UInt32 = 0

    var batching = Batching()
    var debouncing = Debouncing()
    var throttling = Throttling()
    var clockwork: Clockwork?
    var cursor: JSON?
    /// Results that its result handler waits for.
    var resultsAsked = 0

    var doneCount: UInt64 = 0
    var retriedCount: UInt64 = 0
    var deadCount: UInt64 = 0
    var shedCount: UInt64 = 0

    init(index: UInt32, order: Int, spec: SubscriptionSpec) {
        self.index = index
        self.order = order
        name = spec.name
        identityKey = Identity.key(subscription: spec.name)
        self.spec = spec
        readPolicy()
    }

    /// How many more events it takes.
    @inline(__always)
    var room: Int { countMax - count - reserved }

    /// True when `hash` and friends are not needed for what comes in: it just waits for its turn.
    @inline(__always)
    var isPlain: Bool { phase == .serving && !hasPolicies }

    private func readPolicy() {
        let policy = spec.policy
        concurrency = policy.concurrency
        isKeyed = policy.key != .none
        countMax = policy.queueLimit
        hasPolicies = policy.batch != nil || policy.debounce != nil || policy.throttle != nil
        // A batch may hold any keys, so with keys at most one batch is under way: order within the subscription is order within each key.
        if policy.batch != nil && isKeyed { concurrency = 1 }
        // A source runs as long as it likes.
        if case .start = spec.trigger { timeoutNanoseconds = .max } else { timeoutNanoseconds = policy.timeout.wholeNanoseconds }
        cpuMicroseconds = UInt32(clamping: policy.cpuLimit?.microseconds ?? 0)
    }

    // MARK: Flights: deliveries at the endpoint, oldest first

    @inline(__always)
    func addFlight(_ slot: UInt32, in owed: OwedTable) {
        owed[slot].pointee.flightPrevious = flightTail
        owed[slot].pointee.flightNext = .max
        if flightTail == .max {
            flightHead = slot
        } else {
            owed[flightTail].pointee.flightNext = slot
        }
        flightTail = slot
    }

    /// Takes a delivery out of the list; one that is not in it is left alone.
    @inline(__always)
    func removeFlight(_ slot: UInt32, in owed: OwedTable) {
        let (previous, next) = (owed[slot].pointee.flightPrevious, owed[slot].pointee.flightNext)
        guard previous != .max || flightHead == slot else { return }
        if previous == .max { flightHead = next } else { owed[previous].pointee.flightNext = next }
        if next == .max { flightTail = previous } else { owed[next].pointee.flightPrevious = previous }
        owed[slot].pointee.flightPrevious = .max
        owed[slot].pointee.flightNext = .max
    }
}
