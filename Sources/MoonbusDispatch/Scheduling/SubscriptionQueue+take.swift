internal import DequeModule
internal import MoonbusEvents
internal import MoonbusJournal

extension SubscriptionQueue {
    /// What all deliveries of one turn share.
    struct Turn {
        let owed: OwedTable
        let hash: ByteHash
        let now: Timestamp
        /// Nanoseconds on the owner's monotonic clock.
        let started: Int64
        /// Index of the endpoint whose turn it is.
        let endpoint: UInt32
    }

    /// Moves up to `limit` deliveries from the queue to `deliveries`, in order. Those whose key is taken step aside and let the next pass.
    ///
    /// - Returns: how many were taken.
    func take(upTo limit: Int, _ turn: Turn, into deliveries: inout [Delivery]) -> Int {
        var taken = 0
        let run = Run(self)
        while taken < limit, flow.pointee.isTakable {
            let slot: UInt32
            if let first = flow.pointee.urgent.popFirst() {
                slot = first
            } else if let batch = spec.policy.batch {
                slot = takeBatch(batch, turn)
            } else {
                slot = flow.pointee.waiting.removeFirst()
                if flow.pointee.isKeyed, !takeKey(slot, turn) { continue }
            }
            launch(slot, turn, run, into: &deliveries)
            taken += 1
        }
        return taken
    }

    /// What all deliveries of a run share, read once.
    private struct Run {
        let identityKey: (UInt64, UInt64)
        let cpuMicroseconds: UInt32
        let handler: Int32
        let resultHandler: Int32
        let argument: SubscriptionSpec.Argument
        let isBatched: Bool

        init(_ queue: SubscriptionQueue) {
            identityKey = queue.identityKey
            cpuMicroseconds = queue.cpuMicroseconds
            handler = queue.spec.handler
            // 0 is no function: a result that is left over when the plugin does not take them any more fails, and is nobody else's argument.
            resultHandler = queue.spec.resultHandler ?? 0
            argument = queue.spec.argument
            isBatched = queue.spec.policy.batch != nil
        }
    }

    /// True when the delivery may go as far as its key is concerned.
    @inline(__always)
    private func takeKey(_ slot: UInt32, _ turn: Turn) -> Bool {
        let owed = turn.owed[slot]
        guard let event = owed.pointee.event else { return true }
        // Most events have no key, which is told by one load.
        if !event.mayHaveKey, spec.policy.key == .default { return true }
        // That of a path was found when the event came.
        let key = owed.pointee.key == 0 ? spec.policy.key.hash(of: event, turn.hash) : owed.pointee.key
        guard key != 0, key != Owed.noKey else { return true }
        owed.pointee.key = key
        guard flow.pointee.keys.take(key, for: slot, in: turn.owed) else { return false }
        owed.pointee.holdsKey = true
        return true
    }

    /// Bytes of a batch of more than one event: as much as one event may have. It travels in one frame, and a handler has to hold it whole.
    private static let batchSizeMax = 4 << 20

    private func takeBatch(_ policy: BatchPolicy, _ turn: Turn) -> UInt32 {
        let leader = flow.pointee.waiting.removeFirst()
        let extra = turn.owed[leader].pointee.extra ?? Owed.Extra()
        turn.owed[leader].pointee.extra = extra
        var size = turn.owed[leader].pointee.event?.recordSize ?? 0
        while extra.members.count + 1 < policy.count, let next = flow.pointee.waiting.first {
            size += turn.owed[next].pointee.event?.recordSize ?? 0
            guard size <= Self.batchSizeMax, let member = flow.pointee.waiting.popFirst() else { break }
            turn.owed[member].pointee.stage = .held
            extra.members.append(member)
        }
        flow.pointee.isBatchOver = false
        return leader
    }

    @inline(__always)
    private func launch(_ slot: UInt32, _ turn: Turn, _ run: Run, into deliveries: inout [Delivery]) {
        let owed = turn.owed[slot]
        guard let event = owed.pointee.event else { return }
        turn.owed.rename(slot)
        owed.pointee.stage = .flying
        owed.pointee.attempt &+= 1
        owed.pointee.started = turn.started
        owed.pointee.endpoint = turn.endpoint
        flow.addFlight(slot, in: turn.owed)
        flow.pointee.inFlight += 1
        let isResult = owed.pointee.isResult
        deliveries.append(
            Delivery(
                id: turn.owed.id(of: slot),
                event: event, others: run.isBatched && !isResult ? others(owed, turn) : [],
                subscriptionKey: run.identityKey, now: turn.now, seed: Self.seed(of: owed, event, run.identityKey.0),
                cpuMicroseconds: run.cpuMicroseconds, handler: isResult ? run.resultHandler : run.handler,
                attempt: owed.pointee.attempt, argument: isResult ? .data : run.argument))
    }

    private func others(_ owed: UnsafeMutablePointer<Owed>, _ turn: Turn) -> [Event] {
        (owed.pointee.extra?.members ?? []).compactMap { turn.owed[$0].pointee.event }
    }

    /// The same for the same attempt of the same delivery, different for all others.
    @inline(__always)
    private static func seed(of owed: UnsafeMutablePointer<Owed>, _ event: Event, _ key: UInt64) -> UInt64 {
        let place = owed.pointee.position == 0 ? UInt64(bitPattern: event.time.microseconds) : owed.pointee.position
        var mixed = (place ^ key) &+ UInt64(owed.pointee.attempt) &* 0x9E37_79B9_7F4A_7C15
        // Origin: the finalizer of SplitMix64.
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

extension OrderingKey {
    /// What stands for the event's key in tables; 0: the event is in no order.
    @inline(__always)
    func hash(of event: Event, _ hash: ByteHash) -> UInt64 {
        switch self {
        case .none: return 0
        case .default:
            guard event.mayHaveKey else { return 0 }
            return event.withUnsafeOrderingKey { Self.word($0, hash) }
        case .type: return event.withUnsafeType { Self.word($0, hash) }
        case .subject: return event.withUnsafeSubject { Self.word($0, hash) }
        case .path(let path):
            return event.data.map { Self.hash(ofValueAt: path, in: $0, hash) } ?? 0
        }
    }

    static func word(_ bytes: UnsafeRawBufferPointer, _ hash: ByteHash) -> UInt64 {
        bytes.isEmpty ? 0 : min(max(1, hash(bytes).place), Owed.noKey - 1)
    }
}

extension Event {
    /// False when the event has neither subject nor partition key: their sizes lie side by side in the record (docs/frames.md).
    @inline(__always)
    fileprivate var mayHaveKey: Bool {
        withUnsafeRecord { $0.loadUnaligned(fromByteOffset: 20, as: UInt32.self) } != 0
    }
}
