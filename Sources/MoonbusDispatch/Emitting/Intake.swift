internal import MoonbusEvents
internal import Synchronization

/// The bound in front of the bus: how much was handed over and is not recorded yet. Any thread.
final class Intake: Sendable {
    private let configuration: BusConfiguration
    private let isOpen = Atomic<Bool>(false)
    private let count = Atomic<Int>(0)
    private let size = Atomic<Int>(0)
    private let refused = Atomic<UInt64>(0)

    static let stopped = EmitError(.stopped, "the bus is not running: nothing was recorded")

    init(_ configuration: BusConfiguration) {
        self.configuration = configuration
    }

    /// Opens or closes the intake for events from outside.
    func set(open: Bool) {
        isOpen.store(open, ordering: .releasing)
    }

    /// How many events were refused here.
    var refusedCount: UInt64 { refused.load(ordering: .relaxed) }

    /// Takes a batch in and notes its size; or says why not.
    ///
    /// The two counters are not one: callers on several threads may together pass a bound by a batch each. It is a guard for memory, not a quota.
    func enter(_ submission: inout Submission) -> EmitError? {
        let refusal = check(&submission)
        if refusal != nil { refused.wrappingAdd(UInt64(submission.events.count), ordering: .relaxed) }
        return refusal
    }

    /// Notes that a batch is recorded, or refused.
    func leave(_ submission: Submission) {
        guard submission.size > 0 else { return }
        count.wrappingSubtract(submission.events.count, ordering: .relaxed)
        size.wrappingSubtract(submission.size, ordering: .relaxed)
    }

    private func check(_ submission: inout Submission) -> EmitError? {
        guard isOpen.load(ordering: .acquiring) else { return Self.stopped }
        let events = submission.events
        guard !events.isEmpty else { return EmitError(.invalid, "an empty batch: emit at least one event") }
        guard events.count <= configuration.batchCountMax else {
            return EmitError(.tooLarge, "\(events.count) events in one batch, the limit is \(configuration.batchCountMax): split it")
        }
        var bytes = 0
        for event in events { bytes += event.withUnsafeRecord { $0.count } }
        guard bytes <= configuration.intakeBytesMax else {
            return EmitError(.tooLarge, "\(bytes) bytes in one batch, the limit is \(configuration.intakeBytesMax): split it")
        }
        let countBefore = count.load(ordering: .relaxed)
        guard countBefore + events.count <= configuration.intakeCountMax,
            size.load(ordering: .relaxed) + bytes <= configuration.intakeBytesMax
        else {
            return EmitError(
                .full, "\(countBefore) events wait to be recorded already: emit more slowly, or try again in a moment",
                retryAfter: .milliseconds(100))
        }
        count.wrappingAdd(events.count, ordering: .relaxed)
        size.wrappingAdd(bytes, ordering: .relaxed)
        submission.size = bytes
        return nil
    }
}
