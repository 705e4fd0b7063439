internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// Which events are ephemeral: their types are named in ``BusConfiguration/ephemeral``. They are never journaled, and each subscription gets
/// them at most once; in exchange nobody waits for a disk.
///
/// | | an event | an ephemeral one |
/// |---|---|---|
/// | position | given by the journal | 0 |
/// | recorded twice | recognised as a duplicate | is two events |
/// | the service stops | owed after the restart | gone |
/// | its handler fails | tried again by policy, also after a restart; then a dead letter | tried again by policy, in memory; then lost |
/// | effects of its handler | one commit, with the acknowledgement | one commit |
/// | a full subscription | its emitter waits, or is refused | the same |
/// | order in its subscription | by position | as it came; it may overtake others that are still being recorded |
struct EphemeralTypes: Sendable {
    private let patterns: [EventPattern]

    init(_ patterns: [EventPattern]) {
        self.patterns = patterns
    }

    func contains(_ event: Event) -> Bool {
        event.withUnsafeType { bytes in patterns.contains { $0.matches(typeBytes: bytes) } }
    }

    /// Takes a batch apart; nil, and at no cost where no type is ephemeral: all of it is for the journal.
    @inline(__always)
    func split(_ events: [Event]) -> EphemeralSplit? {
        patterns.isEmpty ? nil : splitByType(events)
    }

    private func splitByType(_ events: [Event]) -> EphemeralSplit? {
        let isEphemeral = events.map(contains)
        guard isEphemeral.contains(true) else { return nil }
        return EphemeralSplit(
            isEphemeral: isEphemeral, durable: zip(events, isEphemeral).compactMap { event, isEphemeral in isEphemeral ? nil : event })
    }
}

/// A batch with events that the journal does not get.
struct EphemeralSplit: Sendable {
    let isEphemeral: [Bool]
    /// What the journal gets, in order.
    let durable: [Event]

    /// The places of all events of the batch, from those of the durable ones.
    func places(_ recorded: [Recorded]) -> [Recorded] {
        var next = 0
        return isEphemeral.map { isEphemeral in
            guard !isEphemeral else { return Recorded(position: 0) }
            next += 1
            return recorded[next - 1]
        }
    }
}

extension Dispatcher {
    /// True for the delivery of an ephemeral event: it has no place in the log, and is neither a clock's nor a revived one.
    func isEphemeral(_ slot: UInt32) -> Bool {
        guard owed[slot].pointee.position == 0, owed[slot].pointee.extra?.strayPosition ?? 0 == 0,
            case .events? = queues[Int(owed[slot].pointee.queue)]?.spec.trigger
        else { return false }
        return true
    }

    /// True when the journal has nothing to do with a delivery; of a batch, with any of its events.
    func isUnknownToJournal(_ slot: UInt32) -> Bool {
        owed[slot].pointee.position == 0 && slots(of: slot).allSatisfy(isEphemeral)
    }

    /// Ends an ephemeral delivery, or lets it wait for another attempt, without the journal.
    func concludeEphemeral(_ slot: UInt32, _ kind: SettlingBatch.Kind, _ detail: SettlingBatch.Detail?) {
        let results = results(of: slot, kind, detail)
        conclude(SettlingBatch.Ending(slot: slot, kind: kind, detail: detail))
        if !results.isEmpty { deliver(addressed(results)) }
    }

    /// Counts an ephemeral event that its handler gave up on.
    func noteLoss(_ slot: UInt32, _ queue: SubscriptionQueue, _ fault: Fault?) {
        counts.lost &+= 1
        queue.lostCount &+= 1
        // A stream of readings that all fail is one problem, not a log line each.
        guard queue.lostCount % 1_000 == 1 else { return }
        let event = owed[slot].pointee.event.map { "\($0)" } ?? ""
        logger.warning(
            "'\(queue.name)' gave up on \(event) after attempt \(owed[slot].pointee.attempt): it is ephemeral, so it is lost",
            metadata: ["fault": "\(fault.map(String.init(describing:)) ?? "")", "lost": "\(queue.lostCount)"])
    }
}
