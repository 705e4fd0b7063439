internal import Logging
internal import MoonbusEvents
internal import MoonbusJournal

/// Subscriptions that come, change and go: always between two events.
extension Dispatcher {
    /// Makes `specs` the plugin's subscriptions.
    func replace(plugin: String, specs: [SubscriptionSpec], endpoint: any HandlerEndpoint) throws(SubscribeError) {
        try check(plugin: plugin, specs)
        stay(plugin: plugin)
        let entry = endpoints.entry(for: endpoint)
        let kept = Set(specs.map(\.name))
        var gone: [SubscriptionQueue] = []
        for queue in byPlugin[plugin] ?? [] where !kept.contains(queue.name) {
            if queue.replay != nil {
                follow(queue, specs, entry)
            } else {
                if queue.count > 0 {
                    logger.warning("'\(queue.name)' is not declared any more: \(queue.count) deliveries it was owed will not be handled")
                }
                gone.append(queue)
            }
        }
        retire(gone, inJournal: true)
        var fresh = takeUpReplays(of: plugin, specs, entry)
        for spec in specs {
            if let queue = names[spec.name], queue.spec.trigger.hasSameNature(as: spec.trigger) {
                change(queue, to: spec, entry)
            } else {
                if let queue = names[spec.name] { retire([queue], inJournal: false) }
                fresh.append(add(spec, entry))
            }
        }
        claim(fresh)
        if entry.isIdle { noteIdle(entry) }
    }

    /// Adds one subscription of a Swift handler.
    func add(plugin: String, spec: SubscriptionSpec, endpoint: any HandlerEndpoint) throws(SubscribeError) {
        guard isOpen else { throw SubscribeError(.stopped, "subscription '\(spec.name)': the bus is not running") }
        if names[spec.name] != nil {
            throw SubscribeError(.nameTaken, "subscription '\(spec.name)' exists already: unsubscribe it first, or choose another name")
        }
        try check(plugin: plugin, [spec])
        let entry = endpoints.entry(for: endpoint)
        claim(takeUpReplays(of: plugin, [spec], entry) + [add(spec, entry)])
    }

    func remove(plugin: String) {
        stay(plugin: plugin)
        endReplays(of: plugin, because: "its plugin was removed")
        retire(byPlugin[plugin] ?? [], inJournal: true)
    }

    private func check(plugin: String, _ specs: [SubscriptionSpec]) throws(SubscribeError) {
        var seen = Set<String>()
        for spec in specs {
            guard (1...255).contains(spec.name.utf8.count), !spec.name.utf8.contains(where: { $0 < 0x21 || $0 == 0x7F }) else {
                throw SubscribeError(
                    .badName, "subscription '\(spec.name)': a name has 1 to 255 bytes, without spaces and control characters")
            }
            guard ReplayName(spec.name) == nil else {
                throw SubscribeError(.badName, "subscription '\(spec.name)': names that end like this are those of replays: choose another")
            }
            guard seen.insert(spec.name).inserted else {
                throw SubscribeError(.badName, "subscription '\(spec.name)' is declared twice: give each a name of its own")
            }
            if let other = names[spec.name], other.spec.plugin != plugin {
                throw SubscribeError(.nameTaken, "subscription '\(spec.name)' belongs to '\(other.spec.plugin)'")
            }
        }
    }

    // MARK: One subscription

    /// - Parameter replay: of a subscription that belongs to one.
    func add(_ spec: SubscriptionSpec, _ entry: EndpointEntry?, replay: ReplayPart? = nil) -> SubscriptionQueue {
        let index = freeQueues.popLast() ?? UInt32(queues.count)
        queueOrder += 1
        let queue = SubscriptionQueue(index: index, order: queueOrder, spec: spec, sibling: byPlugin[spec.plugin]?.first)
        flows.add(queue.flow, at: index)
        queue.joined = lastPosition
        queue.replay = replay
        if Int(index) == queues.count { queues.append(queue) } else { queues[Int(index)] = queue }
        names[spec.name] = queue
        byPlugin[spec.plugin, default: []].append(queue)
        route(queue)
        serve(queue, by: entry)
        return queue
    }

    func change(_ queue: SubscriptionQueue, to spec: SubscriptionSpec, _ entry: EndpointEntry) {
        let hadDebounce = queue.spec.policy.debounce != nil
        leaveRouter(queue)
        // A source's run belongs to the code that started it: the new code starts its own when the old run has ended.
        if queue.clockwork?.isRunning == true { queue.clockwork?.isReplaced = true }
        cancelRuns(of: queue, reason: "the plugin was reloaded")
        if queue.spec.policy.key != spec.policy.key { forgetKeys(of: queue) }
        if spec.policy.throttle == nil { queue.throttling.removeAll(queue.throttleShare) }
        queue.spec = spec
        queue.failedCount = 0
        if spec.resultHandler == nil, queue.resultSize > 0 { dropResults(of: queue) }
        route(queue)
        // Before what is not in memory is read, nothing goes out.
        if queue.backlog != nil { queue.phase = .catchingUp }
        serve(queue, by: entry)
        comeBack(queue)
        if hadDebounce, spec.policy.debounce == nil { releaseDebounced(queue) }
        if queue.phase == .serving, queue.clockwork?.isRunning == false { startClockwork(queue, stored: queue.clockwork?.due) }
        armBatch(queue)
        noteRoom(queue)
    }

