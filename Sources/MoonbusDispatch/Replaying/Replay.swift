package import MoonbusEvents
internal import MoonbusJournal

/// What one plugin is to handle once more: recorded events of some types and times, with effects.
package struct ReplayOrder: Sendable, Hashable {
    /// The plugin that handles them.
    package var plugin: String
    /// Types to replay.
    package var pattern: EventPattern
    /// Only what happened then or later.
    package var from: Timestamp?
    /// Only what happened until then.
    package var to: Timestamp?

    /// Creates an order.
    package init(plugin: String, pattern: EventPattern, from: Timestamp? = nil, to: Timestamp? = nil) {
        self.plugin = plugin
        self.pattern = pattern
        self.from = from
        self.to = to
    }

    func includes(_ event: Event) -> Bool {
        if let from, event.time < from { return false }
        if let to, event.time > to { return false }
        return event.withUnsafeType { pattern.matches(typeBytes: $0) }
    }
}

/// The events of an order, as they are when the replay begins: what is recorded later is not replayed.
struct ReplayStretch: Sendable, Hashable {
    /// Position of the first event.
    var first: UInt64
    /// Position of the last event.
    var last: UInt64
    /// How many there are.
    var count: Int
}

/// How a replay is, at one moment.
package struct ReplayStatus: Sendable, Hashable {
    /// What a replay can be.
    package enum State: String, Sendable, Hashable {
        /// Its events are handled.
        case running
        /// Its plugin is not there, or switched off: it goes on when the plugin is back.
        case waiting
        /// All of its events have ended.
        case done
        /// It ended before its events did; ``ReplayStatus/reason`` says why.
        case ended
    }

    /// Its number, which no other replay of the journal has or had.
    package var number: UInt32
    /// What is replayed.
    package var order: ReplayOrder
    /// Position of the first event.
    package var first: UInt64
    /// Position of the last event.
    package var last: UInt64
    /// How many events it began with; each goes to all subscriptions of the plugin that match.
    package var count: Int
    /// The subscriptions that get the events, as the plugin calls them.
    package var subscriptions: [String]
    /// What it is.
    package var state: State
    /// Everything up to here has ended, except deliveries that failed and wait for another attempt.
    package var position: UInt64
    /// Deliveries that wait or run.
    package var owed = 0
    /// Deliveries that ended well, since the service was started.
    package var done: UInt64 = 0
    /// Deliveries that became dead letters.
    package var dead: UInt64 = 0
    /// Why it ended early.
    package var reason: String?
}

/// Why a replay was refused; nothing of it has happened.
package struct ReplayError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What a program may act on.
    package enum Code: String, Sendable, Hashable {
        /// There is no such plugin.
        case noPlugin
        /// The plugin is switched off, or has no subscription for such events.
        case notServed
        /// No such event is recorded.
        case noEvents
        /// There is no open replay of that number.
        case noReplay
        /// There are too many open replays.
        case full
        /// The journal refused, or the bus is stopped.
        case journal
    }

    /// What a program may act on.
    package let code: Code
    /// What happened, to what, and what to do.
    package let message: String

    init(_ code: Code, _ message: String) {
        (self.code, self.message) = (code, message)
    }

    init(_ error: JournalError) {
        self.init(.journal, error.message)
    }

    /// Code and message.
    package var description: String { "\(code.rawValue): \(message)" }
}

/// The name of a replay's subscription: `alerts.watch@replay-7`. The ids of what its handlers emit derive from it, so no other replay's are
/// the same, nor those of the subscription itself.
package struct ReplayName: Sendable, Hashable {
    /// The subscription whose handler it runs.
    package let original: String
    /// The replay's number.
    package let number: UInt32

    init(original: String, number: UInt32) {
        (self.original, self.number) = (original, number)
    }

    /// Takes a name apart; nil: it is not a replay's.
    package init?(_ name: String) {
        guard let at = name.lastIndex(of: "@") else { return nil }
        let rest = name[name.index(after: at)...]
        guard rest.hasPrefix("replay-"), let number = UInt32(rest.dropFirst(7)), "\(number)" == rest.dropFirst(7) else { return nil }
        self.init(original: String(name[..<at]), number: number)
    }

    package var text: String { "\(original)@replay-\(number)" }
}

/// One subscription of a replay.
struct ReplayPart: Sendable {
    let name: ReplayName
    let order: ReplayOrder
    let stretch: ReplayStretch
    /// Up to here the log was read for it.
    var read: UInt64 = 0
    /// A page of the log is on its way, or a turn in which to ask for one.
    var isReading = false
    /// Dead letters that it gets back in a moment: it does not end before.
    var holds = 0
    /// What had ended of it when it was taken up.
    var progress = Progress(floor: 0)
    /// Dead letters of it from before the service was started.
    var deadBefore: UInt64 = 0

