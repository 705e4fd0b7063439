/// The open-addressed table from (parent, token) to a node or leaf.
///
/// Linear probing, at most half full; a removal moves later entries back instead of leaving a mark, so that a table
/// that lives long stays as fast as a new one.
struct TrieSlots: ~Copyable {
    struct Slot: BitwiseCopyable {
        /// Bits of the hash that the place does not tell.
        var tag: UInt32 = 0
        /// None: the slot is empty.
        var child = TrieChild.none
    }

    private var base: UnsafeMutablePointer<Slot>
    private var used: UInt64 = 0
    /// How many slots there are, less one.
    private(set) var mask: UInt64 = 63
    // Drawn for each trie, so that nobody can choose tokens that collide.
    private let seed = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))

    init() {
        base = TrieBlock.allocate(64)
        base.initialize(repeating: Slot(), count: 64)
    }

    deinit {
        base.deallocate()
    }

    var memoryBytes: Int { (Int(mask) + 1) * MemoryLayout<Slot>.stride }

    @inline(__always)
    subscript(place: UInt64) -> Slot {
        unsafeAddress { UnsafePointer(base + Int(place)) }
        nonmutating unsafeMutableAddress { base + Int(place) }
    }

    @inline(__always)
    func hash(_ token: TypeToken, under parent: UInt32) -> UInt64 {
        token.hash(under: parent, seed: seed)
    }

    mutating func add<Value>(_ child: TrieChild, _ nodes: borrowing Slab<TrieNode>, _ leaves: borrowing Slab<TrieLeaf<Value>>) {
        if used * 2 > mask { double(nodes, leaves) }
        put(child, hash: hash(of: child, nodes, leaves))
        used += 1
    }

    mutating func remove<Value>(_ child: TrieChild, _ nodes: borrowing Slab<TrieNode>, _ leaves: borrowing Slab<TrieLeaf<Value>>) {
        var hole = hash(of: child, nodes, leaves) & mask
        while self[hole].child != child { hole = (hole + 1) & mask }
        var next = (hole + 1) & mask
        while !self[next].child.isNone {
            // An entry may move to the hole unless its home lies between the hole and where it is.
            let home = hash(of: self[next].child, nodes, leaves) & mask
            if (next &- home) & mask >= (next &- hole) & mask {
                self[hole] = self[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        self[hole] = Slot()
        used -= 1
    }

    private func hash<Value>(
        of child: TrieChild, _ nodes: borrowing Slab<TrieNode>, _ leaves: borrowing Slab<TrieLeaf<Value>>
    ) -> UInt64 {
        child.isLeaf
            ? hash(leaves[child.index].token, under: leaves[child.index].parent)
            : hash(nodes[child.index].token, under: nodes[child.index].parent)
    }

    private func put(_ child: TrieChild, hash: UInt64) {
        var place = hash & mask
        while !self[place].child.isNone { place = (place + 1) & mask }
        self[place] = Slot(tag: UInt32(truncatingIfNeeded: hash >> 32), child: child)
    }

    private mutating func double<Value>(_ nodes: borrowing Slab<TrieNode>, _ leaves: borrowing Slab<TrieLeaf<Value>>) {
        let (old, oldCount) = (base, Int(mask) + 1)
        base = TrieBlock.allocate(oldCount * 2)
        base.initialize(repeating: Slot(), count: oldCount * 2)
        mask = UInt64(oldCount * 2 - 1)
        for index in 0..<oldCount where !old[index].child.isNone {
            put(old[index].child, hash: hash(of: old[index].child, nodes, leaves))
        }
        old.deallocate()
    }
}
