import MoonbusDispatch
import MoonbusEvents
import Testing

@Suite struct SubscriptionTrieTests {
    @Test(arguments: [0, 256])
    func `literals and wildcards are found together`(cache: Int) throws {
        var trie = SubscriptionTrie<Int>(cacheCapacityMax: cache)
        for (index, pattern) in ["a.b.c", "a.*.c", "a.b.*", "a.>", ">", "*", "a.b.c.d", "*.b.>", "a.b.>"].enumerated() {
            trie.insert(try EventPattern(pattern), index)
        }
        #expect(trie.matches("a.b.c") == [0, 1, 2, 3, 4, 7, 8])
        #expect(trie.matches("a") == [4, 5])
        #expect(trie.matches("a.b") == [3, 4])
        #expect(trie.matches("a.b.c.d") == [3, 4, 6, 7, 8])
        #expect(trie.matches("x.b.c") == [4, 7])
        #expect(trie.matches("x.y") == [4])
        // The second time from the cache.
        #expect(trie.matches("a.b.c") == [0, 1, 2, 3, 4, 7, 8])
    }

    @Test func `stars and arrows inside of a longer token are literal`() throws {
        var trie = SubscriptionTrie<Int>()
        for (index, pattern) in ["foo.**", "foo.*", "foo.*x", "foo.>>", "foo.>x", "*x.>"].enumerated() {
            trie.insert(try EventPattern(pattern), index)
        }
        #expect(trie.matches("foo.**") == [0, 1])
        #expect(trie.matches("foo.*x") == [1, 2])
        #expect(trie.matches("foo.>>") == [1, 3])
        #expect(trie.matches("foo.>x") == [1, 4])
        #expect(trie.matches("*x.a") == [5])
        #expect(trie.matches("yx.a") == [])
    }

    @Test func `an equal pattern is found as often as it was inserted, and goes one by one`() throws {
        var trie = SubscriptionTrie<Int>()
        let pattern = try EventPattern("a.*")
        let tokens = (0..<5).map { trie.insert(pattern, $0) }
        #expect(trie.matches("a.b") == [0, 1, 2, 3, 4])
        trie.remove(tokens[2])
        #expect(trie.matches("a.b") == [0, 1, 3, 4])
        trie.remove(tokens[4])
        trie.remove(tokens[0])
        #expect(trie.matches("a.b") == [1, 3])
        trie.remove(tokens[1])
        trie.remove(tokens[3])
        #expect(trie.matches("a.b") == [])
        #expect(trie.count == 0)
    }

    @Test func `a removal takes a pattern's own way out and no other`() throws {
        var trie = SubscriptionTrie<Int>()
        let inner = trie.insert(try EventPattern("a.b"), 0)
        let outer = trie.insert(try EventPattern("a.b.c.d"), 1)
        let star = trie.insert(try EventPattern("a.b.*.d"), 2)
        trie.remove(outer)
        #expect(trie.matches("a.b.c.d") == [2])
        trie.remove(inner)
        #expect(trie.matches("a.b") == [])
        #expect(trie.matches("a.b.c.d") == [2])
        trie.remove(star)
        #expect(trie.matches("a.b.c.d") == [])
    }

    @Test func `tokens and types of every length are told apart`() throws {
        var trie = SubscriptionTrie<Int>()
        var types: [String] = []
        for length in [1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 39, 40, 41, 100, 200] {
            let base = String(repeating: "t", count: length - 1)
            for last in ["u", "v", "ÿ"] { types.append(base + last) }
            types.append("a." + base + "u.b")
        }
        for (index, type) in types.enumerated() { trie.insert(try EventPattern(type), index) }
        for (index, type) in types.enumerated() {
            #expect(trie.matches(type) == [index])
            #expect(trie.matches(type + "x") == [])
            #expect(trie.matches(type + ".x") == [])
        }
    }

    @Test func `a type that became wanted is found although it was remembered as unwanted`() throws {
        var trie = SubscriptionTrie<Int>()
        #expect(trie.matches("a.b") == [])
        #expect(trie.matches("a.b") == [])
        let token = trie.insert(try EventPattern("a.b"), 1)
        #expect(trie.matches("a.b") == [1])
        trie.remove(token)
        #expect(trie.matches("a.b") == [])
    }

