import Glibc
import Synchronization

/// The page on which a lane writes what it is running, seen from the host.
///
/// Eight little-endian 64-bit words, `moonbus_page` in CLuaShim.h: sequence (odd while script code runs), task, context, limit_us,
/// started_us, soft_count, hard_count, finished. A lane is hostile: what the page says may be wrong, and is only used to decide whom to
/// blame and whom to kill, never as an index or an address.
struct LanePage {
    /// Bytes of the mapping.
    static let size = 4096
    /// A longer CPU limit is not believed, in microseconds.
    private static let limitMax: UInt64 = 600_000_000

    private let words: UnsafeMutablePointer<Atomic<UInt64>>

    /// The mapping's start, for a lane in this process.
    var start: UnsafeMutableRawPointer { UnsafeMutableRawPointer(words) }

    /// What the lane was doing at one moment.
    struct Reading: Equatable {
        var sequence: UInt64
        var task: UInt64
        var context: UInt64
        var limit: Duration

        /// Whether script code was running.
        var isRunning: Bool { sequence & 1 == 1 }
    }

    /// What the lane says that it has finished with, see ``LaneArea``.
    var finished: UInt64 { words[7].load(ordering: .acquiring) }

    /// Maps a page: shared through `memory` (a descriptor of at least ``size`` bytes), or, with nil, of this process alone. Nil when out of memory.
    init?(memory: Int32?) {
        let flags = memory == nil ? MAP_PRIVATE | Int32(MAP_ANONYMOUS) : MAP_SHARED
        let mapping = mmap(nil, Self.size, PROT_READ | PROT_WRITE, flags, memory ?? -1, 0)
        guard let mapping, mapping != MAP_FAILED else { return nil }
        words = mapping.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Ends the mapping; nobody may read it afterwards.
    func unmap() { munmap(start, Self.size) }

    /// Reads the page. The fields belong together when the sequence is the same before and after; a lane that changes runs faster
    /// than we read it is not one that needs watching, so the last of three tries is taken as it is.
    func read() -> Reading {
        var reading = readOnce()
        for _ in 0..<2 where words[0].load(ordering: .acquiring) != reading.sequence { reading = readOnce() }
        return reading
    }

    private func readOnce() -> Reading {
        let sequence = words[0].load(ordering: .acquiring)
        let task = words[1].load(ordering: .relaxed)
        let context = words[2].load(ordering: .relaxed)
        let limit = words[3].load(ordering: .acquiring)
        return Reading(sequence: sequence, task: task, context: context, limit: .microseconds(Int64(min(limit, Self.limitMax))))
    }
}
