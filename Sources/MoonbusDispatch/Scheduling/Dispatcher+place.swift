internal import MoonbusEvents
internal import MoonbusJournal

/// From recorded events to the queues of those who are owed them.
extension Dispatcher {
    /// Puts freshly recorded events into the queues that they matched.
    ///
    /// - Parameters:
    ///   - matches: with a place reserved for each of their events.
    ///   - generation: the router's, when they were matched: if subscriptions have come or gone since, it is done again, without regard to room.
    /// - Returns: how many of the events were duplicates: nobody gets them again.
    func place(
        _ events: [Event], _ recorded: [Recorded], _ matches: ContiguousArray<Router.Match>, generation: UInt64, ask: Ask?
    ) -> Int {
        precondition(recorded.count == events.count, "a journal answers for each event")
        var matches = matches
        release(matches[...])
        if generation != router.generation { match(events, into: &matches) }
        // Through pointers: an element that is taken out of an array is retained and checked.
        return events.withUnsafeBufferPointer { events in
            recorded.withUnsafeBufferPointer { recorded in
                matches.withUnsafeBufferPointer { matches in
                    let sources = resultSources(of: events)
                    for match in matches { enqueue(events, recorded, match, ask, sources) }
                    return note(events, recorded, matches)
                }
            }
        }
    }

    /// Queue by queue, not event by event: deliveries that are handed out together then lie together in memory.
    private func enqueue(
        _ events: UnsafeBufferPointer<Event>, _ recorded: UnsafeBufferPointer<Recorded>, _ match: Router.Match, _ ask: Ask?,
        _ resultSources: [String?]
    ) {
        let flow = flows[match.queue]
        for index in match.events where !recorded[index].isDuplicate {
            let position = recorded[index].position
            let slot = owed.take()
            let entry = owed[slot]
            entry.pointee.event = events[index]
            entry.pointee.position = position
            entry.pointee.after = flow.pointee.last
            entry.pointee.queue = match.queue
            entry.pointee.stage = .queued
            if position > 0 { flow.pointee.last = position }
            flow.pointee.count += 1
            flow.hold(events[index], in: entry)
            if let ask {
                let extra = Owed.Extra()
                extra.ask = ask
                extra.askIndex = index
                entry.pointee.extra = extra
                ask.expect(index)
            }
            if !resultSources.isEmpty, let source = resultSources[index] { extra(of: slot).resultSource = source }
            if flow.pointee.isPlain {
                flow.pointee.waiting.append(slot)
            } else if let queue = queues[Int(match.queue)] {
                enqueueByPolicy(slot, queue)
            }
        }
        if flow.pointee.isPlain, !flow.pointee.isReady { ready(match.queue) }
    }

    /// Counts what was recorded, and shows it to those who look on.
    ///
    /// - Returns: how many were duplicates.
    private func note(
        _ events: UnsafeBufferPointer<Event>, _ recorded: UnsafeBufferPointer<Recorded>, _ matches: UnsafeBufferPointer<Router.Match>
    ) -> Int {
        var duplicates = 0
        var ephemeral = 0
        var next = 0
        var last = lastPosition
        let hasTaps = !taps.isEmpty
        for index in events.indices {
            while next < matches.count, matches[next].events.upperBound <= index { next += 1 }
            if recorded[index].isDuplicate {
                duplicates += 1
                continue
            }
            if recorded[index].position > 0 { last = recorded[index].position } else { ephemeral += 1 }
            if next == matches.count || index < matches[next].events.lowerBound, away.isEmpty || awayCount(for: events[index]) == 0 {
                counts.unmatched &+= 1
                unmatched.note(events[index], typesMax: configuration.unmatchedTypesMax)
            }
            if hasTaps { show(events[index]) }
        }
        lastPosition = last
        counts.recorded &+= UInt64(events.count - duplicates - ephemeral)
        counts.ephemeral &+= UInt64(ephemeral)
        counts.duplicates &+= UInt64(duplicates)
        recordedSinceTrim += events.count
        return duplicates
    }

    /// Gives an event that is in no log (a tick, a result, a source's start) to its subscription.
    ///
    /// - Parameter result: what it is, if it is a result.
    func enqueueDirectly(_ event: Event, in queue: SubscriptionQueue, result: PendingResult? = nil) {
        let slot = owed.take()
        owed[slot].pointee.event = event
        owed[slot].pointee.queue = queue.index
        owed[slot].pointee.stage = .queued
        if let result {
            owed[slot].pointee.isResult = true
            owed[slot].pointee.isStray = result.isDurable
            extra(of: slot).strayPosition = result.stray.position
            countResults(event.recordSize, of: queue)
        }
        queue.count += 1
        queue.urgent.append(slot)
        ready(queue)
    }

    /// Gives a queue a turn at its endpoint, if it has something to take.
    @inline(__always)
    func ready(_ index: UInt32) {
        let flow = flows[index]
        guard !flow.pointee.isReady, flow.pointee.isTakable, let entry = queues[Int(index)]?.endpoint else { return }
        flow.pointee.isReady = true
        entry.ready.append(index)
        endpoints.mark(entry)
    }

    @inline(__always)
    func ready(_ queue: SubscriptionQueue) {
        ready(queue.index)
    }
}
