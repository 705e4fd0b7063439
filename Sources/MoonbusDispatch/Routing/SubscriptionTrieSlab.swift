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
