public import MoonbusEvents
public import MoonbusJournal

/// How long an emitter waits.
public enum EmitStage: Sendable, Hashable {
    /// Until the journal has recorded the event.
    case recorded
    /// Until each subscription that matched the event is done with it.
    case settled
}

/// What became of one emitted event.
public struct Receipt: Sendable, Hashable {
    /// The event's id.
    public var id: String
    /// Its place in the journal; 0 for an ephemeral event, which has none.
    public var position: UInt64
    /// True when an event with the same source and id was recorded before: nobody gets it again.
    public var isDuplicate: Bool
    /// What the handlers answered, in the order in which the subscriptions were made. Empty unless the emitter waited for them.
    public var results: [HandlerResult]
    /// How many subscriptions that matched had not ended when the waiting was over.
    public var pending: Int

    /// True when the event's type is ephemeral: it was taken, and not recorded.
    public var isEphemeral: Bool { position == 0 }

    /// Creates a receipt.
    public init(id: String, position: UInt64, isDuplicate: Bool = false, results: [HandlerResult] = [], pending: Int = 0) {
        self.id = id
        self.position = position
        self.isDuplicate = isDuplicate
        self.results = results
        self.pending = pending
    }
}

/// How one subscription's delivery of an event ended.
public struct HandlerResult: Sendable, Hashable {
    /// How a delivery ends.
    public enum Status: String, Sendable, Hashable {
        /// Its handler returned, and its effects are committed.
        case done
        /// Its handler refused the event.
        case rejected
        /// All attempts failed.
        case dead
        /// A debounce or throttle policy skipped it.
        case shed
    }

    /// The subscription's durable name.
    public var subscription: String
    /// How it ended.
    public var status: Status
    /// What the handler returned; nil if it returned nothing or failed.
    public var result: JSON?
    /// Why it was rejected or died.
    public var error: Fault?
    /// How many runs it took, those lost with a lane not counted.
    public var attempts: Int

    /// Creates the result of one subscription.
    public init(subscription: String, status: Status, result: JSON? = nil, error: Fault? = nil, attempts: Int) {
        self.subscription = subscription
        self.status = status
        self.result = result
        self.error = error
        self.attempts = attempts
    }
}

/// What became of a batch whose emitter only wants to know how much was recorded.
package struct SubmittedCount: Sendable, Hashable {
    /// Events that are new; ephemeral ones count, though they are not in the journal.
    package var recorded: Int
    /// Events that were there already.
    package var duplicates: Int
}
