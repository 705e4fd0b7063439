public import MoonbusEvents

/// The bounds of a bus, and which of its events are not for keeping. Every default suits one service on one machine.
public struct BusConfiguration: Sendable, Hashable {
    /// Events that were handed over and are not recorded yet; more are refused with ``EmitError/Code/full``.
    public var intakeCountMax = 65_536
    /// Bytes of those events.
    public var intakeBytesMax = 64 << 20
    /// Events in one batch.
    public var batchCountMax = 4_096
    /// Batches whose emitters wait because a subscription is full; more are refused with ``EmitError/Code/full``.
    public var waitingBatchesMax = 10_000
    /// How many handlers may lie between an event and the first one. An event past it becomes a dead letter that names the loop.
    public var hopsMax = 16
    /// Events that wait for their time.
    public var delayedMax = 100_000
    /// Those of them that one plugin may have: more fail the handler that emits them.
    public var delayedOfPluginMax = 25_000
    /// Bytes of those events: they fill a journal in memory.
    public var delayedBytesOfPluginMax = 64 << 20
    /// How long a handler's effects wait for room in the subscriptions that they go to, before the delivery is dead.
    public var fullPatience: Duration = .seconds(60)
    /// How often a delivery runs again at once because the state that it read had changed, before that counts as a failure.
    public var conflictsMax = 20
    /// Types whose events are never journaled: at most once, lost when the service stops, not retried after it. For readings that the next
    /// one replaces.
    public var ephemeral: [EventPattern] = []
    /// Types in the table of events that nobody wanted.
    public var unmatchedTypesMax = 256

    /// Creates the default bounds.
    public init() {}
}
