/// One frame as it lies in a ``FrameReader``: a kind and the bytes of its body.
///
/// ```
/// frame    u32 size of what follows (4 + body) · u8 kind · u8[3] zero · body
/// ```
/// A body is padded with zeros to a multiple of 8 bytes, so that every frame of a stream, and every record in it,
/// lies 8-byte aligned in the reader's memory.
package struct Frame {
    /// Bytes before the body.
    package static let headerSize = 8
    /// The largest `size` field, 64 MiB.
    package static let sizeMax = 64 << 20

    package let kind: UInt8
    /// Valid until the reader that yielded it is filled again.
    package let body: UnsafeRawBufferPointer

    package init(kind: UInt8, body: UnsafeRawBufferPointer) {
        self.kind = kind
        self.body = body
    }

    /// The kinds that a host sends.
    package enum HostKind {
        package static let load: UInt8 = 1
        package static let deliver: UInt8 = 2
        package static let reply: UInt8 = 3
        package static let unload: UInt8 = 4
        package static let cancel: UInt8 = 5
        package static let stop: UInt8 = 6
        package static let forget: UInt8 = 7
        package static let delivered: UInt8 = 8
    }

    /// The kinds that a lane sends.
    package enum LaneKind {
        package static let ready: UInt8 = 65
        package static let loaded: UInt8 = 66
        package static let outcomes: UInt8 = 67
        package static let call: UInt8 = 68
        package static let log: UInt8 = 69
        package static let lost: UInt8 = 70
        package static let done: UInt8 = 71
    }
}

/// Rounds a size up to the next multiple of 8.
@inline(__always)
func padded(_ size: Int) -> Int { (size + 7) & ~7 }
