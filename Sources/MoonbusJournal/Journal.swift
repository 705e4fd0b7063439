public import MoonbusEvents

/// The ordered, durable record of events, deliveries and plugin state: the promise behind "recorded" and "settled".
///
/// | the bus calls | the journal promises |
/// |---|---|
/// | ``append(_:completion:)`` for each batch that came in | events are stored once, in one order, whoever wants them |
/// | ``claim(_:completion:)`` once for each subscription that it serves | position, stray deliveries, cursor and schedule of the name |
/// | ``settle(_:completion:)`` for each batch of outcomes | acknowledgement and effects are one commit, or nothing happened |
/// | ``read(_:completion:)`` when someone asks | what is committed now |
/// | ``trim(through:owing:completion:)`` now and then | only what nobody is owed is ever forgotten |
///
/// **Who calls.** One owner at a time (a bus, from its one thread). Calls may overlap: the next may come before the last one is answered.
///
/// **Completions.** Each is called exactly once, on any thread: inside the call itself, or later. Completions of `append` and `settle` come
/// in the order of their calls, so positions reach the owner rising. A call takes effect in the order of calls as well: what an
/// earlier call committed, a later one sees. A completion must not wait.
///
/// **All or nothing.** A failed call changed nothing. After a crash, each call whose completion ran is there, and each other one is there
/// whole or not at all.
///
/// **Fan-out is on read.** An event is stored once. A subscription is a ``Claimed/floor`` below which everything has ended, the few
/// ``Span``s above it that have ended too, and the few ``Stray`` deliveries that left the order.
///
/// Every implementation passes the same suite: `JournalConformance` in MoonbusTesting.
public protocol Journal: AnyObject, Sendable {
    /// Records events, in order, before anyone acts on them.
    ///
    /// An event whose source and id were recorded within the last 24 hours is a duplicate: it gets the position of the first one. (A journal
    /// that bounds the ids it remembers says how many.) Two equal events in one batch count, too. An event that waits as a delayed one under the same source and id stops waiting: appending it is how a delayed event comes due.
    ///
    /// - Parameters:
    ///   - events: 1 to 4,096 events, together at most 16 MiB.
    ///   - completion: one ``Recorded`` for each event, in order; or `.full`, `.unavailable`.
    func append(_ events: [Event], completion: @escaping @Sendable (Result<[Recorded], JournalError>) -> Void)

    /// Takes up subscriptions, and creates those that are new: at the end of the log, or where the claim says.
    ///
    /// From now on the caller vouches for them: see ``trim(through:owing:completion:)``. Claiming a name again answers the same number,
    /// and what is committed by then.
    ///
    /// - Parameter completion: one ``Claimed`` for each claim, in order; or `.full`, `.unavailable`.
    func claim(_ claims: [Claim], completion: @escaping @Sendable (Result<[Claimed], JournalError>) -> Void)

    /// Forgets subscriptions for good: positions, strays, cursors, schedules. Their dead letters and the plugin's state stay.
    ///
    /// A name that is unknown is no error. Settlements that name a retired subscription still commit their effects.
    func retire(_ names: [String], completion: @escaping @Sendable (Result<Void, JournalError>) -> Void)

    /// Commits how deliveries went on, each with its effects.
    ///
    /// Each settlement is all or nothing; they take effect in order, so the second of two that wrote the same key sees the first
    /// one's version. A settlement whose span (or stray) has ended already changes nothing, its effects included, and is answered
    /// `.hadEnded`: that is how a second run of one delivery cannot take effect twice. One that would take more than its plugin's ``Share`` of
    /// state or delayed events is answered `.beyondShare`, and the others are committed.
    ///
    /// - Parameter completion: one ``Settled`` for each settlement, in order; or an error, and then none of them is committed.
    func settle(_ settlements: [Settlement], completion: @escaping @Sendable (Result<[Settled], JournalError>) -> Void)

