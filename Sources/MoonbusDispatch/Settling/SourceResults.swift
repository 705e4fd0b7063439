internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// What handlers answered to the events of a source that has a `result=`: one result for each delivery that has ended, owed to the source
/// from the commit of its handler on.
///
/// A source's events say who wants their results in the extension `replyto`, so that who handles one after a restart still knows. The
/// result is a ``Stray`` of the source's subscription at a position made from the delivery's identity and which of its ends it is: a dead
/// letter that is retried ends once more.
extension Dispatcher {
    /// Bytes of results that the sources of a plugin may be owed. Beyond it, or a queue's limit, further ones are left out and counted:
    /// handlers don't wait for a source that doesn't listen.
    static let resultSizeMax = 16 << 20

    /// A result between its handler's end and the journal's answer.
    struct PendingResult {
        let subscription: String
        let stray: Stray
        /// False for what an ephemeral event was answered: it is in memory only, like the event.
        let isDurable: Bool
        /// Where room is reserved for it.
        let reserved: SubscriptionQueue?
        /// The source, if this bus has claimed it by the time of the commit; whoever claims it later finds the result in the journal.
        var queue: SubscriptionQueue?
    }

    // MARK: Who wants results

    /// For each event the subscription that wants its results; empty when none does.
    func resultSources(of events: UnsafeBufferPointer<Event>) -> [String?] {
        guard events.contains(where: \.hasExtensions) else { return [] }
        return events.map(\.replyTo)
    }

    /// Notes who wants the results of a delivery that comes from the journal.
    func noteResultSource(_ slot: UInt32) {
        guard let source = owed[slot].pointee.event?.replyTo else { return }
        extra(of: slot).resultSource = source
    }

    /// True when somebody waits for what a delivery comes to.
    func isAwaited(_ slot: UInt32) -> Bool {
        guard let extra = owed[slot].pointee.extra else { return false }
        return extra.isAwaited || extra.members.contains { owed[$0].pointee.extra?.isAwaited ?? false }
    }

    // MARK: From an end to a result

    /// What of a delivery's end is owed to sources.
    func results(of slot: UInt32, _ kind: SettlingBatch.Kind, _ detail: SettlingBatch.Detail?) -> [PendingResult] {
        guard kind != .checkpoint, kind != .retry, let queue = queues[Int(owed[slot].pointee.queue)], queue.replay == nil else { return [] }
        let result = HandlerResult(
            subscription: queue.name, status: kind.status(detail?.fault), result: detail?.result, error: detail?.fault,
            attempts: Int(owed[slot].pointee.attempt))
        let failures = owed[slot].pointee.extra?.failures.count ?? 0
        return slots(of: slot).compactMap { member -> PendingResult? in
            guard let source = owed[member].pointee.extra?.resultSource, let event = owed[member].pointee.event else { return nil }
            let end = HandlingEnd(
                result: result, handler: queue, identity: Identity(event: event, subscription: queue.identityKey), failures: failures)
            return pend(end, of: event, to: source, isDurable: !isEphemeral(member))
        }
    }

    /// One end of a delivery. It may have several: each but the last is a dead letter, so failures and status tell them apart.
    private struct HandlingEnd {
        let result: HandlerResult
        let handler: SubscriptionQueue
        let identity: Identity
        let failures: Int

        var id: String { "\(identity)-\(result.status.rawValue)-\(failures)" }
        var position: UInt64 {
            UnloggedPlace.result(identity, UInt64(failures) << 2 | (result.status == .done ? 0 : result.status == .shed ? 1 : 2))
        }
    }

    /// - Returns: nil when the source does not want it (any more), or is owed too many.
    private func pend(_ end: HandlingEnd, of event: Event, to source: String, isDurable: Bool) -> PendingResult? {
        let queue = names[source]
        if let queue, queue.spec.resultHandler == nil || queue.phase == .retired { return nil }
        let made = Self.resultEvent(end, of: event, now: owner.clock.now())
        guard reserve(made.recordSize, of: source, queue) else { return nil }
        let position = isDurable ? end.position : UnloggedPlace.tick
        let stray = Stray(position: position, event: made, due: made.time, failures: [])
        return PendingResult(subscription: source, stray: stray, isDurable: isDurable, reserved: queue)
    }

    private func reserve(_ size: Int, of source: String, _ queue: SubscriptionQueue?) -> Bool {
        guard let queue else {
            // Nobody has claimed it yet. The journal may know it, so its results are kept; but not without end.
            let owed = unclaimedResults[source, default: 0] + size
            guard owed <= Self.resultSizeMax else {
                counts.shed &+= 1
                return false
            }
            unclaimedResults[source] = owed
            return true
        }
        guard queue.room > 0, resultSizes[queue.spec.plugin, default: 0] + size <= Self.resultSizeMax else {
            noteMissedResult(queue)
            return false
        }
        countResults(size, of: queue)
        queue.flow.pointee.reserved += 1
        return true
    }

