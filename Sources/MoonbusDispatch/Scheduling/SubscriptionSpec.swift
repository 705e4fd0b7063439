package import MoonbusEvents

/// One subscription as a plugin declares it: what the bus needs to know, and nothing about how it is run.
package struct SubscriptionSpec: Sendable {
    /// What a delivery comes from.
    package enum Trigger: Sendable {
        /// Events that match.
        case events(EventPattern, Filter?)
        /// The clock, that often.
        case every(Duration)
        /// The clock, on a schedule.
        case cron(CronSchedule)
        /// The subscription's own being there: one delivery, started again with backoff when it ends.
        case start
    }

    /// What the handler's function is called with.
    package enum Argument: UInt16, Sendable, Hashable {
        /// The event.
        case event = 0
        /// An array of events.
        case events = 1
        /// The event's data only.
        case data = 2
    }

    /// Durable name, "plugin.subscription": what ties it to its position over restarts and reloads.
    package var name: String
    /// The plugin: whose state it reads and writes.
    package var plugin: String
    /// What a delivery comes from.
    package var trigger: Trigger
    /// Opaque to the bus: which function the endpoint is to call.
    package var handler: Int32
    /// The function that gets what the handlers of an emitted event answered; nil: nobody asks.
    package var resultHandler: Int32?
    /// Order, bounds and retries.
    package var policy: SubscriptionPolicy
    /// What the function is called with.
    package var argument: Argument
    /// True for a poller: its deliveries' data is the cursor that was committed last, and its outcome may bring a new one.
    package var hasCursor: Bool
    /// What becomes of ticks that nobody could run when their time came.
    package var missed: MissedTicks
    /// Bytes of state that the plugin may hold; nil: it is none, and has no share of anything, only the bounds of all.
    package var stateSizeMax: Int?

    /// Creates a declaration.
    package init(
        name: String, plugin: String, trigger: Trigger, handler: Int32, resultHandler: Int32? = nil, policy: SubscriptionPolicy = .init(),
        argument: Argument = .event, hasCursor: Bool = false, missed: MissedTicks = .once, stateSizeMax: Int? = nil
    ) {
        self.name = name
        self.plugin = plugin
        self.trigger = trigger
        self.handler = handler
        self.resultHandler = resultHandler
        self.policy = policy
        self.argument = argument
        self.hasCursor = hasCursor
        self.missed = missed
        self.stateSizeMax = stateSizeMax
    }
}
