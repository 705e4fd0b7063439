// The fast path: an event from bytes that were checked before. One allocation, one pass.

extension Event {
    /// Creates an event from bytes that are known to be right.
    ///
    /// To stamp an event that is made from another one, change the fields that differ:
    ///
    ///     let stamped = event.withUnsafeFields { original in
    ///         var fields = original
    ///         fields.hops += 1
    ///         return Event.make(fields)
    ///     }
    ///
    /// - Parameters:
    ///   - fields: within the limits of ``EventRecord``, texts UTF-8, JSON valid; traps otherwise only where the record can't hold it.
    ///   - now: for the fresh id, and the event's time if it has none; read from the system's clock when `nil`.
    package static func make(_ fields: EventFields, now: Timestamp? = nil) -> Event {
        let size = recordSize(of: fields)
        return Event(storage: ByteStorage.make(size: size) { write(fields, size: size, now: now, to: $0.baseAddress) })
    }

    /// The bytes that the record of these fields takes, padding included.
    static func recordSize(of fields: EventFields) -> Int {
        let idSize = fields.id.isEmpty ? EventID.size : fields.id.count
        let sourceSize = fields.source.isEmpty ? defaultSourceBytes.utf8CodeUnitCount : fields.source.count
        // In two steps: the type checker gives up on one sum of ten terms.
        let textSize = fields.type.count + idSize + sourceSize + fields.subject.count + fields.key.count
        let used =
            EventRecord.headerSize + textSize + fields.traceparent.count + fields.causeid.count
            + fields.extensions.count + fields.data.count
        let size = (used + 7) & ~7
        precondition(size <= EventRecord.sizeMax, "an event record has at most \(EventRecord.sizeMax) bytes")
        return size
    }

    /// Writes the record.
    ///
    /// - Parameters:
    ///   - size: what ``recordSize(of:)`` says.
    ///   - record: room for so many bytes, 8-byte aligned.
    static func write(_ fields: EventFields, size: Int, now: Timestamp?, to record: UnsafeMutableRawPointer?) {
        guard let base = record else { return }
        let idSize = fields.id.isEmpty ? EventID.size : fields.id.count
        let sourceSize = fields.source.isEmpty ? defaultSourceBytes.utf8CodeUnitCount : fields.source.count
        // Header: see docs/frames.md.
        base.storeBytes(of: UInt32(size).littleEndian, toByteOffset: EventRecord.size, as: UInt32.self)
        base.storeBytes(of: UInt16(fields.hops), toByteOffset: EventRecord.hops, as: UInt16.self)
        base.storeBytes(of: UInt16(fields.type.count), toByteOffset: EventRecord.typeSize, as: UInt16.self)
        base.storeBytes(of: UInt16(idSize), toByteOffset: EventRecord.idSize, as: UInt16.self)
        base.storeBytes(of: UInt16(sourceSize), toByteOffset: EventRecord.sourceSize, as: UInt16.self)
        base.storeBytes(of: UInt16(fields.subject.count), toByteOffset: EventRecord.subjectSize, as: UInt16.self)
        base.storeBytes(of: UInt16(fields.key.count), toByteOffset: EventRecord.keySize, as: UInt16.self)
        base.storeBytes(of: UInt16(fields.traceparent.count), toByteOffset: EventRecord.traceparentSizeAt, as: UInt16.self)
        base.storeBytes(of: UInt16(fields.causeid.count), toByteOffset: EventRecord.causeidSize, as: UInt16.self)
        base.storeBytes(of: UInt32(fields.extensions.count), toByteOffset: EventRecord.extensionsSize, as: UInt32.self)
        base.storeBytes(of: UInt32(fields.data.count), toByteOffset: EventRecord.dataSize, as: UInt32.self)
        base.storeBytes(of: 0, toByteOffset: 36, as: UInt32.self)
        // The padding first: at least the last word is all zeros wherever nothing is written over it.
        base.storeBytes(of: 0, toByteOffset: size - 8, as: UInt64.self)

        let clock = (fields.id.isEmpty || fields.time == nil) ? now ?? Timestamp.now() : Timestamp(microseconds: 0)
        let time = (fields.time ?? clock).microseconds
        base.storeBytes(of: time, toByteOffset: EventRecord.time, as: Int64.self)

        var end = base + EventRecord.headerSize
        append(fields.type, at: &end)
        if fields.id.isEmpty {
            EventID.write(now: clock, to: end.assumingMemoryBound(to: UInt8.self))
            end += EventID.size
        } else {
            append(fields.id, at: &end)
        }
        if fields.source.isEmpty {
            append(UnsafeRawBufferPointer(start: defaultSourceBytes.utf8Start, count: sourceSize), at: &end)
        } else {
            append(fields.source, at: &end)
        }
        append(fields.subject, at: &end)
        append(fields.key, at: &end)
        append(fields.traceparent, at: &end)
        append(fields.causeid, at: &end)
        append(fields.extensions, at: &end)
        append(fields.data, at: &end)
    }

    private static let defaultSourceBytes: StaticString = "/moonbus"

    @inline(__always)
    private static func append(_ bytes: UnsafeRawBufferPointer, at end: inout UnsafeMutableRawPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        end.copyMemory(from: start, byteCount: bytes.count)
        end += bytes.count
    }
}
