import CLuaShim

/// Deliveries: run, wait, go on, end.
extension LaneWorker {
    /// Runs every delivery of the frame that `events` points into. Allocates nothing for one that neither waits nor touches the store.
    func deliver(_ events: EventTable) throws(End) {
        guard let start = events.deliveries.baseAddress else { return }
        var offset = 0
        while offset < events.deliveries.count {
            // Frames and records are 8-byte aligned in the reader's memory, see `Frame`.
            let delivery = UnsafeRawPointer(start + offset).assumingMemoryBound(to: moonbus_delivery.self)
            offset += DeliveryRecord.size
            deliver(delivery, events.records(from: delivery.pointee.event_index))
            try output.flushIfDue()
        }
    }

    @inline(__always)
    private func deliver(_ delivery: UnsafePointer<moonbus_delivery>, _ records: UnsafePointer<UnsafePointer<UInt8>?>) {
        guard let handle = contexts.unmanaged(delivery.pointee.context) else { return lose(delivery.pointee) }
        let end = handle._withUnsafeGuaranteedRef { context -> moonbus_status? in
            guard let state = context.state else { return MOONBUS_STALE }
            context.delivery = delivery
            let status = moonbus_context_deliver(state, delivery, records)
            context.delivery = nil
            return status == MOONBUS_DONE && context.task == nil ? nil : status
        }
        // Retained from here on: a context that was cut may leave the table.
        if let end { finish(handle.takeUnretainedValue(), delivery.pointee.delivery, end) }
    }

    /// Without its context a delivery is due again: it is no fault of its own.
    @inline(never)
    private func lose(_ delivery: moonbus_delivery) {
        output.sealOutcomes()
        output.frames.appendLost(context: delivery.context, deliveries: CollectionOfOne(delivery.delivery))
    }

    // MARK: Waiting

    /// Goes on with a script that waited for the host's answer.
    func reply(to call: UInt64, isOK: Bool, content: UnsafeRawBufferPointer) {
        // Without an entry nobody waits any more: the delivery was cancelled, or lost with its context.
        guard let pending = calls.removeValue(forKey: call), let context = contexts[pending.context], let state = context.state,
            let task = context.waiting.removeValue(forKey: pending.task)
        else { return }
        task.call = 0
        scratch.removeAll()
        let answer = isOK ? pending.answer(content, context, task) : .raise(String(decoding: content, as: UTF8.self))
        let (records, count) = output.outcomes
        let status = running(context, task) {
            answer.withValues(scratch) { isOK, values, count in moonbus_context_resume(state, pending.task, isOK, values, count) }
        }
        if status == MOONBUS_DONE, !task.deferred.isEmpty {
            output.prepend(effects: task.deferred, toRecordAt: (records.count, count))
        }
        finish(context, pending.task, status)
    }

    /// Ends a delivery that waits; its outcome says `cancelled`. One that does not wait has had its outcome.
    func cancel(_ delivery: UInt64, in identifier: UInt32, reason: String) {
        guard let context = contexts[identifier], let state = context.state, let task = context.waiting.removeValue(forKey: delivery) else {
            return
        }
        calls[task.call] = nil
        task.call = 0
        let status = running(context, task) { moonbus_context_cancel(state, delivery, reason) }
        finish(context, delivery, status)
    }

    private func running(_ context: LaneContext, _ task: TaskState, _ body: () -> moonbus_status) -> moonbus_status {
        withUnsafePointer(to: task.delivery) { delivery in
            context.delivery = delivery
            context.task = task
            defer { context.delivery = nil }
            return body()
        }
    }

    // MARK: After a run

    /// Keeps, applies or drops what the run has left.
    @inline(never)
    private func finish(_ context: LaneContext, _ delivery: UInt64, _ status: moonbus_status) {
        let task = context.task
        context.task = nil
        if let task, status == MOONBUS_WAITING {
            context.waiting[delivery] = task
            // Whatever ended before, and the source's checkpoint, comes before the call.
            output.sealOutcomes()
            output.frames.append(bytes: calling.bytes)
            calling.removeAll()
            return
        }
        if let task { forgetCall(of: task) }
        switch status {
        case MOONBUS_DONE: task?.kv.apply(to: &context.kv, now: task?.delivery.now_us ?? 0)
        case MOONBUS_KILLED: rebuild(context)
        case MOONBUS_STALE:
            output.sealOutcomes()
            output.frames.appendLost(context: context.identifier, deliveries: CollectionOfOne(delivery))
        default: break
        }
    }

    /// Drops a call that was begun and not sent: the script could not wait where it was.
    func forgetCall(of task: TaskState) {
        guard task.call != 0 else { return }
        calls[task.call] = nil
        task.call = 0
        calling.removeAll()
    }
}
