public import MoonbusEvents

/// A subscription's number in one journal: what settlements name it by. Given by ``Journal/claim(_:completion:)``, and the same after a
/// restart; a retired subscription's number is not used again.
public struct SubscriptionNumber: Sendable, Hashable {
    /// The number itself, from 0.
    public let index: UInt32

    /// Wraps a number that a journal gave out.
    public init(_ index: UInt32) {
        self.index = index
    }
}

/// One durable subscription that a bus wants to serve.
public struct Claim: Sendable, Hashable {
    /// The durable name, e.g. "thermostat.watch": what ties a subscription to its position over restarts and reloads.
    public var name: String
    /// When it is to run first, for one that runs by the clock; used only if the journal has no time for it yet.
    public var schedule: Timestamp?
    /// Where it is to begin; used only if the journal has never heard the name.
    public var beginning: Beginning?

    /// A beginning that is not the end of the log.
    public struct Beginning: Sendable, Hashable {
        /// It is owed what comes after this position, as far as that is still there. One past the end of the log counts as the end.
        public var after: UInt64
        /// What its ``Claimed/cursor`` is at first: what whoever claims it wants to find again with ``JournalQuestion/subscriptions``.
        public var cursor: JSON?

        /// Creates a beginning.
        public init(after: UInt64, cursor: JSON? = nil) {
            self.after = after
            self.cursor = cursor
        }
    }

    /// Creates a claim; `schedule` only for a subscription that runs by the clock.
    public init(name: String, schedule: Timestamp? = nil, beginning: Beginning? = nil) {
        self.name = name
        self.schedule = schedule
        self.beginning = beginning
    }
}

/// What a claimed subscription is owed, as far as the journal can say: it knows positions, not patterns.
public struct Claimed: Sendable, Hashable {
    /// The subscription's number from now on.
    public var number: SubscriptionNumber
    /// True when the journal had never heard the name: it then starts at the end, or where its claim says.
    public var isNew: Bool
    /// Everything at or below this position has ended, except `strays`.
    public var floor: UInt64
    /// Stretches above `floor` that have ended too, rising and apart from each other.
    public var ended: [Span]
    /// Deliveries that left the order: they wait for another attempt. Rising by `due`.
    public var strays: [Stray]
    /// What the last committed ``Commit/cursor`` was.
    public var cursor: JSON?
    /// When it is to run next, for one that runs by the clock.
    public var schedule: Timestamp?

    /// Creates the answer to a claim.
    public init(
        number: SubscriptionNumber, isNew: Bool, floor: UInt64, ended: [Span] = [], strays: [Stray] = [], cursor: JSON? = nil,
        schedule: Timestamp? = nil
    ) {
        self.number = number
        self.isNew = isNew
        self.floor = floor
        self.ended = ended
        self.strays = strays
        self.cursor = cursor
        self.schedule = schedule
    }
}

/// A subscription that a journal keeps, claimed or not.
public struct KnownSubscription: Sendable, Hashable {
    /// The durable name.
    public var name: String
    /// Everything at or below this position has ended, except strays.
    public var floor: UInt64
    /// What the last committed ``Commit/cursor`` was, or what it began with.
    public var cursor: JSON?

    /// Creates what a journal knows.
    public init(name: String, floor: UInt64, cursor: JSON? = nil) {
        self.name = name
        self.floor = floor
        self.cursor = cursor
    }
}

/// A delivery that left the order of positions: it failed and is owed again at `due`.
public struct Stray: Sendable, Hashable {
    /// The event's place.
    public var position: UInt64
    /// The event itself, kept although the log may have been trimmed past it.
    public var event: Event
    /// Not before this time.
    public var due: Timestamp
    /// The runs that failed so far.
    public var failures: [FailedAttempt]

    /// Creates the record of a delivery that is owed again.
    public init(position: UInt64, event: Event, due: Timestamp, failures: [FailedAttempt]) {
        self.position = position
        self.event = event.detached
        self.due = due
        self.failures = failures
    }
}
