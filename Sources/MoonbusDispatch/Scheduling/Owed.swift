internal import MoonbusEvents
internal import MoonbusJournal

/// One event owed to one subscription, from the moment it is recorded until it has ended.
struct Owed {
    /// Where a delivery is on its way. Only the owner thread moves it.
    enum Stage: UInt8 {
        /// The slot is not used.
        case free
        /// In its queue: `waiting`, `urgent`, or behind another one of its key.
        case queued
        /// Held back by a debounce policy, or as a later event of a batch.
        case held
        /// At its endpoint.
        case flying
        /// Its outcome is known, and the journal is to commit it.
        case settling
        /// Waits for its next attempt.
        case retrying
    }

    /// What is rarely needed.
    final class Extra {
        /// Who waits for the result, and for which event of theirs.
        var ask: Ask?
        var askIndex = 0
        /// The subscription of the source that wants the result: the event's `replyto`.
        var resultSource: String?
        var failures: [FailedAttempt] = []
        /// The other events of a batch, in order.
        var members: [UInt32] = []
        /// How often it ran again because of a state conflict.
        var conflicts = 0
        /// Emits of checkpoints so far: the ordinal that the next one's id derives from.
        var emitCount = 0
        /// Checkpoints that are not committed; nil: it never made one.
        var checkpoints: OpenCheckpoints?
        /// Where the journal keeps it while it is owed again, if its event is in no log; see ``UnloggedPlace``.
        var strayPosition = UnloggedPlace.tick

        /// True when somebody waits for what it comes to.
        var isAwaited: Bool { ask != nil || resultSource != nil }
    }

    var event: Event?
    /// The event's place in the log; 0: it never had one.
    var position: UInt64 = 0
    /// The place of what its subscription was owed before it: the start of its ``Span``.
    var after: UInt64 = 0
    /// What stands for the key that orders it; 0: it is in no order, or nobody has looked yet; ``noKey``: somebody has, and it is in none.
    var key: UInt64 = 0
    static let noKey = UInt64.max
    /// When it was handed to its endpoint, nanoseconds on the owner's monotonic clock.
    var started: Int64 = 0
    var extra: Extra?
    /// Index of the queue that it belongs to.
    var queue: UInt32 = 0
    /// Index of the endpoint that has it, while it flies.
    var endpoint: UInt32 = 0
    /// Tells apart the runs that used the same slot; never 0.
    var generation: UInt32 = 1
    /// The next one behind it: of its key while queued, of the free list while free.
    var next: UInt32 = .max
    /// Neighbours in the list of what flies, oldest first.
    var flightPrevious: UInt32 = .max
    var flightNext: UInt32 = .max
    /// Runs that count, the present one included.
    var attempt: UInt16 = 0
    var stage = Stage.free
    /// True while others of its key must wait for it.
    var holdsKey = false
    /// True once it has left the order of positions: the journal knows it as a ``Stray``.
    var isStray = false
    /// True for what the handlers of a source's event answered: it goes to the spec's result handler.
    var isResult = false
    /// What its event takes of its queue's bytes, in units of ``Flow/blockSize``.
    var blocks: UInt16 = 0
}

/// All owed deliveries of a bus: slots with stable addresses, reused, named by slot and generation.
///
/// Confined to the owner thread. Pointers instead of an array: no copies, no exclusivity checks, no bounds checks on the hot path; slots
/// come only from `take` and `find`, so they are always in bounds.
final class OwedTable {
    private static let chunkBits: UInt32 = 12
    private static let chunkSize = 1 << Int(chunkBits)
    private static let chunksMax = 65_536

    private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Owed>>
    private var chunkCount = 0
    private var freeHead = UInt32.max

    init() {
        chunks = .allocate(capacity: Self.chunksMax)
    }

    deinit {
        for index in 0..<chunkCount {
            chunks[index].deinitialize(count: Self.chunkSize)
            chunks[index].deallocate()
        }
        chunks.deallocate()
    }

    /// The delivery in a slot.
    @inline(__always)
    subscript(slot: UInt32) -> UnsafeMutablePointer<Owed> {
        chunks[Int(slot >> Self.chunkBits)] + Int(slot & UInt32(Self.chunkSize - 1))
    }

    /// A free slot; its content is as `Owed()` made it, but for the generation. Never fails below 268 million deliveries, which the
    /// queues' limits and the machine's memory keep away from.
    @inline(__always)
    func take() -> UInt32 {
        if freeHead == .max { grow() }
        let slot = freeHead
        freeHead = self[slot].pointee.next
        self[slot].pointee.next = .max
        return slot
    }

    /// Gives a slot back.
    @inline(__always)
    func free(_ slot: UInt32) {
        let owed = self[slot]
        // Field by field, and only what `take` relies on: writing all of it again would be the dearest part of a delivery's end.
        owed.pointee.event = nil
        if owed.pointee.extra != nil { owed.pointee.extra = nil }
        owed.pointee.position = 0
        owed.pointee.after = 0
        owed.pointee.key = 0
        owed.pointee.generation = max(1, owed.pointee.generation &+ 1)
        owed.pointee.flightPrevious = .max
        owed.pointee.flightNext = .max
        owed.pointee.attempt = 0
        owed.pointee.stage = .free
        owed.pointee.holdsKey = false
        owed.pointee.isStray = false
        owed.pointee.isResult = false
        owed.pointee.next = freeHead
        freeHead = slot
    }

    /// Gives a delivery a new name: an outcome of an earlier run must not be taken for one of the next.
    @inline(__always)
    func rename(_ slot: UInt32) {
        self[slot].pointee.generation = max(1, self[slot].pointee.generation &+ 1)
    }

    /// The name of a delivery for the outside.
    @inline(__always)
    func id(of slot: UInt32) -> UInt64 {
        UInt64(self[slot].pointee.generation) << 32 | UInt64(slot)
    }

    /// The slot of a delivery that has not ended; ids from outside may be anything.
    @inline(__always)
    func find(_ id: UInt64) -> UInt32? {
        let slot = UInt32(truncatingIfNeeded: id)
        guard Int(slot >> Self.chunkBits) < chunkCount else { return nil }
        let owed = self[slot]
        return owed.pointee.generation == UInt32(id >> 32) && owed.pointee.stage != .free ? slot : nil
    }

    /// The slots whose delivery meets a condition. Looks at all of them.
    func slots(where condition: (UnsafeMutablePointer<Owed>) -> Bool) -> [UInt32] {
        (0..<UInt32(chunkCount * Self.chunkSize)).filter { self[$0].pointee.stage != .free && condition(self[$0]) }
    }

    private func grow() {
        precondition(chunkCount < Self.chunksMax, "268 million deliveries are owed: lower the queues' limits")
        let chunk = UnsafeMutablePointer<Owed>.allocate(capacity: Self.chunkSize)
        chunk.initialize(repeating: Owed(), count: Self.chunkSize)
        chunks[chunkCount] = chunk
        let first = UInt32(chunkCount) << Self.chunkBits
        chunkCount += 1
        for index in (0..<UInt32(Self.chunkSize)).reversed() {
            self[first + index].pointee.next = freeHead
            freeHead = first + index
        }
    }
}
