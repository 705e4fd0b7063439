internal import HeapModule
internal import MoonbusEvents
internal import MoonbusJournal

/// Events that wait for their time: the journal has them, this is the alarm clock. Confined to the owner thread.
///
/// Deadlines are on the monotonic clock from the moment when the bus learns of an event, so a jump of the wall clock neither fires nor
/// holds up any.
struct Delays {
    private struct Entry: Comparable {
        let deadline: Int64  // nanoseconds on the owner's monotonic clock
        let sequence: UInt64  // of two with one deadline, the older comes first
        let event: Event

        static func < (left: Entry, right: Entry) -> Bool {
            (left.deadline, left.sequence) < (right.deadline, right.sequence)
        }

        static func == (left: Entry, right: Entry) -> Bool { left.sequence == right.sequence }
    }

    private var heap = Heap<Entry>()
    private var sequence: UInt64 = 0
    /// The timer of the earliest, and its deadline.
    var timer: OwnerTimer?
    var timerDeadline = Int64.max

    var count: Int { heap.count }
    var nextDeadline: Int64? { heap.min?.deadline }

    mutating func add(_ event: Event, deadline: Int64) {
        sequence += 1
        heap.insert(Entry(deadline: deadline, sequence: sequence, event: event))
    }

    /// Takes out what is due, at most `limit`.
    mutating func popDue(_ now: Int64, limit: Int) -> [Event] {
        var events: [Event] = []
        while events.count < limit, let first = heap.min, first.deadline <= now { events.append(heap.removeMin().event) }
        return events
    }
}

extension Dispatcher {
    /// The most events that come due together as one batch.
    private static let dueMax = 256

    /// Waits for the time of events that the journal holds as delayed.
    func delay(_ events: [DelayedEvent]) {
        let wall = owner.clock.now()
        let now = now()
        for delayed in events {
            // A handler may name any time. One beyond the clock's range (292 years) waits for the end of it.
            let (deadline, isBeyond) = now.addingReportingOverflow(max(.zero, delayed.due - wall).wholeNanoseconds)
            delays.add(delayed.event, deadline: isBeyond ? .max : deadline)
        }
        armDelays()
    }

    private func armDelays() {
        guard let deadline = delays.nextDeadline, deadline < delays.timerDeadline else { return }
        if let timer = delays.timer { owner.cancel(timer) }
        delays.timerDeadline = deadline
        delays.timer = owner.timer(after: .nanoseconds(deadline - now())) { [unowned self] in
            delays.timer = nil
            delays.timerDeadline = .max
            appendDue()
            armDelays()
        }
    }

    /// Appends what is due. That ends the delay in the journal, too: appending an event is how a delayed one comes due.
    private func appendDue() {
        while isOpen {
            let events = delays.popDue(now(), limit: Self.dueMax)
            guard !events.isEmpty else { return }
            var submission = Submission(events: events, waitsForRoom: true)
            submission.recorded = .count { [unowned self] result in
                guard case .failure = result, isOpen else { return }
                // Refused by the journal: it still has them as delayed, so it is only the alarm that is set again.
                let later = owner.clock.now() + .seconds(1)
                delay(events.map { DelayedEvent(event: $0, due: later) })
            }
            admit(submission)
        }
    }
}
