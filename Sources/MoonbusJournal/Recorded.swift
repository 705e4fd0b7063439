public import MoonbusEvents

/// Where an event is in the journal.
public struct Recorded: Sendable, Hashable {
    /// The event's place in the one order of all events. Positions start at 1 and rise, not always by one; they are never used again.
    public var position: UInt64
    /// True when an event with the same source and id was there already: `position` is then that one's, and nothing was added.
    public var isDuplicate: Bool

    /// Creates the answer for one event.
    public init(position: UInt64, isDuplicate: Bool = false) {
        self.position = position
        self.isDuplicate = isDuplicate
    }
}

/// An event with its place, as it is read back.
public struct RecordedEvent: Sendable, Hashable {
    /// The event's place in the one order of all events.
    public var position: UInt64
    /// The event.
    public var event: Event

    /// Pairs an event with its place.
    public init(position: UInt64, event: Event) {
        self.position = position
        self.event = event
    }
}

/// An event that is to be recorded later.
public struct DelayedEvent: Sendable, Hashable {
    /// The event, complete but without a position.
    public var event: Event
    /// When it is to be appended.
    public var due: Timestamp

    /// Pairs an event with the time when it is to be appended.
    public init(event: Event, due: Timestamp) {
        self.event = event.detached
        self.due = due
    }
}
