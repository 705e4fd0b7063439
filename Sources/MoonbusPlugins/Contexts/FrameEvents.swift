import MoonbusEvents

/// Which events the open `deliver` frame already holds, so that an event for a thousand contexts travels once.
///
/// A small direct-mapped table over the addresses of the records: a miss costs a second copy of the record in the frame, nothing else.
/// An address can't be reused while its frame is open, because the lane's flights keep the events alive.
struct FrameEvents {
    private struct Entry {
        var address: UInt = 0
        var frame: UInt32 = 0
        var index: UInt32 = 0
    }

    private static let size = 256  // a power of two

    private var entries = [Entry](repeating: Entry(), count: FrameEvents.size)
    private var frame: UInt32 = 0

    /// Forgets everything: another frame begins.
    mutating func beginFrame() { frame &+= 1 }

    /// The event's index in the frame; `append` is called when it has none yet.
    @inline(__always)
    mutating func index(of event: Event, append: (UnsafeRawBufferPointer) -> UInt32) -> UInt32 {
        event.withUnsafeRecord { record in
            let address = UInt(bitPattern: record.baseAddress)
            let slot = Int(truncatingIfNeeded: (address >> 4) ^ (address >> 12)) & (Self.size - 1)
            if entries[slot].address == address, entries[slot].frame == frame { return entries[slot].index }
            let index = append(record)
            entries[slot] = Entry(address: address, frame: frame, index: index)
            return index
        }
    }
}
