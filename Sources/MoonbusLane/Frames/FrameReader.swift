import Glibc

/// Cuts a stream of bytes into frames, in place.
///
///     while true {
///         while let frame = try reader.next() { handle(frame) }
///         guard case .bytes = reader.fill(from: socket) else { break }
///     }
///
/// A frame's body points into the reader's memory and is valid until the next `fill` or `space`. One owner, one thread.
package final class FrameReader {
    package enum Fill: Equatable {
        /// This many bytes came.
        case bytes(Int)
        /// Nothing there now (non-blocking descriptors only).
        case wouldBlock
        /// The other side is gone.
        case end
        /// `read` failed with this errno.
        case failed(Int32)
    }

    /// Room that is offered to a read at least: a batch of some hundred deliveries.
    package static let readSize = 64 << 10
    /// Memory beyond this is given back once the reader is empty.
    private static let capacityKept = 1 << 20

    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private var start = 0
    private var end = 0
    private let limit: Int

    /// - Parameter limit: the largest `size` field that is taken, at most ``Frame/sizeMax``.
    package init(limit: Int = Frame.sizeMax) {
        self.limit = min(limit, Frame.sizeMax)
        capacity = 2 * Self.readSize
        base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit {
        base.deallocate()
    }

    /// The next whole frame, or nil when more bytes are needed.
    ///
    /// - Throws: ``FrameError`` `.tooLarge`, `.badSize`, `.badValue` for a header that no frame has. The stream is lost then.
    package func next() throws(FrameError) -> Frame? {
        guard end - start >= Frame.headerSize else { return nil }
        let size = Int(UInt32(littleEndian: (base + start).load(as: UInt32.self)))
        let kind = UInt32(littleEndian: (base + start + 4).load(as: UInt32.self))
        guard size <= limit else { throw FrameError(.tooLarge, "a frame of \(size) bytes is larger than the limit, \(limit) bytes") }
        guard size >= 4, size % 8 == 4 else { throw FrameError(.badSize, "a frame's body is not a multiple of 8 bytes (size \(size))") }
        guard kind <= 0xFF else { throw FrameError(.badValue, "the reserved bytes of a frame's header are not zero") }
        guard end - start >= size + 4 else { return nil }
        let body = UnsafeRawBufferPointer(start: base + start + Frame.headerSize, count: size - 4)
        start += size + 4
        return Frame(kind: UInt8(kind), body: body)
    }

    /// Where the next bytes of the stream belong. Ends the life of every frame that `next` yielded.
    package func space() -> UnsafeMutableRawBufferPointer {
        if start == end {
            start = 0
            end = 0
            if capacity > Self.capacityKept { resize(to: Self.capacityKept) }
        }
        var wanted = Self.readSize
        if end - start >= Frame.headerSize {
            let size = Int(UInt32(littleEndian: (base + start).load(as: UInt32.self)))
            wanted = max(wanted, min(size, limit) + 4 - (end - start))
        }
        if capacity - end < wanted {
            let used = end - start
            if capacity - used >= wanted {
                memmove(base, base + start, used)
                start = 0
                end = used
            } else {
                resize(to: max(2 * capacity, used + wanted))
            }
        }
        return UnsafeMutableRawBufferPointer(start: base + end, count: capacity - end)
    }

    /// Says that the first `count` bytes of ``space()`` now hold the stream's next bytes.
    package func filled(_ count: Int) {
        precondition(count <= capacity - end, "more came than there was space for")
        end += count
    }

    /// Reads once from a descriptor; a call that a signal interrupted is made again.
    package func fill(from descriptor: Int32) -> Fill {
        let space = space()
        while true {
            let count = read(descriptor, space.baseAddress, space.count)
            if count > 0 {
                filled(count)
                return .bytes(count)
            }
            if count == 0 { return .end }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case let code: return .failed(code)
            }
        }
    }

    private func resize(to size: Int) {
        let used = end - start
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        memcpy(fresh, base + start, used)
        base.deallocate()
        base = fresh
        capacity = size
        start = 0
        end = used
    }
}
