internal import MoonbusEvents

/// Who is owed an event: patterns by the trie, then each candidate's filter. Confined to the owner thread.
final class Router {
    /// An event of a batch, and a queue that is owed it.
    struct Match {
        var event: UInt32
        var queue: UInt32
    }

    /// A subscription's place in the router.
    struct Route {
        fileprivate let token: SubscriptionTrie<UInt32>.Token
        fileprivate let queue: UInt32
    }

    private var trie = SubscriptionTrie<UInt32>()
    /// By queue; only subscriptions with a filter are in it.
    private var filters: [UInt32: Filter] = [:]
    private var found: [UInt32] = []
    /// Changes with each subscription that comes or goes: what was matched under another generation may be out of date.
    private(set) var generation: UInt64 = 0

    func insert(_ pattern: EventPattern, filter: Filter?, queue: UInt32) -> Route {
        generation += 1
        filters[queue] = filter
        return Route(token: trie.insert(pattern, queue), queue: queue)
    }

    func remove(_ route: Route) {
        generation += 1
        filters[route.queue] = nil
        trie.remove(route.token)
    }

    /// Appends one match for each queue that is owed an event, by event.
    func match(_ events: [Event], into matches: inout ContiguousArray<Match>) {
        Self.match(events, &trie, filters, &found, into: &matches)
    }

    /// One access to each variable for the whole batch, instead of an exclusivity check for each event.
    private static func match(
        _ events: [Event], _ trie: inout SubscriptionTrie<UInt32>, _ filters: [UInt32: Filter], _ found: inout [UInt32],
        into matches: inout ContiguousArray<Match>
    ) {
        // Through a pointer: an element that is taken out of an array is retained.
        events.withUnsafeBufferPointer { events in
            for index in events.indices {
                found.removeAll(keepingCapacity: true)
                events[index].withUnsafeType { trie.match($0, into: &found) }
                for queue in found {
                    if !filters.isEmpty, let filter = filters[queue], !filter.matches(events[index]) { continue }
                    matches.append(Match(event: UInt32(truncatingIfNeeded: index), queue: queue))
                }
            }
        }
    }
}
