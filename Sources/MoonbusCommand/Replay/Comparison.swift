import MoonbusEvents
import MoonbusJournal

/// What a plugin emitted when it first handled events, beside what it emits now.
///
/// Ids tell which emit is which: they derive from the event, the subscription and the order of emits, so they are the same each time.
struct Comparison {
    enum Verdict: Equatable {
        case same
        /// With the first one.
        case changed(Event)
        case new

        var word: String {
            switch self {
            case .same: "same"
            case .changed: "changed"
            case .new: "new"
            }
        }
    }

    /// By id.
    private var first: [String: Event] = [:]
    private var seen: Set<String> = []

    /// Notes an event that was recorded, if it is an answer of the plugin to one of `causes`.
    mutating func note(_ event: Event, of plugin: String, causes: Set<String>) {
        guard let cause = event.causeid, causes.contains(cause), event.source == "/plugins/\(plugin)" else { return }
        first[event.id] = event
    }

    mutating func verdict(on event: Event) -> Verdict {
        guard let before = first[event.id] else { return .new }
        seen.insert(event.id)
        let isSame =
            before.typeText == event.typeText && before.subject == event.subject && before.data?.value == event.data?.value
        return isSame ? .same : .changed(before)
    }

    /// What was emitted in answer to an event then, and not now; ask once ``verdict(on:)`` has seen everything that is emitted now.
    func missing(for cause: Event) -> [Event] {
        first.values.filter { $0.causeid == cause.id && !seen.contains($0.id) }.sorted { $0.id < $1.id }
    }
}