    /// Answers one question about what is committed now.
    ///
    /// - Parameter completion: the answer of the question's own kind; or `.unavailable`, `.damaged`. Nothing found is not an error.
    func read(_ question: JournalQuestion, completion: @escaping @Sendable (Result<JournalAnswer, JournalError>) -> Void)

    /// Says what is not needed any more. When and how much of it is forgotten is the journal's business (its retention).
    ///
    /// No claimed subscription, except those in `owing`, is owed anything at or below `position`. Of those in `owing`, and of subscriptions
    /// that nobody has claimed since the journal was opened, everything above their floor stays.
    ///
    /// - Parameters:
    ///   - position: at most the last position that the caller was answered.
    ///   - owing: claimed subscriptions with deliveries that have not ended.
    ///   - completion: the lowest position that is still there, or the next one to be given if none is.
    func trim(
        through position: UInt64, owing: [SubscriptionNumber], completion: @escaping @Sendable (Result<UInt64, JournalError>) -> Void)
}

/// Something to ask a journal.
public enum JournalQuestion: Sendable, Hashable {
    /// Events above a position, rising; none follows once their records have `bytes`. → ``JournalAnswer/events(_:)``
    case events(after: UInt64, limit: Int, bytes: Int = .max)
    /// The newest event with this id. → ``JournalAnswer/events(_:)`` with none or one.
    case event(id: String)
    /// The last position given, 0 if none was. → ``JournalAnswer/position(_:)``
    case end
    /// Events that wait for their time, earliest first. → ``JournalAnswer/delayed(_:)``
    case delayed(limit: Int)
    /// Dead letters, newest first. → ``JournalAnswer/deadLetters(_:)``
    case deadLetters(limit: Int)
    /// One dead letter. → ``JournalAnswer/deadLetters(_:)`` with none or one.
    case deadLetter(id: UInt64)
    /// One value of a plugin's state. → ``JournalAnswer/state(_:)`` with none or one. A value that has expired at `now` is absent.
    case state(plugin: String, key: String, now: Timestamp)
    /// How much there is. → ``JournalAnswer/measures(_:)``
    case measures
    /// Every subscription that is not retired, in no order. → ``JournalAnswer/subscriptions(_:)``
    case subscriptions
    /// Values whose key starts with `prefix` (bytewise), in bytewise key order, from after the key `after`. → ``JournalAnswer/state(_:)``
    case scan(plugin: String, prefix: String, after: String?, limit: Int, now: Timestamp)
}

/// The answer to a ``JournalQuestion``.
public enum JournalAnswer: Sendable, Hashable {
    /// Events with their places.
    case events([RecordedEvent])
    /// A position.
    case position(UInt64)
    /// Events that wait for their time.
    case delayed([DelayedEvent])
    /// Dead letters.
    case deadLetters([DeadLetter])
    /// Values of a plugin's state.
    case state([StateEntry])
    /// How much there is.
    case measures(JournalMeasures)
    /// Subscriptions.
    case subscriptions([KnownSubscription])
}

/// How much a journal holds.
public struct JournalMeasures: Sendable, Hashable {
    /// Events that can still be read.
    public var eventCount: Int
    /// Bytes of everything that counts towards the journal's own bound.
    public var size: Int
    /// Events that wait for their time.
    public var delayedCount: Int
    /// Dead letters that are kept.
    public var deadLetterCount: Int
    /// Dead letters that were let go because there were too many; since the journal was opened.
    public var forgottenDeadLetterCount: Int
    /// Transactions that were committed since the journal was opened: what came together shares one. 0 where nothing is synced.
    public var commitCount: Int

    /// Creates a journal's measures.
    public init(
        eventCount: Int, size: Int, delayedCount: Int, deadLetterCount: Int, forgottenDeadLetterCount: Int, commitCount: Int = 0
    ) {
        self.eventCount = eventCount
        self.size = size
        self.delayedCount = delayedCount
        self.deadLetterCount = deadLetterCount
        self.forgottenDeadLetterCount = forgottenDeadLetterCount
        self.commitCount = commitCount
    }
}
