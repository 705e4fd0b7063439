/// Bytes behind one reference: what an ``Event`` and a ``JSON`` value are made of.
///
/// The header counts the bytes that are in use; the bytes lie in the same allocation, 8-byte aligned. Written only
/// between its creation and the first copy of its reference, never after: that is why the values that hold one are Sendable. (An
/// ``EventMaker`` goes on behind the bytes that it has given out; those stay as they are.)
@usableFromInline
package final class ByteStorage: ManagedBuffer<Int, UInt64> {
    /// Allocates room for `size` bytes and lets `fill` write all of them.
    @inlinable
    package static func make(size: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) -> ByteStorage {
        let buffer = ByteStorage.create(minimumCapacity: (size + 7) / 8) { _ in size }
        buffer.withUnsafeMutablePointerToElements {
            fill(UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer($0), count: size))
        }
        return unsafeDowncast(buffer, to: ByteStorage.self)
    }

    /// The bytes; valid while `body` runs.
    @inlinable
    package func withUnsafeBytes<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try withUnsafeMutablePointers { header, elements throws(Failure) in
            try body(UnsafeRawBufferPointer(start: UnsafeRawPointer(elements), count: header.pointee))
        }
    }
}
