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

    /// Creates a claim; `schedule` only for a subscription that runs by the clock.
    public init(name: String, schedule: Timestamp? = nil) {
        self.name = name
        self.schedule = schedule
    }
}

/// What a claimed subscription is owed, as far as the journal can say: it knows positions, not patterns.
public struct Claimed: Sendable, Hashable {
    /// The subscription's number from now on.
    public var number: SubscriptionNumber
    /// True when the journal had never heard the name: it then starts at the end.
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
