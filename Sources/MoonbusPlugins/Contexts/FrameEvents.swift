/// Which events the open `deliver` frame already holds, so that an event for a thousand contexts travels once.
///
/// A small direct-mapped table over the addresses of the records: a miss costs a second copy of the record in the frame, nothing else.
/// An address can't be reused while its frame is open: a frame is opened and sent within the end of one turn, in which no delivery ends, and the
/// bus keeps the event of a delivery until then.
final class FrameEvents {
    private struct Entry {
        var address: UInt
        var frame: UInt32
        var index: UInt32
    }

    private static let size = 256  // a power of two

    private let entries: UnsafeMutablePointer<Entry>
    private var frame: UInt32 = 1

    init() {
        entries = .allocate(capacity: Self.size)
        entries.initialize(repeating: Entry(address: 0, frame: 0, index: 0), count: Self.size)
    }

    deinit { entries.deallocate() }

    /// Forgets everything: another frame begins.
    func beginFrame() { frame &+= 1 }

    /// The index of a record in the frame; `append` is called when it has none yet.
    @inline(__always)
    func index(of record: UnsafeRawBufferPointer, append: (UnsafeRawBufferPointer) -> UInt32) -> UInt32 {
        let address = UInt(bitPattern: record.baseAddress)
        let entry = entries + (Int(truncatingIfNeeded: (address >> 4) ^ (address >> 12)) & (Self.size - 1))
        if entry.pointee.address == address, entry.pointee.frame == frame { return entry.pointee.index }
        let index = append(record)
        entry.pointee = Entry(address: address, frame: frame, index: index)
        return index
    }
}
