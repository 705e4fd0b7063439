import Glibc
internal import MoonbusEvents

/// Who is owed an event: patterns by the trie, then each candidate's filter. Confined to the owner thread.
final class Router {
    /// Events of a batch that follow one another, and a queue that is owed them.
    struct Match {
        var events: Range<Int> { Int(first)..<Int(first) + count }
        var count: Int { Int(length) }
        let queue: UInt32
        fileprivate let first: UInt32
        fileprivate let length: UInt32
    }

    /// A subscription's place in the router.
    struct Route {
        fileprivate let token: SubscriptionTrie<UInt32>.Token
        fileprivate let queue: UInt32
    }

    private struct Test {
        let filter: Filter
        let share: FilterShare
    }

    private var trie = SubscriptionTrie<UInt32>()
    /// By queue; only subscriptions with a filter are in it.
    private var filters: [UInt32: Test] = [:]
    private var moment = FilterMoment(turn: 1)
    /// Queues of the run of events that is looked at, and of the event after it.
    private var found: (run: [UInt32], next: [UInt32]) = ([], [])
    /// Changes with each subscription that comes or goes: what was matched under another generation may be out of date.
    private(set) var generation: UInt64 = 0

    /// - Parameter share: what the filter may cost.
    func insert(_ pattern: EventPattern, filter: Filter?, share: FilterShare, queue: UInt32) -> Route {
        generation += 1
        filters[queue] = filter.map { Test(filter: $0, share: share) }
        return Route(token: trie.insert(pattern, queue), queue: queue)
    }

    func remove(_ route: Route) {
        generation += 1
        filters[route.queue] = nil
        trie.remove(route.token)
    }

    /// Appends what each queue is owed: for each run of events that the same queues are owed, one match a queue.
    ///
    /// Events come in runs of one type, and whoever handles them then finds those of one queue side by side.
    ///
    /// - Parameter untested: told each event that a queue's filter could not be tested on within its share. It is taken for a match: an event
    ///   too many is one that the handler can look at, an event too few is one that is lost.
    func match(_ events: [Event], into matches: inout ContiguousArray<Match>, untested: (UInt32, Event) -> Void) {
        Self.match(events, &trie, filters, &moment, &found, into: &matches, untested)
    }

    /// Gives all filters their steps again.
    func endTurn() {
        moment.turn &+= 1
    }

    /// The moment of one event that is tested outside the router.
    func nextMoment() -> FilterMoment {
        moment.event &+= 1
        return moment
    }

    /// One access to each variable for the whole batch, instead of an exclusivity check for each event.
    private static func match(
        _ events: [Event], _ trie: inout SubscriptionTrie<UInt32>, _ filters: [UInt32: Test], _ moment: inout FilterMoment,
        _ found: inout (run: [UInt32], next: [UInt32]), into matches: inout ContiguousArray<Match>, _ untested: (UInt32, Event) -> Void
    ) {
        var first = 0
        func endRun(at end: Int, _ queues: [UInt32]) {
            for queue in queues { matches.append(Match(queue: queue, first: UInt32(first), length: UInt32(end - first))) }
            first = end
        }
        found.run.removeAll(keepingCapacity: true)
        // Through a pointer: an element that is taken out of an array is retained.
        events.withUnsafeBufferPointer { events in
            for index in events.indices {
                if filters.isEmpty, index > 0, events[index].hasType(of: events[index - 1]) { continue }
                found.next.removeAll(keepingCapacity: true)
                events[index].withUnsafeType { trie.match($0, into: &found.next) }
                if !filters.isEmpty {
                    moment.event &+= 1
                    found.next.removeAll { queue in
                        guard let test = filters[queue] else { return false }
                        guard let isMatch = test.share.matches(test.filter, events[index], at: moment) else {
                            untested(queue, events[index])
                            return false
                        }
                        return !isMatch
                    }
                }
                guard found.next != found.run else { continue }
                endRun(at: index, found.run)
                swap(&found.run, &found.next)
            }
        }
        endRun(at: events.count, found.run)
    }
}

extension Event {
    @inline(__always)
    fileprivate func hasType(of other: Event) -> Bool {
        withUnsafeType { type in
            other.withUnsafeType { other in
                guard type.count == other.count, let one = type.baseAddress, let another = other.baseAddress else { return false }
                return memcmp(one, another, type.count) == 0
            }
        }
    }
}
