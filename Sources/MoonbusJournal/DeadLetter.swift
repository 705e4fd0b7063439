public import MoonbusEvents

/// A delivery that gave up: the event, who it was for, and everything that went wrong.
public struct DeadLetter: Sendable, Hashable, Identifiable {
    /// Given by the journal, rising from 1; 0 before it is stored.
    public var id: UInt64
    /// The durable name of the subscription.
    public var subscription: String
    /// The event's place in the log; 0 when it never had one (a timer's tick, an event past the hop limit).
    public var position: UInt64
    /// The event, kept although the log may have been trimmed past it.
    public var event: Event
    /// Each failed run, oldest first.
    public var failures: [FailedAttempt]
    /// When it gave up.
    public var died: Timestamp

    /// Creates a letter; the journal gives it its `id`.
    public init(
        id: UInt64 = 0, subscription: String, position: UInt64, event: Event, failures: [FailedAttempt], died: Timestamp
    ) {
        self.id = id
        self.subscription = subscription
        self.position = position
        self.event = event.detached
        self.failures = failures
        self.died = died
    }
}
