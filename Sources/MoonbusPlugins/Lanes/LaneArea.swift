import Glibc
import MoonbusLane

/// The memory through which most deliveries reach a lane, seen from the host: it writes, the lane reads.
///
/// Bodies of `deliver` frames lie in it one after the other, each in one piece, as in a ring; a `delivered` frame in the socket says where
/// (docs/frames.md). The lane counts on its page what it has finished with. A lane is hostile: it may write here, too, but the host never
/// reads it back, and a count that cannot be is taken for none, so all that it can spoil is its own deliveries.
struct LaneArea {
    /// Bytes of the mapping; pages of it are used as needed.
    static let size = DeliveryArea.size

    private let start: UnsafeMutableRawPointer
    /// Where the next body goes.
    private var next = 0
    /// Bytes handed over, and how many of them the lane has finished with, both since the lane began; what was left out at the end of the ring is counted.
    private var written: UInt64 = 0
    private var finished: UInt64 = 0

    /// Maps an area: shared through `memory`, behind the page, or, with nil, of this process alone. Nil when out of memory.
    init?(memory: Int32?) {
        let flags = memory == nil ? MAP_PRIVATE | Int32(MAP_ANONYMOUS) : MAP_SHARED
        let mapping = mmap(nil, Self.size, PROT_READ | PROT_WRITE, flags, memory ?? -1, memory == nil ? 0 : off_t(LanePage.size))
        guard let mapping, mapping != MAP_FAILED else { return nil }
        start = mapping
    }

    /// What a lane in this process reads.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: Self.size) }

    /// Bytes that the lane has not finished with.
    var used: Int { Int(written - finished) }

    /// Ends the mapping; nobody may read it afterwards.
    func unmap() { munmap(start, Self.size) }

    /// Takes what the lane says that it has finished with.
    mutating func note(finished count: UInt64) {
        if count > finished, count <= written { finished = count }
    }

    /// Writes a body, in two parts, and says where it is; nil when there is no room for it now.
    mutating func put(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> DeliveryArea.Place? {
        let size = first.count + second.count
        // Begun again wherever it is empty: a lane that keeps up uses the same few pages.
        if finished == written { next = 0 }
        let skipped = next + size <= Self.size ? 0 : Self.size - next
        guard size <= Self.size, Int(written - finished) + skipped + size <= Self.size else { return nil }
        if next + size > Self.size { next = 0 }  // also where nothing is skipped, because the last body ended with the area
        let offset = next
        UnsafeMutableRawBufferPointer(start: start + offset, count: first.count).copyMemory(from: first)
        UnsafeMutableRawBufferPointer(start: start + offset + first.count, count: second.count).copyMemory(from: second)
        next += size
        written += UInt64(skipped + size)
        return DeliveryArea.Place(offset: UInt32(offset), size: UInt32(size), end: written)
    }
}
