/// Where the fields of an event record lie; docs/frames.md, "Event record", is the definition.
@usableFromInline
package enum EventRecord {
    /// The size of the fixed part.
    package static let headerSize = 40
    /// The most bytes of a record.
    package static let sizeMax = 4 << 20
    /// The most bytes of `id`, `partitionkey` and `causeid`.
    package static let nameSizeMax = 255
    /// The most bytes of `source` and `subject`.
    package static let referenceSizeMax = 1_024
    /// The bytes of a `traceparent`.
    package static let traceparentSize = 55
    /// The most bytes of the other attributes, as JSON.
    package static let extensionsSizeMax = 64 << 10
    /// The most bytes of data.
    package static let dataSizeMax = 1 << 20

    // Offsets in the header.
    @usableFromInline static let size = 0
    @usableFromInline static let hops = 4
    @usableFromInline static let typeSize = 6
    @usableFromInline static let time = 8
    @usableFromInline static let idSize = 16
    @usableFromInline static let sourceSize = 18
    @usableFromInline static let subjectSize = 20
    @usableFromInline static let keySize = 22
    @usableFromInline static let traceparentSizeAt = 24
    @usableFromInline static let causeidSize = 26
    @usableFromInline static let extensionsSize = 28
    @usableFromInline static let dataSize = 32
}

/// The fields of an event as bytes, in place: what a record is written from, and what one looks like when it is read.
///
/// An empty buffer is an absent field. Valid only as long as what the buffers point into.
package struct EventFields {
    /// The type; never absent.
    package var type = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The id; absent: a fresh one is made.
    package var id = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The source; absent: `/moonbus`.
    package var source = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The subject.
    package var subject = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The partition key.
    package var key = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The trace that the event belongs to.
    package var traceparent = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The id of the event whose handling made this one.
    package var causeid = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The other attributes, a JSON object.
    package var extensions = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The data, a JSON value.
    package var data = UnsafeRawBufferPointer(start: nil, count: 0)
    /// When it happened; absent: now.
    package var time: Timestamp?
    /// How many handlings lie between this event and the first one.
    package var hops = 0

    /// Creates fields that are all absent.
    package init() {}

    /// Reads a checked record in place.
    package init(record: UnsafeRawBufferPointer) {
        var offset = EventRecord.headerSize
        func next(_ count: Int) -> UnsafeRawBufferPointer {
            defer { offset += count }
            return UnsafeRawBufferPointer(rebasing: record[offset..<offset + count])
        }
        func size(_ place: Int) -> Int {
            Int(record.loadUnaligned(fromByteOffset: place, as: UInt16.self))
        }
        type = next(size(EventRecord.typeSize))
        id = next(size(EventRecord.idSize))
        source = next(size(EventRecord.sourceSize))
        subject = next(size(EventRecord.subjectSize))
        key = next(size(EventRecord.keySize))
        traceparent = next(size(EventRecord.traceparentSizeAt))
        causeid = next(size(EventRecord.causeidSize))
        extensions = next(Int(record.loadUnaligned(fromByteOffset: EventRecord.extensionsSize, as: UInt32.self)))
        data = next(Int(record.loadUnaligned(fromByteOffset: EventRecord.dataSize, as: UInt32.self)))
        time = Timestamp(microseconds: record.loadUnaligned(fromByteOffset: EventRecord.time, as: Int64.self))
        hops = size(EventRecord.hops)
    }
}