    @Test func `more matches than the cache keeps are all found`() throws {
        var trie = SubscriptionTrie<Int>()
        for count in [3, 255, 256, 257, 2_000] {
            while trie.count < count { trie.insert(try EventPattern(trie.count % 2 == 0 ? "a.>" : "a.*"), trie.count) }
            #expect(trie.matches("a.b") == Array(0..<count))
            #expect(trie.matches("a.b") == Array(0..<count))
        }
    }

    @Test func `a type that leads down many ways at once is matched on all of them`() throws {
        // 2^8 patterns of "a" and "*": all of them match one type, and the frontier outgrows its first buffer.
        var trie = SubscriptionTrie<Int>()
        for bits in 0..<256 {
            let pattern = (0..<8).map { bits >> $0 & 1 == 0 ? "a" : "*" }.joined(separator: ".")
            trie.insert(try EventPattern(pattern), bits)
        }
        #expect(trie.matches("a.a.a.a.a.a.a.a") == Array(0..<256))
        #expect(trie.matches("a.a.a.a.a.a.a.b").count == 128)
    }

    // Random patterns and types over a small alphabet against the definition, one by one; with removals in between.
    @Test(arguments: [(seed: 1 as UInt64, cache: 1 << 17), (2, 0), (3, 256), (4, 1_024)])
    func `the trie finds what matching pattern by pattern finds`(seed: UInt64, cache: Int) throws {
        var random = SeededNumbers(seed: seed)
        var trie = SubscriptionTrie<Int>(cacheCapacityMax: cache)
        var held: [Int: (pattern: EventPattern, token: SubscriptionTrie<Int>.Token)] = [:]
        for step in 0..<600 {
            if Int.random(in: 0..<10, using: &random) < 6 || held.isEmpty {
                let pattern = try EventPattern(random.pattern())
                held[step] = (pattern, trie.insert(pattern, step))
            } else if let victim = held.keys.sorted().randomElement(using: &random), let entry = held.removeValue(forKey: victim) {
                trie.remove(entry.token)
            }
            for _ in 0..<3 {
                let text = random.type()
                let type = try EventType(text)
                let expected = held.filter { $0.value.pattern.matches(type) }.keys.sorted()
                guard trie.matches(text) == expected, trie.matches(text) == expected else {
                    Issue.record("step \(step): \(text) → \(trie.matches(text)), expected \(expected)")
                    return
                }
            }
        }
        for entry in held.values { trie.remove(entry.token) }
        #expect(trie.count == 0)
        #expect(trie.matches("a.b") == [])
    }

    @Test func `a subscription among 100,000 costs a modest amount of memory`() {
        #expect(RoutingBench.insert(subscriptions: 100_000).bytesEach < 320)
    }

    @Test func `each type of the bench's workload matches exactly three patterns`() {
        for hot in [true, false] {
            #expect(RoutingBench.run(subscriptions: 1_000, events: 3_000, hot: hot).matches == 3_000)
            #expect(RoutingBench.run(subscriptions: 1_000, events: 3_000, hot: hot, cached: false).matches == 3_000)
        }
    }
}

extension SubscriptionTrie where Value == Int {
    /// The values for a type, sorted.
    fileprivate mutating func matches(_ type: String) -> [Int] {
        var values: [Int] = [-1]
        Array(type.utf8).withUnsafeBytes { match($0, into: &values) }
        precondition(values.removeFirst() == -1, "matching appends")
        return values.sorted()
    }
}

/// The same patterns and types in every run.
private struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state ^ state >> 29) &* 0xBF58_476D_1CE4_E5B9 ^ state >> 32
    }

    private mutating func word() -> String {
        ["a", "b", "c", "*x", ">x", "a-token-of-more-than-16-bytes", "exactly-sixteen-", "eight---"].randomElement(using: &self) ?? "a"
    }

    mutating func type() -> String {
        (0..<Int.random(in: 1...5, using: &self)).map { _ in word() }.joined(separator: ".")
    }

    mutating func pattern() -> String {
        var tokens = (0..<Int.random(in: 1...5, using: &self)).map { _ in Int.random(in: 0..<3, using: &self) == 0 ? "*" : word() }
        if Int.random(in: 0..<4, using: &self) == 0 { tokens[tokens.count - 1] = ">" }
        return tokens.joined(separator: ".")
    }
}
