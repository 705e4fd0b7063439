/// How a subscription's deliveries are ordered, bounded and tried again.
public struct SubscriptionPolicy: Sendable, Hashable {
    /// Which events must stay in order among themselves: of one key at most one delivery is under way, other keys pass.
    public var key: OrderingKey
    /// How many deliveries may be under way at once; by default as many as the handler's side has room for. At least 1.
    public var concurrency: Int
    /// What happens after a failed run.
    public var retry: RetryPolicy
    /// Wall-clock limit of one run, waiting included.
    public var timeout: Duration
    /// CPU limit of one run; nil: the plugin's own. Ignored by Swift handlers.
    public var cpuLimit: Duration?
    /// How many events may be owed to this subscription before emitters are made to wait or refused. At least 1.
    public var queueLimit: Int
    /// Hands over several events at once.
    public var batch: BatchPolicy?
    /// Of events with the same key only the last one counts, once the key has been quiet for this long.
    public var debounce: Duration?
    /// At most one event of a key in this time; the others are shed, and counted.
    public var throttle: Duration?

    /// Creates a policy; the defaults suit a handler that answers within seconds.
    public init(
        key: OrderingKey = .default, concurrency: Int = .max, retry: RetryPolicy = .init(), timeout: Duration = .seconds(30),
        cpuLimit: Duration? = nil, queueLimit: Int = 10_000, batch: BatchPolicy? = nil, debounce: Duration? = nil, throttle: Duration? = nil
    ) {
        self.key = key
        self.concurrency = max(1, concurrency)
        self.retry = retry
        self.timeout = timeout
        self.cpuLimit = cpuLimit
        self.queueLimit = max(1, queueLimit)
        self.batch = batch
        self.debounce = debounce
        self.throttle = throttle
    }
}

/// What makes two events belong to the same order.
public enum OrderingKey: Sendable, Hashable {
    /// The event's `partitionkey`, else its `subject`. An event with neither is in no order.
    case `default`
    /// The event's type.
    case type
    /// The event's `subject`.
    case subject
    /// The value at this path in the event's data. An event without one is in no order. Values of more than 4 KiB are the same if their texts
    /// are.
    case path([String])
    /// No order at all.
    case none

    var isPath: Bool {
        if case .path = self { true } else { false }
    }
}

/// How often, and how long after each other, a failing delivery is tried.
public struct RetryPolicy: Sendable, Hashable {
    /// Runs before it becomes a dead letter, the first one included. At least 1.
    public var attempts: Int
    /// The longest wait before the second attempt; it doubles with each one. The wait itself is drawn between 0 and that ("full jitter"), so
    /// that deliveries that failed together do not come back together.
    public var backoff: Duration
    /// What the doubling stops at.
    public var backoffMax: Duration

    /// Creates a policy; by default five attempts over about fifteen seconds.
    public init(attempts: Int = 5, backoff: Duration = .seconds(1), backoffMax: Duration = .seconds(60)) {
        self.attempts = max(1, attempts)
        self.backoff = backoff
        self.backoffMax = backoffMax
    }
}

/// Several events as one delivery.
public struct BatchPolicy: Sendable, Hashable {
    /// At most this many; fewer when they are more than 4 MiB together.
    public var count: Int
    /// At most this long after the first one came.
    public var within: Duration

    /// Creates a policy; `count` at least 1.
    public init(count: Int, within: Duration) {
        self.count = max(1, count)
        self.within = within
    }
}
