internal import DequeModule
internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// Everything that a bus knows, and every decision that it takes.
///
/// `@unchecked Sendable`: confined to the owner thread. The bus posts to that thread; journals may complete on any, and every completion
/// comes back through ``onOwner(_:)``.
///
/// Always true: a recorded event is in the slots of exactly those subscriptions that are owed it and have not ended it; a delivery
/// is known to its endpoint, or to the journal call that settles it, or to a queue, or to a timer.
///
/// No `weak` references to it or to its queues: the side table of the first one would make each retain from then on several times as dear.
final class Dispatcher: @unchecked Sendable {
    let owner: OwnerThread
    let journal: any Journal
    let intake: Intake
    let configuration: BusConfiguration
    let logger: Logger
    let jitter: Jitter
    let hash = ByteHash()
    let pathKeys: PathKeys

    // Routing
    let router = Router()
    var taps: [Tap] = []
    /// Never changes: other threads may ask it.
    let ephemeral: EphemeralTypes
    var unmatched = UnmatchedTypes()

    // Scheduling
    let owed = OwedTable()
    let flows = FlowTable()
    let endpoints = Endpoints()
    var queues = ContiguousArray<SubscriptionQueue?>()
    var freeQueues: [UInt32] = []
    var names: [String: SubscriptionQueue] = [:]
    var byPlugin: [String: [SubscriptionQueue]] = [:]
    var queueOrder = 0
    /// Those that are in no router, because their plugin is suspended or they are behind: owed from where their ``Backlog`` is.
    var away: [SubscriptionQueue] = []
    /// Bytes of the results that the sources of a plugin are owed.
    var resultSizes: [String: Int] = [:]
    /// Bytes of the results for subscriptions that nobody has claimed yet, by name.
    var unclaimedResults: [String: Int] = [:]
    /// Bytes of what the runs of a plugin have open; see ``OpenCheckpoints``.
    var checkpointSizes: [String: Int] = [:]
    /// Plugins whose files are gone, each with the timer that removes it.
    var departed: [String: OwnerTimer] = [:]
    /// Queues that have room again, and emitters that wait for it.
    var roomy: [SubscriptionQueue] = []
    /// Deliveries that a policy skipped in this turn.
    var shed: [UInt32] = []

    // Settling
    var spareBatch: SettlingBatch?
    var lineage = Lineage()
    var asks = OpenAsks()
    var versions = StateVersions()
    var stateChanged: ((String, StateNews) -> Void)?
    var settleTrouble = JournalTrouble()
    /// The number under which an operator's changes are settled; nil before the first one.
    var operatorNumber: SubscriptionNumber?
    /// Recorded events that plugins handle once more.
    var replays = ReplayTable()
    /// What the journal refused last, unless it has taken something since.
    var refusal: (error: JournalError, time: Int64)?

    // Time
    var delays = Delays()

    /// The last position that the journal gave.
    var lastPosition: UInt64 = 0
    /// Journal calls that are not answered yet.
    var openCalls = 0
    /// Those of them that claim subscriptions.
    var openClaims = 0
    var recordedSinceTrim = 0
    var waitingBatches = 0
    var flying = 0
    /// Deliveries that ended well without anything else to do; part of ``BusStatistics/settled``.
    var plainEnds: UInt64 = 0
    var end = End.open
    var counts = BusStatistics()

    /// How far the bus is on its way down.
    enum End {
        case open
        case draining((@Sendable () -> Void)?)
        case over
    }

    init(owner: OwnerThread, journal: any Journal, intake: Intake, configuration: BusConfiguration, logger: Logger, jitter: Jitter) {
        self.owner = owner
        self.journal = journal
        self.intake = intake
        self.configuration = configuration
        pathKeys = PathKeys(hash)
        ephemeral = EphemeralTypes(configuration.ephemeral)
        self.logger = logger
        self.jitter = jitter
    }

    /// Runs what a journal completed: at once on the owner thread, else posted to it.
    func onOwner(_ work: @escaping @Sendable () -> Void) {
        if owner.isCurrent { work() } else { owner.post(work) }
    }

    // MARK: Start and end

    func start(_ started: @escaping @Sendable (Result<Void, any Error>) -> Void) {
        // From here on the thread keeps the dispatcher alive, so what waits on the thread may refer to it unowned.
        owner.atTurnEnd { self.endTurn() }
        journal.read(.end) { end in
            self.onOwner {
                self.readDelays { delayed in
                    self.readReplays { replays in
                        do {
                            if case .position(let position) = try end.get() { self.lastPosition = position }
                            try delayed.get()
                            try replays.get()
                            self.intake.set(open: true)
                            started(.success(()))
                        } catch {
                            started(.failure(error))
                        }
                    }
                }
            }
        }
    }

    func drain(within limit: Duration, _ drained: @escaping @Sendable () -> Void) {
        intake.set(open: false)
        end = .draining(drained)
        for queue in names.values {
            refuseEmitters(of: queue)
            cancelRuns(of: queue, reason: "the bus stops")
        }
        _ = owner.timer(after: limit) { [unowned self] in
            if flying > 0 {
                logger.warning("the bus stops with \(flying) deliveries still running: they will run again after the next start")
            }
            finishDraining()
        }
    }

    private func finishDraining() {
        guard case .draining(let drained) = end else { return }
        end = .over
        for ask in asks.removeAll() { ask.finish() }
        for tap in taps { tap.finish() }
        taps = []
        // A Swift handler's endpoint keeps the bus, which keeps this.
        for queue in queues { queue?.endpoint = nil }
        endpoints.removeAll()
        drained?()
    }

    var isOpen: Bool {
        if case .open = end { true } else { false }
    }

    var isOver: Bool {
        if case .over = end { true } else { false }
    }

    // MARK: The end of a turn

    /// Sends off what the turn has gathered. Deliveries may settle inside `deliver`, which may make room, which may let emitters in, and so on:
    /// it goes round until nothing is left to do.
    private func endTurn() {
        repeat {
            settleShed()
            wakeEmitters()
            serveEndpoints()
        } while !shed.isEmpty || !roomy.isEmpty
        router.endTurn()
        pathKeys.endTurn()
        trimIfDue()
        if case .draining = end, flying == 0, openCalls == 0 { finishDraining() }
    }
}
