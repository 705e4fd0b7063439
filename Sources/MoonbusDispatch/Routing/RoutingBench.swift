internal import Glibc
internal import MoonbusEvents

/// The workload of `moonbus bench match`: types against many patterns, matching only, on the calling thread.
///
/// The patterns, by i mod 20: 0…9 `orders.c<i>.created`, 10…15 `orders.c<i>.*`, 16…18 `orders.c<i>.>`, 19
/// `*.c<i>.created`; two more match everything: `orders.*.created` and `orders.>`. The types are
/// `orders.c<j>.created`, j = 7919 k mod N; each matches exactly three of the patterns.
package enum RoutingBench {
    /// Matches `events` types and returns how many matches (events, not subscriptions) that were and the CPU seconds that they took.
    ///
    /// - Parameters:
    ///   - subscriptions: N, at least 10.
    ///   - hot: 64 distinct types instead of N.
    ///   - cached: whether results are remembered, as the bus does.
    package static func run(subscriptions: Int, events: Int, hot: Bool, cached: Bool = true) -> (matches: Int, seconds: Double) {
        var trie = trie(subscriptions: subscriptions, cached: cached)
        let distinct = hot ? min(64, subscriptions) : subscriptions
        let types = TypeTexts((0..<distinct).map { "orders.c\($0 * 7_919 % subscriptions).created" })
        var values: [Int32] = []
        values.reserveCapacity(16)
        var found = 0
        var next = 0
        let start = cpuSeconds()
        for _ in 0..<events {
            values.removeAll(keepingCapacity: true)
            trie.match(types[next], into: &values)
            found += values.count
            next += 1
            if next == distinct { next = 0 }
        }
        let elapsed = cpuSeconds() - start
        precondition(found == events * 3, "each type of the workload matches three patterns, not \(Double(found) / Double(events))")
        return (events, elapsed)
    }

    /// Inserts the workload's patterns; returns how long one took on average, and the bytes that the trie holds per pattern.
    package static func insert(subscriptions: Int) -> (secondsEach: Double, bytesEach: Double) {
        let start = cpuSeconds()
        let trie = trie(subscriptions: subscriptions, cached: true)
        let elapsed = cpuSeconds() - start
        return (elapsed / Double(subscriptions), Double(trie.memoryBytes) / Double(subscriptions))
    }

    /// What this thread has used: neighbours on a shared machine don't count.
    private static func cpuSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func trie(subscriptions: Int, cached: Bool) -> SubscriptionTrie<Int32> {
        var trie = cached ? SubscriptionTrie<Int32>() : SubscriptionTrie<Int32>(cacheCapacityMax: 0)
        for index in 0..<subscriptions {
            let text =
                switch index % 20 {
                case 0..<10: "orders.c\(index).created"
                case 10..<16: "orders.c\(index).*"
                case 16..<19: "orders.c\(index).>"
                default: "*.c\(index).created"
                }
            insert(text, Int32(index), into: &trie)
        }
        insert("orders.*.created", Int32(subscriptions), into: &trie)
        insert("orders.>", Int32(subscriptions + 1), into: &trie)
        return trie
    }

    private static func insert(_ text: String, _ value: Int32, into trie: inout SubscriptionTrie<Int32>) {
        do throws(EventError) {
            trie.insert(try EventPattern(text), value)
        } catch {
            preconditionFailure("the workload's patterns are patterns: \(error)")
        }
    }
}

/// Texts one after the other in one block, as types lie in event records: no strings on the measured path.
private struct TypeTexts: ~Copyable {
    private let bytes: UnsafeMutableRawBufferPointer
    private var starts: [Int] = [0]

    init(_ texts: [String]) {
        let all = texts.joined()
        bytes = .allocate(byteCount: all.utf8.count, alignment: 8)
        bytes.copyBytes(from: all.utf8)
        for text in texts { starts.append((starts.last ?? 0) + text.utf8.count) }
    }

    deinit {
        bytes.deallocate()
    }

    subscript(index: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[starts[index]..<starts[index + 1]])
    }
}
