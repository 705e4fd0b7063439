internal import DequeModule
internal import MoonbusEvents

/// Turns of the endpoints: who may run what next.
extension Dispatcher {
    /// The longest run of one subscription before the next one of the same endpoint has its turn.
    private static let runMax = 64

    /// Hands out what is ready, endpoint by endpoint, until none has both room and something to do.
    func serveEndpoints() {
        guard isOpen else { return }
        while let entry = endpoints.nextTurn() { serve(entry) }
    }

    private func serve(_ entry: EndpointEntry) {
        guard !entry.ready.isEmpty else { return }
        let room = entry.endpoint.room
        guard room > 0 else { return }
        let turn = SubscriptionQueue.Turn(owed: owed, hash: hash, now: owner.clock.now(), started: now(), endpoint: entry.index)
        var deliveries: [Delivery] = []
        while deliveries.count < room, let index = entry.ready.popFirst() {
            guard let queue = queues[Int(index)] else { continue }
            queue.flow.pointee.isReady = false
            let taken = queue.take(upTo: min(Self.runMax, room - deliveries.count), turn, into: &deliveries)
            if taken > 0 { noteTaken(queue) }
            if queue.flow.pointee.isTakable {
                queue.flow.pointee.isReady = true
                entry.ready.append(index)
            }
        }
        guard !deliveries.isEmpty else { return }
        entry.inFlight += deliveries.count
        flying += deliveries.count
        counts.delivered &+= UInt64(deliveries.count)
        entry.endpoint.deliver(deliveries)
        // It may have room left, or have made some by settling at once.
        if !entry.ready.isEmpty { endpoints.mark(entry) }
    }

    private func noteTaken(_ queue: SubscriptionQueue) {
        armFlightLimit(queue)
        if queue.spec.policy.batch != nil {
            if let timer = queue.batchTimer { owner.cancel(timer) }
            queue.batchTimer = nil
            armBatch(queue)
        }
    }

    func endpointHasRoom(_ endpoint: any HandlerEndpoint) {
        if let entry = endpoints.find(endpoint) { endpoints.mark(entry) }
    }

    // MARK: Wall-clock limits

    /// One timer for each queue: for its oldest flight. When it fires, that one has mostly ended, and it is set for the next.
    private func armFlightLimit(_ queue: SubscriptionQueue) {
        guard queue.flightTimer == nil, queue.flow.pointee.flightHead != .max, queue.timeoutNanoseconds != .max else { return }
        let rest = owed[queue.flow.pointee.flightHead].pointee.started + queue.timeoutNanoseconds - now()
        queue.flightTimer = owner.timer(after: .nanoseconds(max(0, rest))) { [unowned self] in
            queue.flightTimer = nil
            cancelOverdue(queue)
            armFlightLimit(queue)
        }
    }

    private func cancelOverdue(_ queue: SubscriptionQueue) {
        let now = now()
        let flow = queue.flow
        while flow.pointee.flightHead != .max, owed[flow.pointee.flightHead].pointee.started + queue.timeoutNanoseconds <= now {
            let slot = flow.pointee.flightHead
            flow.removeFlight(slot, in: owed)
            let limit = DurationText.format(queue.spec.policy.timeout)
            cancel(slot, reason: "ran longer than its wall-clock limit of \(limit)")
        }
    }

    /// Asks a delivery's endpoint to end it early.
    func cancel(_ slot: UInt32, reason: String) {
        guard owed[slot].pointee.stage == .flying, !isOver else { return }
        endpoints[owed[slot].pointee.endpoint].endpoint.cancel(owed.id(of: slot), reason: reason)
    }

    func event(of delivery: UInt64) -> Event? {
        owed.find(delivery).flatMap { owed[$0].pointee.event }
    }

    // MARK: Coming back from an endpoint

    /// How many deliveries came back from one endpoint, one after the other.
    struct Landings {
        var endpoint = UInt32.max
        var count = 0
    }

    /// Takes a delivery back from its endpoint: its outcome is known now.
    ///
    /// - Parameter landings: counted here, and booked when another endpoint's turn comes; the caller books the last ones.
    /// - Returns: its slot; nil for an id that is unknown, or not at an endpoint any more.
    @inline(__always)
    func land(_ id: UInt64, _ landings: inout Landings) -> UInt32? {
        guard !isOver, let slot = owed.find(id), owed[slot].pointee.stage == .flying else { return nil }
        flows[owed[slot].pointee.queue].removeFlight(slot, in: owed)
        owed[slot].pointee.stage = .settling
        if owed[slot].pointee.endpoint != landings.endpoint {
            book(landings)
            landings = Landings(endpoint: owed[slot].pointee.endpoint)
        }
        landings.count += 1
        return slot
    }

    /// Gives an endpoint the room of what has landed.
    func book(_ landings: Landings) {
        guard landings.count > 0 else { return }
        let entry = endpoints[landings.endpoint]
        entry.inFlight -= landings.count
        flying -= landings.count
        endpoints.mark(entry)
        if entry.isIdle { noteIdle(entry) }
    }

    /// Forgets an idle endpoint at the end of the turn, if it is idle then.
    func noteIdle(_ entry: EndpointEntry) {
        owner.post { self.endpoints.forgetIfIdle(entry) }
    }

    /// Puts a delivery back in front of its queue; this run does not count.
    func requeue(_ slot: UInt32, countsAsAttempt: Bool) {
        guard let queue = queues[Int(owed[slot].pointee.queue)] else { return }
        if !countsAsAttempt { owed[slot].pointee.attempt &-= 1 }
        if let extra = owed[slot].pointee.extra { forgetCheckpoints(extra) }
        queue.inFlight -= 1
        if queue.phase == .retired { return forget(slot, queue) }
        if runsForEver(slot, queue) { return startAfresh(slot, queue) }
        owed[slot].pointee.stage = .queued
        // In the order of positions among those that came back together.
        let position = owed[slot].pointee.position
        let place = queue.urgent.firstIndex { owed[$0].pointee.position > position } ?? queue.urgent.endIndex
        queue.urgent.insert(slot, at: place)
        ready(queue)
    }

    func reclaim(_ endpoint: any HandlerEndpoint) {
        guard let entry = endpoints.find(endpoint) else { return }
        // All slots are looked at: flights past their wall-clock limit are not in a queue's list any more. It happens when a lane dies.
        var landings = Landings()
        for slot in owed.slots(where: { $0.pointee.stage == .flying && $0.pointee.endpoint == entry.index }) {
            if let slot = land(owed.id(of: slot), &landings) { requeue(slot, countsAsAttempt: false) }
        }
        book(landings)
    }

    func inFlight(_ endpoint: any HandlerEndpoint) -> Int {
        endpoints.find(endpoint)?.inFlight ?? 0
    }

    func whenDrained(_ endpoint: any HandlerEndpoint, _ drained: @escaping () -> Void) {
        let entry = endpoints.entry(for: endpoint)
        entry.drained.append(drained)
        if entry.isIdle { noteIdle(entry) }
    }
}
