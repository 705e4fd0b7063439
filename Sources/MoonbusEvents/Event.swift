/// An immutable fact: a CloudEvent 1.0 whose data is JSON.
///
/// An event is one reference to one contiguous record (docs/frames.md, "Event record"), the same bytes in memory, in a
/// journal and in a frame to a lane. Copies are retains; every property reads from the record when it is asked for.
/// Two events are the same when `source` and `id` are: that is CloudEvents' rule, and how duplicates are recognised.
///
///     let event = try Event(type: EventType("orders.eu.created"), data: JSON(#"{"amount": 12}"#), subject: "order-7")
public struct Event: @unchecked Sendable, Identifiable {
    // Its record is written once, in `make`, an `EventMaker` or `init(record:)`, never after.
    @usableFromInline let storage: ByteStorage
    /// Where the record begins: other events may lie in the same memory.
    @usableFromInline let offset: UInt32

    @usableFromInline
    init(storage: ByteStorage, offset: Int = 0) {
        self.storage = storage
        self.offset = UInt32(offset)
    }

    /// Creates an event, with every attribute checked.
    ///
    /// Texts must be UTF-8 without control characters.
    ///
    /// - Parameters:
    ///   - type: what it is routed by.
    ///   - data: at most 1 MiB of JSON; `nil` when the type says it all.
    ///   - id: 1…255 bytes, unique within `source`; `nil` makes a fresh one that sorts by time.
    ///   - source: where it comes from, a URI reference of 1…1,024 bytes.
    ///   - subject: what it is about, 1…1,024 bytes; the default ordering key.
    ///   - key: CloudEvents' `partitionkey`, 1…255 bytes: events with the same key are handled in order.
    ///   - time: when it happened; `nil` is now.
    ///   - traceparent: W3C trace context, 55 bytes.
    ///   - causeid: id of the event whose handling made this one, 1…255 bytes.
    ///   - hops: how many handlings lie between this event and the first one, 0…65,535.
    ///   - extensions: a JSON object with further attributes: names `[a-z0-9]{1,20}`, values texts, Booleans or 32-bit integers.
    /// - Throws: ``EventError`` `.badAttribute` or `.tooLarge`, naming the attribute.
    public init(
        type: EventType, data: JSON? = nil, id: String? = nil, source: String = Event.defaultSource, subject: String? = nil,
        key: String? = nil, time: Timestamp? = nil, traceparent: String? = nil, causeid: String? = nil, hops: Int = 0,
        extensions: JSON? = nil
    ) throws(EventError) {
        // One buffer for all texts: a pointer into each string would need as many nested closures.
        var texts = type.text
        texts += id ?? ""
        texts += source
        texts += subject ?? ""
        texts += key ?? ""
        texts += traceparent ?? ""
        texts += causeid ?? ""
        let sizes = [type.text, id, source, subject, key, traceparent, causeid].map { $0?.utf8.count ?? 0 }
        if id == "" { throw EventError(.badAttribute, "id is empty") }
        if source == "" { throw EventError(.badAttribute, "source is empty") }

        self = try texts.withUTF8Bytes { bytes throws(EventError) in
            var offset = 0
            func next(_ index: Int) -> UnsafeRawBufferPointer {
                defer { offset += sizes[index] }
                return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + sizes[index]])
            }
            var fields = EventFields()
            fields.type = next(0)
            fields.id = next(1)
            fields.source = next(2)
            fields.subject = next(3)
            fields.key = next(4)
            fields.traceparent = next(5)
            fields.causeid = next(6)
            fields.time = time
            fields.hops = hops
            return try Event.makeChecked(fields, data: data, extensions: extensions)
        }
    }

    /// The source of events that name none.
    public static let defaultSource = "/moonbus"

    private static func makeChecked(_ given: EventFields, data: JSON?, extensions: JSON?) throws(EventError) -> Event {
        if data?.isTooDeep == true || extensions?.isTooDeep == true {
            throw EventError(.tooDeep, "data is nested deeper than \(JSONLimits.depthMax)")
        }
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        return try (data ?? .null).withUnsafeBytes { dataBytes throws(EventError) in
            try (extensions ?? .null).withUnsafeBytes { extensionBytes throws(EventError) in
                var fields = given
                fields.data = data == nil ? empty : dataBytes
                fields.extensions = extensions == nil ? empty : extensionBytes
                try EventCheck.attributes(fields)
                if extensions != nil { try EventCheck.extensions(fields.extensions) }
                return make(fields)
            }
        }
    }
}

extension Event: Hashable {
    /// Whether both have the same `source` and `id`.
    public static func == (left: Event, right: Event) -> Bool {
        if left.storage === right.storage, left.offset == right.offset { return true }
        return left.withUnsafeFields { leftFields in
            right.withUnsafeFields { rightFields in
                leftFields.id.elementsEqual(rightFields.id) && leftFields.source.elementsEqual(rightFields.source)
            }
        }
    }

    /// Hashes `source` and `id`.
    public func hash(into hasher: inout Hasher) {
        withUnsafeFields { fields in
            hasher.combine(bytes: fields.id)
            hasher.combine(bytes: fields.source)
            hasher.combine(fields.id.count)
        }
    }
}

extension Event: CustomStringConvertible {
    /// Type, id and source, for logs: `orders.eu.created 01JD… from /moonbus`.
    public var description: String { "\(typeText) \(id) from \(source)" }
}