    /// Keeps the books of what the sources of a plugin are owed.
    func countResults(_ size: Int, of queue: SubscriptionQueue) {
        queue.resultSize += size
        let all = resultSizes[queue.spec.plugin, default: 0] + size
        resultSizes[queue.spec.plugin] = all == 0 ? nil : all
    }

    private func noteMissedResult(_ queue: SubscriptionQueue) {
        counts.shed &+= 1
        queue.shedCount &+= 1
        guard queue.shedCount % 1_000 == 1 else { return }
        logger.warning(
            "source '\(queue.name)' is owed \(queue.count) results of \(queue.resultSize) bytes, which is the limit: further ones are left out until it has handled some",
            metadata: ["shed": "\(queue.shedCount)"])
    }

    /// The event that the source's `result=` gets. A result that no event can hold is left out of it, and said.
    private static func resultEvent(_ end: HandlingEnd, of event: Event, now: Timestamp) -> Event {
        let result = end.result
        let base: JSONObject = [
            "event": .string(event.id), "type": .string(event.typeText), "subscription": .string(result.subscription),
            "status": .string(result.status.rawValue), "attempts": .integer(Int64(result.attempts)),
        ]
        func make(_ object: JSONObject) throws(EventError) -> Event {
            try Event(
                type: EventType(resultType), data: JSON(.object(object)), id: end.id, source: "/plugins/\(end.handler.spec.plugin)",
                time: now,
                traceparent: event.traceparent, causeid: event.id, hops: min(event.hops + 1, Int(UInt16.max)))
        }
        var object = base
        if let value = result.result { object["result"] = value.value }
        if let fault = result.error { object["error"] = .string(fault.message) }
        do {
            return try make(object)
        } catch {
            var object = base
            object["error"] = .string("the result cannot be handed on: \(error.message)")
            do {
                return try make(object)
            } catch {
                preconditionFailure("names and ids fit any event: \(error)")
            }
        }
    }

    // MARK: To the source

    /// Results that a source which is claimed has in memory already: they ended while the claim was on its way.
    func resultPositions(of queue: SubscriptionQueue) -> Set<UInt64> {
        Set(queue.urgent.compactMap { owed[$0].pointee.isResult ? owed[$0].pointee.extra?.strayPosition : nil })
    }

    /// Gives up the results of a source that does not take them any more.
    func dropResults(of queue: SubscriptionQueue) {
        let slots = owed.slots {
            $0.pointee.queue == queue.index && $0.pointee.isResult && ($0.pointee.stage == .queued || $0.pointee.stage == .retrying)
        }
        queue.urgent.removeAll { owed[$0].pointee.isResult }
        logger.warning("'\(queue.name)' takes no results any more: \(slots.count) that it was owed are left out")
        shed += slots
    }

    /// Finds the sources among those that this bus has claimed, before the journal is asked to commit: whoever claims later is told by it.
    func addressed(_ results: [PendingResult]) -> [PendingResult] {
        results.map { result in
            var result = result
            result.queue = names[result.subscription]
            return result
        }
    }

    /// Hands results to their sources, once they are committed.
    ///
    /// - Parameter isCommitted: false: they are not, and are nothing any more.
    func deliver(_ results: [PendingResult], isCommitted: Bool = true) {
        for result in results {
            giveBackRoom(of: result, isCommitted)
            guard isCommitted, let queue = result.queue, queue.phase != .retired else { continue }
            enqueueDirectly(result.stray.event, in: queue, result: result)
        }
    }

    private func giveBackRoom(of result: PendingResult, _ isCommitted: Bool) {
        let size = result.stray.event.recordSize
        if let queue = result.reserved {
            countResults(-size, of: queue)
            queue.flow.pointee.reserved -= 1
            if queue.phase == .retired { freeIfIdle(queue) } else { noteRoom(queue) }
        } else if !isCommitted, let owed = unclaimedResults[result.subscription] {
            unclaimedResults[result.subscription] = owed - size
        }
    }
}

extension SettlingBatch.Kind {
    /// How an end is told to those who wait for it.
    func status(_ fault: Fault?) -> HandlerResult.Status {
        switch self {
        case .shed: .shed
        case .dead: fault?.kind == .rejected ? .rejected : .dead
        case .done, .checkpoint, .retry: .done
        }
    }
}
