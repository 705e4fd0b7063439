internal import MoonbusEvents

/// Batch, debounce and throttle: what happens to an event before it waits for its turn.
extension Dispatcher {
    func enqueueByPolicy(_ slot: UInt32, _ queue: SubscriptionQueue) {
        if case .path(let path) = queue.spec.policy.key, owed[slot].pointee.key == 0, let event = owed[slot].pointee.event {
            let key = pathKeys.key(at: path, of: event)
            owed[slot].pointee.key = key == 0 ? Owed.noKey : key
        }
        guard queue.phase == .serving else {
            queue.waiting.append(slot)
            return
        }
        let policy = queue.spec.policy
        if let interval = policy.throttle, !passes(slot, queue, interval) {
            shed.append(slot)
        } else if let quiet = policy.debounce {
            debounce(slot, queue, quiet)
        } else {
            wait(slot, queue)
        }
    }

    private func passes(_ slot: UInt32, _ queue: SubscriptionQueue, _ interval: Duration) -> Bool {
        queue.throttling.passes(key(of: slot, queue), now: now(), interval: interval.wholeNanoseconds, queue.throttleShare)
    }

    private func wait(_ slot: UInt32, _ queue: SubscriptionQueue) {
        owed[slot].pointee.stage = .queued
        owed[slot].pointee.started = now()
        // What was held back is older than all that is read and gathered while its subscription comes back.
        guard queue.phase == .serving else {
            queue.early.append(slot)
            return
        }
        queue.waiting.append(slot)
        armBatch(queue)
        ready(queue)
    }

    // MARK: Batches

    /// Makes sure that what waits goes out when the time of its first event is over.
    func armBatch(_ queue: SubscriptionQueue) {
        guard let batch = queue.spec.policy.batch, queue.batchTimer == nil, !queue.flow.pointee.isBatchOver,
            let first = queue.waiting.first
        else { return }
        let waited = Duration.nanoseconds(now() - owed[first].pointee.started)
        queue.batchTimer = owner.timer(after: batch.within - waited) { [unowned self] in
            queue.batchTimer = nil
            queue.flow.pointee.isBatchOver = !queue.waiting.isEmpty
            ready(queue)
        }
    }

    // MARK: Debounce

    private func debounce(_ slot: UInt32, _ queue: SubscriptionQueue, _ quiet: Duration) {
        let key = key(of: slot, queue)
        let due = now() + quiet.wholeNanoseconds
        owed[slot].pointee.stage = .held
        if let before = queue.debouncing.pending.updateValue(.init(slot: slot, due: due), forKey: key) {
            shed.append(before.slot)
        } else {
            armDebounce(key, queue, after: quiet)
        }
    }

    /// One timer for each key that is not quiet: when it fires too early, because more events came, it is set again.
    private func armDebounce(_ key: UInt64, _ queue: SubscriptionQueue, after delay: Duration) {
        _ = owner.timer(after: delay) { [unowned self] in
            guard let pending = queue.debouncing.pending[key] else { return }
            let rest = pending.due - now()
            if rest > 0 { return armDebounce(key, queue, after: .nanoseconds(rest)) }
            queue.debouncing.pending[key] = nil
            wait(pending.slot, queue)
        }
    }

    /// Lets go what a debounce policy holds back: the policy is gone.
    func releaseDebounced(_ queue: SubscriptionQueue) {
        let slots = queue.debouncing.pending.values.map(\.slot).sorted { owed[$0].pointee.position < owed[$1].pointee.position }
        queue.debouncing.pending = [:]
        for slot in slots { wait(slot, queue) }
    }

    private func key(of slot: UInt32, _ queue: SubscriptionQueue) -> UInt64 {
        guard let event = owed[slot].pointee.event else { return 0 }
        let key = owed[slot].pointee.key
        if key != 0 { return key == Owed.noKey ? 0 : key }
        return queue.spec.policy.key.hash(of: event, hash)
    }

    /// Forgets what the keys were of all that waits: the subscription has another one now.
    func forgetKeys(of queue: SubscriptionQueue) {
        let held = queue.debouncing.pending.values.map(\.slot)
        for slots in [Array(queue.waiting), Array(queue.early), held] {
            for slot in slots { owed[slot].pointee.key = 0 }
        }
    }

    /// Nanoseconds on the owner's monotonic clock.
    func now() -> Int64 {
        owner.clock.monotonic().wholeNanoseconds
    }
}
