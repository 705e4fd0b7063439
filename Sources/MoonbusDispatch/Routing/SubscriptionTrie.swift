/// Finds the subscriptions that an event's type is for, at a cost that does not depend on how many others there are.
///
/// A trie of tokens laid out flat:
///
/// - *nodes*, 32 bytes each, in one slab: the token that leads to the node, its parent, its `*` child, and the heads of
///   two lists: subscriptions that end here, and subscriptions that end here with `>`;
/// - *leaves*, 64 bytes each, in another: a subscription that is alone below its token, with the rest of its pattern. Most
///   are, and then no node needs to be read to tell whether the rest fits;
/// - one open-addressed table from (parent, token) to a node or leaf, 8 bytes a slot, at most half full;
/// - *cells*: the lists' links, with the subscriptions' values;
/// - in front of it all a bounded cache of results (``ResultCache``), which any change of a subscription makes stale.
///
/// Always true: a node other than the root has a child, a `*` child or a subscription; number 0 stands for "none"; the
/// table holds each leaf, and each node that is no root and no `*` child, exactly once.
///
/// Not safe for several threads at once: it belongs to the bus's owner thread, where a change lies between two events,
/// so that neither emitters nor subscribers ever wait for each other.
///
/// The roads not taken: a map per node (an allocation and a pointer for each), nodes all the way down (half the rate when
/// types do not repeat, because each level is another cache miss), and NATS's own cache policy (sweeping at random, which
/// made it slower than no cache at all when types do not repeat). Measured in docs/performance.md.
package struct SubscriptionTrie<Value: BitwiseCopyable>: ~Copyable {
    /// Names a subscription in the trie, for ``remove(_:)``.
    package struct Token: Sendable, Hashable {
        let home: UInt32
    }

    /// Where a subscription is.
    enum Home: BitwiseCopyable {
        case none
        case leaf(UInt32)
        case cell(UInt32)
    }

    struct Cell: BitwiseCopyable {
        var value: Value
        var home: UInt32
        var next: UInt32
        var previous: UInt32
        /// The node in whose list it is.
        var node: UInt32
        var isTail: Bool
    }

    var nodes = Slab<TrieNode>()
    /// How many children by a literal token each node has; beside the nodes, because matching does not need it.
    var childCounts: [UInt32] = [0, 0]
    var leaves = Slab<TrieLeaf<Value>>()
    var cells = Slab<Cell>()
    var homes = Slab<Home>()
    var slots = TrieSlots()
    var longTokens = TokenPool()
    var frontier = Frontier()
    var cache: ResultCache<Value>

    /// How many subscriptions there are.
    package internal(set) var count = 0

    /// Creates a trie without subscriptions.
    ///
    /// - Parameter cacheCapacityMax: how many results are remembered at most, 64 bytes each; 0 turns the cache off.
    package init(cacheCapacityMax: Int = 1 << 17) {
        cache = ResultCache(capacityMax: cacheCapacityMax)
        _ = nodes.take(TrieNode())  // The root, node 1.
    }

    /// Bytes that the trie holds on to, cache included.
    package var memoryBytes: Int {
        nodes.memoryBytes + childCounts.capacity * 4 + leaves.memoryBytes + cells.memoryBytes + homes.memoryBytes + slots.memoryBytes
            + longTokens.memoryBytes + cache.memoryBytes
    }
}

/// A node as matching sees it; see ``SubscriptionTrie``.
struct TrieNode: BitwiseCopyable {
    /// The token that leads here.
    var token = TypeToken()
    var parent: UInt32 = 0
    /// The child by `*`.
    var star: UInt32 = 0
    /// Cells of the subscriptions that end here.
    var exact: UInt32 = 0
    /// Cells of the subscriptions that end here with `>`.
    var tail: UInt32 = 0
}

/// What the table leads to: a node or a leaf.
struct TrieChild: BitwiseCopyable, Equatable {
    private static let leafBit: UInt32 = 1 << 31
    private var code: UInt32

    static var none: TrieChild { TrieChild(code: 0) }
    static func node(_ index: UInt32) -> TrieChild { TrieChild(code: index) }
    static func leaf(_ index: UInt32) -> TrieChild { TrieChild(code: index | leafBit) }

    private init(code: UInt32) {
        self.code = code
    }

    @inline(__always) var isNone: Bool { code == 0 }
    @inline(__always) var isLeaf: Bool { code & Self.leafBit != 0 }
    @inline(__always) var index: UInt32 { code & ~Self.leafBit }
}
