/// The deliveries of a `done` frame, in place: they ended well and left no effects and no result. Valid as long as the frame is.
package struct DoneReader: Sequence {
    /// How many there are.
    package let count: Int
    private let deliveries: UnsafeRawBufferPointer

    package init(_ body: UnsafeRawBufferPointer) throws(FrameError) {
        var cursor = FrameCursor(body)
        count = Int(try cursor.integer(UInt32.self))
        try cursor.zeros(4)
        deliveries = cursor.rest
        guard deliveries.count == count * MemoryLayout<UInt64>.size else {
            throw FrameError(.badSize, "\(count) deliveries do not take \(deliveries.count) bytes")
        }
    }

    /// Hands out one delivery after the other.
    package struct Iterator: IteratorProtocol {
        fileprivate var rest: UnsafeRawBufferPointer

        @inline(__always)
        package mutating func next() -> UInt64? {
            guard !rest.isEmpty else { return nil }
            defer { rest = UnsafeRawBufferPointer(rebasing: rest[MemoryLayout<UInt64>.size...]) }
            return UInt64(littleEndian: rest.loadUnaligned(as: UInt64.self))
        }
    }

    @inline(__always)
    package func makeIterator() -> Iterator { Iterator(rest: deliveries) }
}
