/// What a bus has done since it started, and what it holds now.
public struct BusStatistics: Sendable, Hashable {
    /// One subscription.
    public struct Subscription: Sendable, Hashable {
        /// Durable name.
        public var name: String
        /// The plugin, or the subscription's own name for a Swift handler.
        public var plugin: String
        /// Deliveries that wait for their turn, their key or their attempt.
        public var queued = 0
        /// Deliveries that run.
        public var inFlight = 0
        /// Events of the log that it has not looked at yet: its plugin is, or was for long, switched off.
        public var unread: UInt64 = 0
        /// Deliveries that ended well.
        public var done: UInt64 = 0
        /// Runs that failed and are tried again.
        public var retried: UInt64 = 0
        /// Deliveries that became dead letters, the rejected ones included.
        public var dead: UInt64 = 0
        /// Events that a debounce or throttle policy skipped.
        public var shed: UInt64 = 0
    }

    /// An event type that nobody wanted.
    public struct Unmatched: Sendable, Hashable {
        /// The type; nil: all types that found no place in the table.
        public var type: String?
        /// How many events.
        public var count: UInt64
    }

    /// Events that were handed over.
    public var emitted: UInt64 = 0
    /// Events that the journal recorded, those of handlers included.
    public var recorded: UInt64 = 0
    /// Events that were taken without being recorded: their types are ephemeral.
    public var ephemeral: UInt64 = 0
    /// Deliveries of ephemeral events that failed to the last attempt.
    public var lost: UInt64 = 0
    /// Events that were recorded before.
    public var duplicates: UInt64 = 0
    /// Events that were refused, for whatever reason.
    public var refused: UInt64 = 0
    /// Recorded events that no subscription matched.
    public var unmatched: UInt64 = 0
    /// The types of those, most frequent first.
    public var unmatchedTypes: [Unmatched] = []
    /// Deliveries that were handed to endpoints.
    public var delivered: UInt64 = 0
    /// Deliveries that ended well.
    public var settled: UInt64 = 0
    /// Runs that failed and are tried again.
    public var retried: UInt64 = 0
    /// Deliveries that became dead letters.
    public var dead: UInt64 = 0
    /// Events that a debounce or throttle policy skipped.
    public var shed: UInt64 = 0
    /// Events that wait for their time.
    public var delayed = 0
    /// Batches whose emitters wait for room.
    public var waitingBatches = 0
    /// Each subscription, in the order in which they were made.
    public var subscriptions: [Subscription] = []
}
