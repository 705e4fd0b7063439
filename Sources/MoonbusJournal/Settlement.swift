public import MoonbusEvents

/// How one delivery went on, and what its handler wants to have happened. All of it is committed, or nothing.
public struct Settlement: Sendable {
    /// The places in the log that a delivery is about.
    public enum Coverage: Sendable, Hashable {
        /// None: a timer's tick, or a handler that goes on running.
        case nothing
        /// One event, in the order of the log; `through` is its position.
        case span(Span)
        /// The events of a batch, in the order of the log.
        case spans([Span])
        /// Events that had left the order already: the records of these ``Stray``s are replaced by the transition.
        case strays([UInt64])
    }

    /// Which subscription.
    public var subscription: SubscriptionNumber
    /// The places in the log that it is about.
    public var coverage: Coverage
    /// What becomes of the delivery.
    public var transition: Transition
    /// What its handler wants. Nil with `.retry`; with `.dead` it only holds a schedule, and what sources are told.
    public var commit: Commit?

    /// Creates a settlement of one delivery.
    public init(_ subscription: SubscriptionNumber, _ coverage: Coverage, _ transition: Transition, commit: Commit? = nil) {
        self.subscription = subscription
        self.coverage = coverage
        self.transition = transition
        self.commit = commit
    }
}

/// What becomes of a delivery.
public indirect enum Transition: Sendable {
    /// It has ended well, or was shed by a declared policy.
    case done
    /// Nothing: the handler goes on running, and only its effects are committed.
    case goesOn
    /// It is owed again later, out of order. One ``Stray`` for each event of the delivery.
    case retry([Stray])
    /// It gave up. One letter for each event of the delivery.
    case dead([DeadLetter])
    /// A dead letter is taken back: the letter goes, and its event is owed again as the stray, if one is given.
    case revived(letter: UInt64, Stray?)
}

/// What a handler wants to have happened, once its delivery is acknowledged.
public final class Commit: Sendable {
    /// Events to append now, in this order. One whose source and id are there already is a duplicate: no event is made.
    public let events: [Event]
    /// Events to append later. One whose source and id are there or delayed already is left out.
    public let delayed: [DelayedEvent]
    /// What was read and written of the plugin's own state.
    public let state: StateChange?
    /// The source's new cursor.
    public let cursor: JSON?
    /// When a subscription that runs by the clock is to run next.
    public let schedule: Timestamp?
    /// Events that were refused although the delivery itself is done: those that had gone through too many handlers.
    public let deadLetters: [DeadLetter]
    /// What the handler answered to those who wait for it in the journal.
    public let results: [SourceResult]
    /// What the plugin may hold of state and delayed events, whose these are then; nil: it is none, and they are nobody's.
    public let share: Share?

    /// Creates what one handler wants.
    public init(
        events: [Event] = [], delayed: [DelayedEvent] = [], state: StateChange? = nil, cursor: JSON? = nil, schedule: Timestamp? = nil,
        deadLetters: [DeadLetter] = [], results: [SourceResult] = [], share: Share? = nil
    ) {
        self.events = events
        self.delayed = delayed
        self.state = state
        self.cursor = cursor
        self.schedule = schedule
        self.deadLetters = deadLetters
        self.results = results
        self.share = share
    }

    /// The same, and what the handler answered.
    public func answering(_ results: [SourceResult]) -> Commit {
        Commit(
            events: events, delayed: delayed, state: state, cursor: cursor, schedule: schedule, deadLetters: deadLetters, results: results,
            share: share)
    }
}

/// A handler's result on its way to the source of the event: owed to the source's subscription from the commit on.
public struct SourceResult: Sendable, Hashable {
    /// The durable name of the source's subscription, claimed by this bus or not. One that the journal does not know is owed nothing.
    public var subscription: String
    /// The result, at a position that no other stray of the source has.
    public var stray: Stray

    /// Addresses a result.
    public init(to subscription: String, _ stray: Stray) {
        self.subscription = subscription
        self.stray = stray
    }
}

/// The answer to one ``Settlement``.
public enum Settled: Sendable, Hashable {
    /// All of it is committed. Where each of ``Commit/events`` is, in their order.
    case committed([Recorded])
    /// The delivery had ended before: nothing was done now, effects included.
    case hadEnded
    /// Nothing of it is committed: these keys of the plugin's state have changed since the handler read them.
    case conflict(keys: [String])
    /// Nothing of it is committed: the plugin would hold more than its ``Commit/share``.
    indirect case beyondShare(ShareExcess)
}
