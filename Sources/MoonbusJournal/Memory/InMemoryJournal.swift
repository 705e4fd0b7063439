public import MoonbusEvents
internal import Synchronization

/// The reference journal: everything in memory, nothing survives the process.
///
/// It completes each call before it returns, on the caller's thread. It is bounded in events and bytes: events that nobody is owed any more
/// are forgotten, oldest first, as soon as more than ``JournalLimits/history`` are there; if a bound is reached and nothing can be
/// forgotten, calls fail with `.full`.
public final class InMemoryJournal: Journal {
    private let store: Mutex<MemoryStore>

    /// Creates an empty journal.
    public convenience init(limits: JournalLimits = .init()) {
        self.init(limits: limits, clock: SystemClock())
    }

    /// Creates an empty journal that lives by `clock`.
    package init(limits: JournalLimits = .init(), clock: any WallClock) {
        store = Mutex(MemoryStore(limits: limits, clock: clock))
    }

    /// See ``Journal/append(_:completion:)``.
    public func append(_ events: [Event], completion: @escaping @Sendable (Result<[Recorded], JournalError>) -> Void) {
        completion(result { store throws(JournalError) in try store.append(events) })
    }

    /// See ``Journal/claim(_:completion:)``.
    public func claim(_ claims: [Claim], completion: @escaping @Sendable (Result<[Claimed], JournalError>) -> Void) {
        completion(result { store throws(JournalError) in claims.map { store.claim($0) } })
    }

    /// See ``Journal/retire(_:completion:)``.
    public func retire(_ names: [String], completion: @escaping @Sendable (Result<Void, JournalError>) -> Void) {
        completion(result { store throws(JournalError) in names.forEach { store.retire($0) } })
    }

    /// See ``Journal/settle(_:completion:)``.
    public func settle(_ settlements: [Settlement], completion: @escaping @Sendable (Result<[Settled], JournalError>) -> Void) {
        completion(result { store throws(JournalError) in try store.settle(settlements) })
    }

    /// See ``Journal/read(_:completion:)``.
    public func read(_ question: JournalQuestion, completion: @escaping @Sendable (Result<JournalAnswer, JournalError>) -> Void) {
        completion(result { store throws(JournalError) in store.answer(question) })
    }

    /// See ``Journal/trim(through:owing:completion:)``.
    public func trim(
        through position: UInt64, owing: [SubscriptionNumber], completion: @escaping @Sendable (Result<UInt64, JournalError>) -> Void
    ) {
        completion(result { store throws(JournalError) in store.trim(through: position, owing: owing) })
    }

    /// Runs one call under the lock. The completion comes after it: it may call the journal again.
    private func result<Value>(
        _ body: (inout MemoryStore) throws(JournalError) -> Value
    ) -> Result<Value, JournalError> where Value: Sendable {
        store.withLock { store in
            Result { () throws(JournalError) in try body(&store) }
        }
    }
}

/// The bounds of an ``InMemoryJournal``.
public struct JournalLimits: Sendable, Hashable {
    /// Events in the log.
    public var events = 1_000_000
    /// Bytes of events, delayed events, dead letters and state together.
    public var bytes = 512 << 20
    /// Events that are kept although nobody is owed them, so that they can be read back.
    public var history = 10_000
    /// Dead letters. When there is one more, the oldest goes of the plugin that has most. What went is counted in ``JournalMeasures``.
    public var deadLetters = 10_000
    /// Bytes of dead letters, above which they go likewise. This part of ``bytes``, but at most an eighth of them, is kept for them.
    public var deadLetterBytes = 64 << 20
    /// Events that wait for their time.
    public var delayed = 100_000
    /// Ids that are remembered for recognising duplicates: at least this many of the last day.
    public var rememberedIDs = 262_144

    /// Creates the default bounds.
    public init() {}

    /// The bounds of dead letters, within the others.
    var letters: LetterShares.Bounds { .init(count: deadLetters, size: min(deadLetterBytes, bytes / 8)) }
}
