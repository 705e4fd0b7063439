/// Walks over a frame's body, field by field, and never beyond its end.
struct FrameCursor {
    private(set) var rest: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) {
        rest = bytes
    }

    /// The next little-endian integer.
    @inline(__always)
    mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) throws(FrameError) -> Value {
        let field = try bytes(MemoryLayout<Value>.size)
        return Value(littleEndian: field.loadUnaligned(as: type))
    }

    /// The next `size` bytes, in place.
    @inline(__always)
    mutating func bytes(_ size: Int) throws(FrameError) -> UnsafeRawBufferPointer {
        guard size <= rest.count else {
            throw FrameError(.badSize, "a field of \(size) bytes does not fit into the \(rest.count) that are left of its frame")
        }
        let field = UnsafeRawBufferPointer(rebasing: rest[..<size])
        rest = UnsafeRawBufferPointer(rebasing: rest[size...])
        return field
    }

    /// The next `size` bytes as text.
    mutating func text(_ size: Int) throws(FrameError) -> String {
        let field = try bytes(size)
        guard let text = String(validating: field, as: UTF8.self) else {
            throw FrameError(.badText, "a text of \(size) bytes is not UTF-8")
        }
        return text
    }

    /// Refuses anything but a field's worth of zeros.
    mutating func zeros(_ size: Int) throws(FrameError) {
        guard try bytes(size).allSatisfy({ $0 == 0 }) else {
            throw FrameError(.badValue, "a reserved field is not zero")
        }
    }

    /// Refuses anything but the zeros that pad a body to a multiple of 8 bytes.
    mutating func end() throws(FrameError) {
        guard rest.count < 8 else {
            throw FrameError(.badSize, "\(rest.count) bytes follow the last field of a frame")
        }
        try zeros(rest.count)
    }
}
