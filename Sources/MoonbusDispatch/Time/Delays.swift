internal import HeapModule
internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// Events that wait for their time: the journal has them all, this is the alarm clock of the next few. Confined to the owner thread.
///
/// Only those that are due next are in memory, some thousands; the others cost nothing until they are read from the journal. Always true,
/// unless a page is being read: the journal holds no event due before ``horizon`` that is not ``known``.
///
/// Deadlines are on the monotonic clock from the moment when an event comes into memory, so a jump of the wall clock then neither fires nor
/// holds up any. What is still on the disk is due by the wall clock, as after a restart.
struct Delays {
    /// How many are read at once. With this many in memory, and a read for each, 100,000 waiting events cost 25 reads on their way.
    static let pageCount = 4_096
    /// With fewer in memory, the next page is read.
    private static let lowCount = 1_024

    struct Entry: Comparable {
        let deadline: Int64  // nanoseconds on the owner's monotonic clock
        let sequence: UInt64  // of two with one deadline, the older comes first
        let delayed: DelayedEvent

        static func < (left: Entry, right: Entry) -> Bool {
            (left.deadline, left.sequence) < (right.deadline, right.sequence)
        }

        static func == (left: Entry, right: Entry) -> Bool { left.sequence == right.sequence }
    }

    private var heap = Heap<Entry>()
    private var sequence: UInt64 = 0
    /// Those in the heap, and those that are being appended: a page of the journal may hold them, too.
    private var known: Set<Event> = []
    private var horizon = Timestamp(microseconds: .min)
    private(set) var isReading = false
    /// How many wait, in memory and in the journal.
    private(set) var count = 0
    /// The timer of the earliest, and its deadline.
    var timer: OwnerTimer?
    var timerDeadline = Int64.max

    var nextDeadline: Int64? { heap.min?.deadline }
    /// True when the journal holds more and the memory too few.
    var wantsPage: Bool { !isReading && heap.count < Self.lowCount && horizon < Timestamp(microseconds: .max) }
    /// How many of the journal's earliest make a page of those that are not known.
    var pageLimit: Int { known.count + Self.pageCount }

    /// Takes events that began to wait just now. Times are those of the owner's clocks.
    mutating func add(_ events: [DelayedEvent], wall: Timestamp, now: Int64) {
        for delayed in events where !known.contains(delayed.event) {
            count += 1
            if isReading || delayed.due <= horizon { insert(delayed, wall, now) }
        }
        if heap.count > 2 * Self.pageCount { leaveLatest() }
    }

    mutating func beginReading() {
        isReading = true
    }

    /// Takes the journal's earliest; nil: it could not be read.
    mutating func endReading(_ page: [DelayedEvent]?, limit: Int, waiting: Int, wall: Timestamp, now: Int64) {
        isReading = false
        guard let page else { return }
        for delayed in page where !known.contains(delayed.event) { insert(delayed, wall, now) }
        let isAll = page.count < limit
        horizon = isAll ? Timestamp(microseconds: .max) : page.last?.due ?? horizon
        count = isAll ? known.count : max(waiting, known.count)
    }

    /// Takes out what is due, at most `limit`. It stays known until it has ended or is put back.
    mutating func popDue(_ now: Int64, limit: Int) -> [DelayedEvent] {
        var events: [DelayedEvent] = []
        while events.count < limit, let first = heap.min, first.deadline <= now { events.append(heap.removeMin().delayed) }
        return events
    }

    mutating func end(_ events: [DelayedEvent]) {
        for delayed in events where known.remove(delayed.event) != nil { count -= 1 }
    }

    mutating func putBack(_ events: [DelayedEvent], deadline: Int64) {
        for delayed in events { insert(delayed, deadline: deadline) }
    }

    private mutating func insert(_ delayed: DelayedEvent, _ wall: Timestamp, _ now: Int64) {
        known.insert(delayed.event)
        // A handler may name any time. One beyond the clock's range (292 years) waits for the end of it.
        let (deadline, isBeyond) = now.addingReportingOverflow(max(.zero, delayed.due - wall).wholeNanoseconds)
        insert(delayed, deadline: isBeyond ? .max : deadline)
    }

    private mutating func insert(_ delayed: DelayedEvent, deadline: Int64) {
        sequence += 1
        heap.insert(Entry(deadline: deadline, sequence: sequence, delayed: delayed))
    }

    /// Leaves to the journal what is due last.
    private mutating func leaveLatest() {
        let entries = heap.unordered.sorted { $0.delayed.due < $1.delayed.due }
        heap = Heap(entries.prefix(Self.pageCount))
        for entry in entries.dropFirst(Self.pageCount) { known.remove(entry.delayed.event) }
        horizon = min(horizon, entries[Self.pageCount - 1].delayed.due)
    }
}

extension Dispatcher {
    /// The most events that come due together as one batch.
    private static let dueMax = 256

    /// Waits for the time of events that the journal holds as delayed.
    func delay(_ events: [DelayedEvent]) {
        delays.add(events, wall: owner.clock.now(), now: now())
        armDelays()
    }

    /// Reads the next page of those that wait.
    func readDelays(_ done: @escaping @Sendable (Result<Void, JournalError>) -> Void) {
        let limit = delays.pageLimit
        delays.beginReading()
        openCalls += 1
        journal.read(.measures) { measures in
            self.journal.read(.delayed(limit: limit)) { page in
                self.onOwner {
                    self.openCalls -= 1
                    self.takePage(limit, measures, page, done)
                }
            }
        }
    }

    private func takePage(
        _ limit: Int, _ measures: Result<JournalAnswer, JournalError>, _ page: Result<JournalAnswer, JournalError>,
        _ done: (Result<Void, JournalError>) -> Void
    ) {
        var waiting = 0
        if case .success(.measures(let measures)) = measures { waiting = measures.delayedCount }
        var events: [DelayedEvent]?
        if case .success(.delayed(let found)) = page { events = found }
        delays.endReading(events, limit: limit, waiting: waiting, wall: owner.clock.now(), now: now())
        armDelays()
        done(page.map { _ in })
    }

    private func refillDelays() {
        guard isOpen, delays.wantsPage else { return }
        readDelays { result in
            guard case .failure(let error) = result else { return }
            self.logger.warning("events that wait for their time cannot be read now and may come late: \(error)")
            _ = self.owner.timer(after: .seconds(1)) { [unowned self] in refillDelays() }
        }
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
            guard !events.isEmpty else { break }
            var submission = Submission(events: events.map(\.event), waitsForRoom: true)
            submission.isDurable = true
            submission.recorded = .count { [unowned self] result in
                guard isOpen else { return }
                switch result {
                case .success: delays.end(events)
                case .failure:
                    // Refused by the journal: it still has them as delayed, so it is only the alarm that is set again.
                    delays.putBack(events, deadline: now() + Duration.seconds(1).wholeNanoseconds)
                    armDelays()
                }
                refillDelays()
            }
            admit(submission)
        }
    }
}
