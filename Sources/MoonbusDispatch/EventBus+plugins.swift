package import MoonbusEvents
package import MoonbusJournal

/// What the host of plugins calls. All of it on the owner thread.
extension EventBus {
    /// Makes `specs` the plugin's subscriptions: one atomic switch between two events.
    ///
    /// A name that was there keeps its position, its queue and its timers; what runs at the old endpoint settles there. A name that is gone is
    /// retired: what it was owed is forgotten. A new name starts at the end of the log, or where the journal knows it to be.
    ///
    /// - Throws: ``SubscribeError`` `.badName` or `.nameTaken` (by another plugin); nothing has changed then.
    package func replace(plugin: String, specs: [SubscriptionSpec], endpoint: any HandlerEndpoint) throws(SubscribeError) {
        assert(owner.isCurrent)
        try dispatcher.replace(plugin: plugin, specs: specs, endpoint: endpoint)
    }

    /// Retires all subscriptions of a plugin. What runs may finish; its settlements still commit.
    package func remove(plugin: String) {
        assert(owner.isCurrent)
        dispatcher.remove(plugin: plugin)
    }

    /// Stops serving a plugin but keeps what it is owed: events that come meanwhile stay in the journal, and no emitter is refused or waits
    /// because of it. ``replace(plugin:specs:endpoint:)`` reads them.
    package func suspend(plugin: String) {
        assert(owner.isCurrent)
        dispatcher.suspend(plugin: plugin)
    }

    /// As ``suspend(plugin:)`` for a plugin whose files are gone: it is removed unless ``replace(plugin:specs:endpoint:)`` brings it back within
    /// `limit`, or earlier, when the journal is full.
    package func depart(plugin: String, keptFor limit: Duration) {
        assert(owner.isCurrent)
        dispatcher.depart(plugin: plugin, keptFor: limit)
    }

    /// A departed plugin's files are there again, if they can be loaded or not: what it is owed is kept until it is removed.
    package func stay(plugin: String) {
        assert(owner.isCurrent)
        dispatcher.stay(plugin: plugin)
    }

    /// Takes outcomes. One call for many is cheaper than many calls.
    package func settle(_ outcomes: [Outcome]) {
        assert(owner.isCurrent)
        dispatcher.settle(outcomes)
    }

    /// Takes deliveries whose handlers returned nothing and want nothing: the cheapest way to settle.
    package func settle(done deliveries: [UInt64]) {
        assert(owner.isCurrent)
        dispatcher.settle(done: deliveries)
    }

    /// Commits what a delivery that goes on running wants by now. Unknown deliveries are ignored.
    package func checkpoint(_ delivery: UInt64, effects: [Effect]) {
        assert(owner.isCurrent)
        dispatcher.checkpoint(delivery, effects)
    }

    /// True while events of the delivery's checkpoints have no room, or are too many for the journal: it emits faster than they are taken, and
    /// must wait, too.
    package func awaitsRoom(_ delivery: UInt64) -> Bool {
        assert(owner.isCurrent)
        return dispatcher.awaitsRoom(delivery)
    }

    /// Calls `work`, on the owner thread, once the delivery's checkpoints are committed; never if it ends before. Only for one that
    /// ``awaitsRoom(_:)``.
    ///
    /// - Parameter size: bytes that `work` keeps until then.
    /// - Returns: false if the plugin keeps 64 MiB so already: `work` is never called then.
    package func whenRoom(for delivery: UInt64, size: Int, _ work: @escaping () -> Void) -> Bool {
        assert(owner.isCurrent)
        return dispatcher.whenRoom(for: delivery, size: size, work)
    }

    /// Says that ``HandlerEndpoint/room`` has risen for another reason than a settlement.
    package func endpointHasRoom(_ endpoint: any HandlerEndpoint) {
        assert(owner.isCurrent)
        dispatcher.endpointHasRoom(endpoint)
    }

    /// Takes back all deliveries that an endpoint has: they are due again, this run counted as no attempt. Outcomes that still come for
    /// them are ignored.
    package func reclaim(_ endpoint: any HandlerEndpoint) {
        assert(owner.isCurrent)
        dispatcher.reclaim(endpoint)
    }

    /// The event of a delivery that has not ended; of a batch, the first one.
    package func event(of delivery: UInt64) -> Event? {
        assert(owner.isCurrent)
        return dispatcher.event(of: delivery)
    }

    /// How many deliveries an endpoint has now.
    package func inFlight(_ endpoint: any HandlerEndpoint) -> Int {
        assert(owner.isCurrent)
        return dispatcher.inFlight(endpoint)
    }

    /// Calls back, once, when an endpoint that serves no subscription any more has no deliveries left; at the end of this turn at the
    /// earliest. Until then the bus keeps the endpoint alive.
    package func whenDrained(_ endpoint: any HandlerEndpoint, _ drained: @escaping () -> Void) {
        assert(owner.isCurrent)
        dispatcher.whenDrained(endpoint, drained)
    }

    /// Reads one value of a plugin's state; nil: absent. The completion runs on the owner thread, perhaps at once.
    package func state(plugin: String, key: String, completion: @escaping @Sendable (Result<StateEntry?, JournalError>) -> Void) {
        assert(owner.isCurrent)
        dispatcher.state(plugin: plugin, key: key, completion: completion)
    }

    /// Reads the values whose key starts with `prefix`, in bytewise key order. The completion runs on the owner thread, perhaps at once.
    package func scan(
        plugin: String, prefix: String, after: String? = nil, limit: Int = 1_000,
        completion: @escaping @Sendable (Result<[StateEntry], JournalError>) -> Void
    ) {
        assert(owner.isCurrent)
        dispatcher.scan(plugin: plugin, prefix: prefix, after: after, limit: limit, completion: completion)
    }

    /// Calls `changed` after each commit that wrote state, and at each conflict before the handler runs again, on the owner thread: the
    /// place to tell lanes that their copies are out of date.
    package func onStateChange(_ changed: @escaping (_ plugin: String, _ news: StateNews) -> Void) {
        dispatcher.stateChanged = changed
    }
}

/// What is told about a plugin's state.
package enum StateNews: Sendable {
    /// These writes are committed, in this order.
    case committed([StateWrite])
    /// These writes are committed, and no context of the plugin made them: an operator did.
    case edited([StateWrite])
    /// A delivery met a conflict. These versions that it had read are not true any more, or never were; and those that it wrote are not,
    /// and won't be, because it draws others when it runs again.
    case refuted([StateRead])
}
