package import MoonbusEvents

/// One event owed to one subscription, handed to its endpoint.
package struct Delivery: Sendable {
    /// Names the delivery until it is settled; never 0, never used again.
    package var id: UInt64
    /// The event; of a batch, the first one.
    package var event: Event
    /// The other events of a batch, in order.
    package var others: [Event]
    /// Which subscription's names the emitted ids derive from; see ``identity``.
    package var subscriptionKey: (UInt64, UInt64)
    /// What `time.now()` is for this run.
    package var now: Timestamp
    /// Of `math.random`; the same for the same attempt of the same delivery.
    package var seed: UInt64
    /// CPU limit in microseconds; 0: the plugin's own.
    package var cpuMicroseconds: UInt32
    /// The spec's opaque tag.
    package var handler: Int32
    /// Counts from 1.
    package var attempt: UInt16
    /// What the function is called with.
    package var argument: SubscriptionSpec.Argument

    /// What the ids of emitted events derive from: the same for each attempt, on each machine. Costs a hash; ask once.
    package var identity: Identity {
        Identity(event: event, subscription: subscriptionKey)
    }
}
