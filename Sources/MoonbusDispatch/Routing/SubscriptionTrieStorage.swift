/// Elements of one size in one block, addressed by number; 0 means "none". Freed places are used again, last freed first.
struct Slab<Element: BitwiseCopyable>: ~Copyable {
    private var base: UnsafeMutablePointer<Element>
    private var capacity = 64
    /// One past the highest number that was ever used.
    private var end: UInt32 = 1
    private var free: [UInt32] = []

    init() {
        base = TrieBlock.allocate(capacity)
    }

    deinit {
        base.deallocate()
    }

    var memoryBytes: Int { capacity * MemoryLayout<Element>.stride + free.capacity * 4 }

    @inline(__always)
    subscript(index: UInt32) -> Element {
        unsafeAddress { UnsafePointer(base + Int(index)) }
        nonmutating unsafeMutableAddress { base + Int(index) }
    }

    /// Where an element lies until the slab grows: to look at a part of it without copying all of it.
    @inline(__always)
    func pointer(to index: UInt32) -> UnsafePointer<Element> {
        UnsafePointer(base + Int(index))
    }

    mutating func take(_ element: Element) -> UInt32 {
        if let index = free.popLast() {
            self[index] = element
            return index
        }
        if Int(end) == capacity { grow() }
        (base + Int(end)).initialize(to: element)
        end += 1
        return end - 1
    }

    mutating func give(back index: UInt32) {
        free.append(index)
    }

    private mutating func grow() {
        let larger = TrieBlock.allocate(capacity * 2, of: Element.self)
        (larger + 1).moveInitialize(from: base + 1, count: Int(end) - 1)
        base.deallocate()
        base = larger
        capacity *= 2
    }
}

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

/// The texts of tokens that do not fit a ``TypeToken``; rare, so a dictionary will do.
struct TokenPool: ~Copyable {
    private var texts: [UInt32: [UInt8]] = [:]

    var memoryBytes: Int { texts.values.reduce(texts.capacity * 16) { $0 + 32 + $1.capacity } }

    mutating func add(_ node: UInt32, _ text: UnsafeRawBufferPointer) {
        texts[node] = Array(text)
    }

    mutating func remove(_ node: UInt32) {
        texts[node] = nil
    }

    func equal(_ node: UInt32, _ text: UnsafeRawBufferPointer) -> Bool {
        texts[node]?.elementsEqual(text) ?? false
    }
}

/// The nodes that the tokens so far lead to, and those that the next one adds.
struct Frontier: ~Copyable {
    /// A place of the table, and what lies there.
    struct Probe: BitwiseCopyable {
        var hash: UInt64
        var slot: TrieSlots.Slot
    }

    private var current: UnsafeMutablePointer<UInt32>
    private var probes: UnsafeMutablePointer<Probe>
    private var coming: UnsafeMutablePointer<UInt32>
    private var capacity = 64
    private var comingCount = 0
    private(set) var count = 0

    init() {
        current = .allocate(capacity: capacity)
        coming = .allocate(capacity: capacity)
        probes = .allocate(capacity: capacity)
    }

    deinit {
        current.deallocate()
        coming.deallocate()
        probes.deallocate()
    }

    @inline(__always)
    subscript(index: Int) -> UInt32 { current[index] }

    @inline(__always)
    func probe(_ index: Int) -> Probe { probes[index] }

    @inline(__always)
    func setProbe(_ index: Int, hash: UInt64, slot: TrieSlots.Slot) {
        probes[index] = Probe(hash: hash, slot: slot)
    }

    @inline(__always)
    mutating func start(at node: UInt32) {
        current[0] = node
        count = 1
        comingCount = 0
    }

    @inline(__always)
    mutating func push(_ node: UInt32) {
        if comingCount == capacity { grow() }
        coming[comingCount] = node
        comingCount += 1
    }

    /// Makes the coming nodes the current ones; false when there are none.
    @inline(__always)
    mutating func advance() -> Bool {
        swap(&current, &coming)
        count = comingCount
        comingCount = 0
        return count > 0
    }

    private mutating func grow() {
        // `current` and its probes are being read while `coming` grows; all three keep the same capacity.
        current = Self.moved(current, count, capacity * 2)
        coming = Self.moved(coming, comingCount, capacity * 2)
        probes = Self.moved(probes, count, capacity * 2)
        capacity *= 2
    }

    private static func moved<Element>(_ old: UnsafeMutablePointer<Element>, _ count: Int, _ capacity: Int) -> UnsafeMutablePointer<Element> {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
        larger.moveInitialize(from: old, count: count)
        old.deallocate()
        return larger
    }
}