    init(_ name: ReplayName, _ order: ReplayOrder, _ stretch: ReplayStretch) {
        (self.name, self.order, self.stretch) = (name, order, stretch)
    }

    /// What the bus is to serve, given how the plugin declares the original.
    func spec(like original: SubscriptionSpec) -> SubscriptionSpec {
        var spec = original
        spec.name = name.text
        return spec
    }

    // MARK: In the journal

    /// What the journal keeps as the subscription's cursor, so that a restarted service knows what it is for.
    ///
    ///     {"replay":7,"of":"alerts.watch","plugin":"alerts","type":"orders.>","from":µs,"to":µs,"first":12,"last":90,"count":41}
    var record: JSON {
        var object: JSONObject = [
            "replay": .integer(Int64(name.number)), "of": .string(name.original), "plugin": .string(order.plugin),
            "type": .string(order.pattern.text), "first": .integer(Int64(clamping: stretch.first)),
            "last": .integer(Int64(clamping: stretch.last)), "count": .integer(Int64(stretch.count)),
        ]
        object["from"] = order.from.map { .integer($0.microseconds) }
        object["to"] = order.to.map { .integer($0.microseconds) }
        return JSON(.object(object))
    }

    /// Reads a record; nil: the subscription is not a replay's.
    init?(_ known: KnownSubscription) {
        guard let name = ReplayName(known.name), let record = known.cursor?.value, record["of"]?.string == name.original,
            let plugin = record["plugin"]?.string, let pattern = record["type"]?.string.flatMap({ try? EventPattern($0) }),
            let first = record["first"]?.integer, let last = record["last"]?.integer, let count = record["count"]?.integer
        else { return nil }
        let order = ReplayOrder(
            plugin: plugin, pattern: pattern, from: record["from"]?.integer.map { Timestamp(microseconds: $0) },
            to: record["to"]?.integer.map { Timestamp(microseconds: $0) })
        let stretch = ReplayStretch(first: UInt64(max(1, first)), last: UInt64(max(1, last)), count: Int(clamping: count))
        self.init(name, order, stretch)
    }
}

/// The replays that a bus knows. Confined to the owner thread.
struct ReplayTable {
    /// Open replays at once. Each holds a page or two of events in memory, and keeps the log from being trimmed.
    static let openMax = 16
    /// Those that are over and still can be asked for.
    private static let overMax = 100

    /// An open one.
    struct Open {
        var order: ReplayOrder
        var stretch: ReplayStretch
        /// The originals of the parts that have not ended.
        var originals: Set<String>
        /// The originals of all parts that were known.
        var all: [String]
        /// Of parts that have ended.
        var done: UInt64 = 0
        var dead: UInt64 = 0
        var reason: String?
    }

    private(set) var open: [UInt32: Open] = [:]
    /// Parts that are in the journal and wait for their plugin.
    var dormant: [ReplayName: ReplayPart] = [:]
    /// Newest last.
    private(set) var over: [ReplayStatus] = []
    /// Replays on their way to being open.
    var beginning = 0
    /// Parts that are opened again for dead letters, and who waits for that.
    var reopening: [ReplayName: [@Sendable (Result<Void, JournalError>) -> Void]] = [:]

    mutating func add(_ part: ReplayPart) {
        var replay = open[part.name.number] ?? Open(order: part.order, stretch: part.stretch, originals: [], all: [])
        replay.originals.insert(part.name.original)
        if !replay.all.contains(part.name.original) { replay.all.append(part.name.original) }
        open[part.name.number] = replay
    }

    /// Notes the end of a part.
    ///
    /// - Parameter reason: why it ended early; nil: all of it has ended.
    /// - Returns: how the replay ended, if this was the last part.
    mutating func end(_ name: ReplayName, done: UInt64 = 0, dead: UInt64 = 0, because reason: String? = nil) -> ReplayStatus? {
        dormant[name] = nil
        guard var replay = open[name.number], replay.originals.remove(name.original) != nil else { return nil }
        replay.done += done
        replay.dead += dead
        if let reason { replay.reason = reason }
        guard replay.originals.isEmpty else {
            open[name.number] = replay
            return nil
        }
        open[name.number] = nil
        let status = ReplayStatus(
            number: name.number, order: replay.order, first: replay.stretch.first, last: replay.stretch.last, count: replay.stretch.count,
            subscriptions: replay.all, state: replay.reason == nil ? .done : .ended, position: replay.stretch.last, done: replay.done,
            dead: replay.dead, reason: replay.reason)
        over.removeAll { $0.number == name.number }
        over.append(status)
        if over.count > Self.overMax { over.removeFirst() }
        return status
    }

    /// Forgets one that never began.
    mutating func forget(_ number: UInt32) { open[number] = nil }
}
