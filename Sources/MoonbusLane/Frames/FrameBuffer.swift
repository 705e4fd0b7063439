import Glibc

/// Bytes on their way into a socket: frames are appended at the end, and leave at the front.
///
/// It grows as needed and keeps its memory, so that a steady flow of frames allocates nothing. One owner, one thread.
package final class FrameBuffer {
    /// Memory beyond this is given back once the buffer is empty.
    private static let capacityKept = 1 << 20

    // Unchecked: it has one owner, and checking each field's access costs more than writing the field.
    @exclusivity(unchecked) private var base: UnsafeMutableRawPointer
    @exclusivity(unchecked) private var capacity: Int
    @exclusivity(unchecked) private var start = 0
    @exclusivity(unchecked) private var end = 0
    /// Where the frame began that is being written; nil between frames.
    @exclusivity(unchecked) private var open: Int?

    package init(capacity: Int = 16 << 10) {
        self.capacity = max(capacity, 64)
        base = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit {
        base.deallocate()
    }

    /// How many bytes wait to be sent.
    package var size: Int { end - start }
    package var isEmpty: Bool { start == end }

    /// What waits to be sent; valid until the next call.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base + start, count: end - start) }

    /// Drops the first `count` bytes: they were sent.
    package func consume(_ count: Int) {
        precondition(count <= end - start, "more was sent than was there")
        precondition(open == nil, "a frame is still open")
        start += count
        if start == end { removeAll() }
    }

    /// Forgets everything that waits.
    package func removeAll() {
        precondition(open == nil, "a frame is still open")
        start = 0
        end = 0
        if capacity > Self.capacityKept {
            base.deallocate()
            capacity = Self.capacityKept
            base = .allocate(byteCount: capacity, alignment: 16)
        }
    }

    // MARK: Frames

    /// Begins a frame; append its body, then call ``endFrame()``. Frames do not nest.
    package func beginFrame(_ kind: UInt8) {
        precondition(open == nil, "a frame is still open")
        open = end - start
        append(UInt32(0))
        append(UInt32(kind))
    }

    /// Pads the body and writes the frame's size.
    ///
    /// - Precondition: the frame is at most ``Frame/sizeMax`` bytes; whoever builds a frame of many parts checks ``openFrameSize``.
    package func endFrame() {
        guard let open else { preconditionFailure("no frame is open") }
        pad()
        let size = end - start - open - 4
        precondition(size <= Frame.sizeMax, "a frame of \(size) bytes is larger than 64 MiB")
        (base + start + open).storeBytes(of: UInt32(size).littleEndian, as: UInt32.self)
        self.open = nil
    }

    /// Bytes of the frame that is being written, header included; 0 between frames.
    package var openFrameSize: Int { open.map { end - start - $0 } ?? 0 }

    /// Overwrites an integer of the open frame's body, `offset` bytes from the body's start.
    package func patch(_ value: UInt32, at offset: Int) {
        guard let open else { preconditionFailure("no frame is open") }
        (base + start + open + Frame.headerSize + offset).storeBytes(of: value.littleEndian, as: UInt32.self)
    }

    /// Overwrites an integer, `offset` bytes from the start of what waits.
    package func set(_ value: UInt32, at offset: Int) {
        precondition(offset >= 0 && offset + 4 <= end - start, "there is nothing to overwrite")
        (base + start + offset).storeBytes(of: value.littleEndian, as: UInt32.self)
    }

    // MARK: Fields

    @inline(__always)
    package func append<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
        let size = MemoryLayout<Value>.size
        reserve(size)
        (base + end).storeBytes(of: value.littleEndian, as: Value.self)
        end += size
    }

    @inline(__always)
    package func append(bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        memcpy(base + end, source, bytes.count)
        end += bytes.count
    }

    package func append(bytes: [UInt8]) {
        bytes.withUnsafeBytes { append(bytes: $0) }
    }

    package func append(text: String) {
        var text = text
        text.withUTF8 { append(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// Zeros up to the next multiple of 8 bytes from the frame's start.
    package func pad() {
        let size = end - start - (open ?? 0)
        var missing = padded(size) - size
        while missing > 0 {
            append(UInt8(0))
            missing -= 1
        }
    }

    /// Makes room for `size` more bytes at the end.
    package func reserve(_ size: Int) {
        if capacity - end < size { grow(by: size) }
    }

    @inline(never)
    private func grow(by size: Int) {
        let used = end - start
        if capacity >= 2 * (used + size) {
            memmove(base, base + start, used)
        } else {
            let larger = max(capacity * 2, used + size)
            let fresh = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
            memcpy(fresh, base + start, used)
            base.deallocate()
            base = fresh
            capacity = larger
        }
        start = 0
        end = used
    }
}
