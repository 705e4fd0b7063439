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

    private static func moved<Element>(_ old: UnsafeMutablePointer<Element>, _ count: Int, _ capacity: Int) -> UnsafeMutablePointer<Element>
    {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
        larger.moveInitialize(from: old, count: count)
        old.deallocate()
        return larger
    }
}
