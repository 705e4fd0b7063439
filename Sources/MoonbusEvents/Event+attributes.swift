// What an event says, read from its record.

extension Event {
    /// Unique together with ``source``.
    public var id: String { withUnsafeFields { String(decoding: $0.id, as: UTF8.self) } }
    /// Where it comes from.
    public var source: String { withUnsafeFields { String(decoding: $0.source, as: UTF8.self) } }
    /// What it is routed by.
    public var type: EventType { EventType(trusted: typeText) }
    /// The text of ``type``.
    public var typeText: String { withUnsafeType { String(decoding: $0, as: UTF8.self) } }
    /// What it is about; the default ordering key.
    public var subject: String? { withUnsafeFields { Event.text($0.subject) } }
    /// CloudEvents' `partitionkey`.
    public var key: String? { withUnsafeFields { Event.text($0.key) } }
    /// What orders it among others: ``key``, else ``subject``.
    public var orderingKey: String? { withUnsafeOrderingKey { Event.text($0) } }
    /// The trace that it belongs to, as a W3C `traceparent`.
    public var traceparent: String? { withUnsafeFields { Event.text($0.traceparent) } }
    /// The id of the event whose handling made this one.
    public var causeid: String? { withUnsafeFields { Event.text($0.causeid) } }

    /// When it happened. Reads 8 bytes, allocates nothing.
    @inlinable
    public var time: Timestamp {
        withUnsafeRecord { Timestamp(microseconds: $0.load(fromByteOffset: EventRecord.time, as: Int64.self)) }
    }

    /// How many handlings lie between this event and the first one. Reads 2 bytes, allocates nothing.
    @inlinable
    public var hops: Int {
        withUnsafeRecord { Int($0.load(fromByteOffset: EventRecord.hops, as: UInt16.self)) }
    }

    /// The data, sharing the event's memory; `nil` when it has none.
    public var data: JSON? {
        withUnsafeRecord { json(in: $0, EventFields(record: $0).data) }
    }

    /// The attributes that have no property of their own, as a JSON object sharing the event's memory; `nil` when there are none.
    public var extensions: JSON? {
        withUnsafeRecord { json(in: $0, EventFields(record: $0).extensions) }
    }

    /// Whether there are ``extensions``. Reads 4 bytes, allocates nothing.
    @inlinable
    package var hasExtensions: Bool {
        withUnsafeRecord { $0.load(fromByteOffset: EventRecord.extensionsSize, as: UInt32.self) } != 0
    }

    /// The extension that names the subscription which wants the event's results.
    package static let replyToName = "replyto"

    /// What ``replyToName`` says; nil for most events.
    package var replyTo: String? {
        hasExtensions ? extensions?.value(at: [Self.replyToName])?.string : nil
    }

    private func json(in record: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer) -> JSON? {
        guard bytes.count > 0, let start = bytes.baseAddress, let base = record.baseAddress else { return nil }
        return JSON(storage: storage, offset: Int(offset) + (start - base), size: bytes.count)
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String? {
        bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}

extension Event {
    /// The whole record, padding included; valid while `body` runs.
    @inlinable
    package func withUnsafeRecord<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try storage.withUnsafeMutablePointerToElements { elements throws(Failure) in
            let start = UnsafeRawPointer(elements) + Int(offset)
            return try body(UnsafeRawBufferPointer(start: start, count: Int(start.load(as: UInt32.self).littleEndian)))
        }
    }

    /// The bytes of the record, padding included; a multiple of 8.
    @inlinable
    package var recordSize: Int { withUnsafeRecord(\.count) }

    /// The same event in memory of its own.
    ///
    /// For whoever keeps single events for long: one that was made by an ``EventMaker`` keeps its neighbours' memory, too.
    package var detached: Event {
        withUnsafeRecord { record in
            record.count == storage.header ? self : Event(storage: ByteStorage.make(size: record.count) { $0.copyMemory(from: record) })
        }
    }

    /// All fields in place; valid while `body` runs.
    package func withUnsafeFields<R, Failure: Error>(_ body: (EventFields) throws(Failure) -> R) throws(Failure) -> R {
        try withUnsafeRecord { record throws(Failure) in try body(EventFields(record: record)) }
    }

    /// The type's bytes; valid while `body` runs.
    @inlinable
    package func withUnsafeType<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try withUnsafeRecord { record throws(Failure) in
            let size = Int(record.load(fromByteOffset: EventRecord.typeSize, as: UInt16.self))
            return try body(UnsafeRawBufferPointer(rebasing: record[40..<40 + size]))
        }
    }

    /// The subject's bytes, none when it has no subject; valid while `body` runs.
    package func withUnsafeSubject<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try withUnsafeFields { fields throws(Failure) in try body(fields.subject) }
    }

    /// The partition key's bytes, none when it has no key; valid while `body` runs.
    package func withUnsafeKey<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try withUnsafeFields { fields throws(Failure) in try body(fields.key) }
    }

    /// The bytes of ``orderingKey``, none when it has neither key nor subject; valid while `body` runs.
    package func withUnsafeOrderingKey<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try withUnsafeFields { fields throws(Failure) in try body(fields.key.isEmpty ? fields.subject : fields.key) }
    }

    /// The data's bytes, none when it has no data; valid while `body` runs.
    package func withUnsafeData<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try withUnsafeFields { fields throws(Failure) in try body(fields.data) }
    }
}