    func leaveRouter(_ queue: SubscriptionQueue) {
        if let route = queue.route { router.remove(route) }
        queue.route = nil
    }

    func route(_ queue: SubscriptionQueue) {
        // A replay has its end, and gets nothing that is recorded from now on.
        guard case .events(let pattern, let filter) = queue.spec.trigger, queue.replay == nil else { return }
        queue.route = router.insert(pattern, filter: filter, share: queue.filterShare, queue: queue.index)
    }

    /// Moves a queue to another endpoint, or to none.
    func serve(_ queue: SubscriptionQueue, by entry: EndpointEntry?) {
        if let old = queue.endpoint {
            if old === entry { return ready(queue) }
            if queue.flow.pointee.isReady { old.ready.removeAll { $0 == queue.index } }
            old.serving -= 1
            if old.isIdle { noteIdle(old) }
        }
        queue.flow.pointee.isReady = false
        queue.endpoint = entry
        entry?.serving += 1
        ready(queue)
    }

    /// Ends subscriptions: what they are owed and does not run yet is forgotten.
    ///
    /// - Parameter inJournal: false keeps their records there: subscriptions of the same names take their places.
    func retire(_ gone: [SubscriptionQueue], inJournal: Bool) {
        guard !gone.isEmpty else { return }
        for queue in gone { close(queue) }
        forgetOwed(to: gone)
        for queue in gone { refuseEmitters(of: queue) }
        if inJournal { journal.retire(gone.map(\.name)) { _ in } }
        for queue in gone { freeIfIdle(queue) }
    }

    private func close(_ queue: SubscriptionQueue) {
        leaveRouter(queue)
        stopClockwork(queue)
        serve(queue, by: nil)
        names[queue.name] = nil
        byPlugin[queue.spec.plugin]?.removeAll { $0 === queue }
        if byPlugin[queue.spec.plugin]?.isEmpty == true { byPlugin[queue.spec.plugin] = nil }
        queue.phase = .retired
        if queue.backlog != nil { away.removeAll { $0 === queue } }
        queue.flow.pointee.keys = KeyTable()
        queue.waiting.removeAll()
        queue.early.removeAll()
        queue.urgent.removeAll()
        queue.debouncing = Debouncing()
        queue.throttling.removeAll(queue.throttleShare)
        if let timer = queue.batchTimer { owner.cancel(timer) }
    }

    /// Looks once at everything that is owed to anybody, however many subscriptions go: a plugin may have a thousand, and be owed a million.
    private func forgetOwed(to gone: [SubscriptionQueue]) {
        let queues = Dictionary(uniqueKeysWithValues: gone.map { ($0.index, $0) })
        let theirs = owed.slots { queues[$0.pointee.queue] != nil }
        let members = Set(theirs.flatMap { owed[$0].pointee.extra?.members ?? [] })
        shed.removeAll { queues[owed[$0].pointee.queue] != nil }
        for slot in theirs where !members.contains(slot) {
            switch owed[slot].pointee.stage {
            case .queued, .held, .retrying: if let queue = queues[owed[slot].pointee.queue] { forget(slot, queue) }
            case .free, .flying, .settling: break
            }
        }
    }

    /// Drops a delivery of a subscription that is gone.
    func forget(_ slot: UInt32, _ queue: SubscriptionQueue) {
        let detail = SettlingBatch.Detail()
        detail.fault = Fault(.error, "subscription '\(queue.name)' was removed before it got to this event")
        owed[slot].pointee.holdsKey = false
        finish(slot, queue, .dead, detail)
    }

    func freeIfIdle(_ queue: SubscriptionQueue) {
        // Not before the last of what it was owed is forgotten: each delivery knows it by its index.
        guard queue.phase == .retired, queue.count == 0, queue.inFlight == 0, queue.flow.pointee.reserved == 0,
            queues[Int(queue.index)] === queue
        else { return }
        queues[Int(queue.index)] = nil
        flows.remove(at: queue.index)
        if let timer = queue.flightTimer { owner.cancel(timer) }
        freeQueues.append(queue.index)
    }
}

extension SubscriptionSpec.Trigger {
    /// True when a subscription can change from one to the other and stay itself.
    func hasSameNature(as other: SubscriptionSpec.Trigger) -> Bool {
        switch (self, other) {
        case (.events, .events), (.start, .start): true
        case (.every, .every), (.every, .cron), (.cron, .every), (.cron, .cron): true
        default: false
        }
    }
}
