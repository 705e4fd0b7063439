import CLuaShim

/// The memory through which most deliveries come, seen from the lane: the host writes, the lane reads.
///
/// The body of a `deliver` frame that lies here did not have to go through the socket, which cost two copies and the kernel's bookkeeping for
/// each. A `delivered` frame says where it is; until the lane has counted it as finished, the host leaves it as it is.
package struct DeliveryArea {
    /// Bytes.
    package static let size = 2 << 20

    /// Where the body of one `deliver` frame lies.
    package struct Place: Equatable {
        /// From the area's start; a multiple of 8.
        package var offset: UInt32
        /// A multiple of 8.
        package var size: UInt32
        /// What the lane counts as finished once it has run these deliveries.
        package var end: UInt64

        package init(offset: UInt32, size: UInt32, end: UInt64) {
            self.offset = offset
            self.size = size
            self.end = end
        }
    }

    private let bytes: UnsafeRawBufferPointer
    private let page: UnsafeMutablePointer<moonbus_page>

    /// - Parameters:
    ///   - bytes: the area; outlives the worker.
    ///   - page: where finished bytes are counted.
    init(_ bytes: UnsafeRawBufferPointer, page: UnsafeMutableRawPointer) {
        self.bytes = bytes
        self.page = page.assumingMemoryBound(to: moonbus_page.self)
    }

    /// The frame at a place.
    func frame(at place: Place) throws(FrameError) -> DeliverFrame {
        let (offset, size) = (Int(place.offset), Int(place.size))
        guard offset % 8 == 0, size % 8 == 0, offset + size <= bytes.count else {
            throw FrameError(.badSize, "\(size) bytes at \(offset) do not lie in an area of \(bytes.count) bytes")
        }
        return try DeliverFrame(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + size]))
    }

    /// Gives the bytes of a place back to the host.
    func finish(_ place: Place) {
        moonbus_page_finished(page, place.end)
    }
}
