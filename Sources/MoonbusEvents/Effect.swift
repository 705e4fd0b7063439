/// Something that a handler wants to happen: staged while it runs, committed together with the acknowledgement of its
/// event, or not at all.
public enum Effect: Sendable, Hashable {
    /// An event leaves.
    case emit(type: EventType, data: JSON?, options: EmitOptions)
    /// A key of the plugin's store was read in this version (0: it was absent); the commit conflicts if that has changed.
    case read(key: String, version: UInt64)
    /// A key of the plugin's store gets a value, until `expiry` if there is one. `version` names the write; nil: the bus draws one.
    case set(key: String, value: JSON, expiry: Timestamp?, version: UInt64? = nil)
    /// A key of the plugin's store goes away.
    case delete(key: String)
    /// A source got this far.
    case cursor(JSON)
}

/// What an emitted event has beyond its type and data.
public struct EmitOptions: Sendable, Hashable {
    /// What it is about; the default ordering key.
    public var subject: String?
    /// CloudEvents' `partitionkey`: events with the same key are handled in order.
    public var key: String?
    /// Its id; `nil`: derived from the delivery, so that a second run of the handler makes the same one.
    public var id: String?
    /// How much later it is to be delivered; the timer is in the journal.
    public var delay: Duration?
    /// When it is to be delivered; the timer is in the journal.
    public var at: Timestamp?
    /// Where it comes from; `nil`: `/plugins/<name>` for a plugin, `/moonbus` otherwise.
    public var source: String?

    /// Creates options.
    public init(
        subject: String? = nil, key: String? = nil, id: String? = nil, delay: Duration? = nil, at: Timestamp? = nil,
        source: String? = nil
    ) {
        self.subject = subject
        self.key = key
        self.id = id
        self.delay = delay
        self.at = at
        self.source = source
    }
}
