import HeapModule

/// What is to happen when, on a monotonic clock. Confined to one thread.
///
/// A heap of deadlines beside a table of what to do: cancelling takes the work out of the table, and the heap's entry is passed over
/// when its time comes. Many cancelled entries are swept out, so the heap stays within twice the number of live timers.
struct Timers {
    /// Names a timer until it has fired.
    struct ID: Hashable {
        fileprivate let sequence: UInt64
    }

    private struct Entry: Comparable {
        let deadline: Int64  // nanoseconds
        let sequence: UInt64  // of two with one deadline, the older fires first

        static func < (left: Entry, right: Entry) -> Bool {
            (left.deadline, left.sequence) < (right.deadline, right.sequence)
        }
    }

    private var heap = Heap<Entry>()
    private var work: [UInt64: () -> Void] = [:]
    private var nextSequence: UInt64 = 1

    /// How many are due some time.
    var count: Int { work.count }

    /// Makes `fire` due at `deadline` (nanoseconds on the owner's monotonic clock).
    mutating func add(deadline: Int64, _ fire: @escaping () -> Void) -> ID {
        let sequence = nextSequence
        nextSequence += 1
        heap.insert(Entry(deadline: deadline, sequence: sequence))
        work[sequence] = fire
        return ID(sequence: sequence)
    }

    /// Makes sure that a timer does not fire. One that has fired already is ignored.
    mutating func cancel(_ id: ID) {
        work[id.sequence] = nil
        if heap.count > 2 * work.count + 1_024 {
            heap = Heap(heap.unordered.filter { work[$0.sequence] != nil })
        }
    }

    /// The earliest deadline.
    mutating func next() -> Int64? {
        while let entry = heap.min {
            if work[entry.sequence] != nil { return entry.deadline }
            heap.removeMin()
        }
        return nil
    }

    /// Takes out the earliest timer that is due at `now`.
    mutating func popDue(_ now: Int64) -> (() -> Void)? {
        while let entry = heap.min, entry.deadline <= now {
            heap.removeMin()
            if let fire = work.removeValue(forKey: entry.sequence) { return fire }
        }
        return nil
    }
}
