internal import HeapModule

/// Who waits for results, and when their patience ends. Confined to the owner thread.
///
/// One timer for all, set for the earliest. A timer for each was a closure, two hash table entries and a reading of the clock for each
/// request, for something that hardly ever happens. An ask that is answered stays here until its time comes, or until those make up most
/// of the heap: then they are swept out.
struct OpenAsks {
    private struct Entry: Comparable {
        let deadline: Int64  // nanoseconds on the owner's monotonic clock
        let ask: Ask

        static func < (left: Entry, right: Entry) -> Bool { left.deadline < right.deadline }
        static func == (left: Entry, right: Entry) -> Bool { left.deadline == right.deadline }
    }

    /// So many answered asks may lie here beyond as many as there are open ones.
    private static let slack = 1_024

    private var heap = Heap<Entry>()
    private var openCount = 0
    /// The timer of the earliest, and its deadline.
    var timer: OwnerTimer?
    var timerDeadline = Int64.max

    var nextDeadline: Int64? { heap.min?.deadline }

    mutating func add(_ ask: Ask, deadline: Int64) {
        openCount += 1
        heap.insert(Entry(deadline: deadline, ask: ask))
    }

    /// Notes that one of them was answered.
    mutating func noteAnswered() {
        openCount -= 1
        if heap.count > 2 * openCount + Self.slack { heap = Heap(heap.unordered.filter { !$0.ask.isOver }) }
    }

    /// Takes out an ask whose time is over and that was not answered.
    mutating func popDue(_ now: Int64) -> Ask? {
        while let first = heap.min, first.deadline <= now {
            heap.removeMin()
            if first.ask.isOver { continue }
            openCount -= 1
            return first.ask
        }
        return nil
    }

    /// Takes out all that were not answered.
    mutating func removeAll() -> [Ask] {
        defer { self = OpenAsks() }
        return heap.unordered.map(\.ask).filter { !$0.isOver }
    }
}
