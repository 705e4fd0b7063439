/// The rules that every attribute of an event keeps, whoever made it.
enum EventCheck {
    /// Refuses a record that is not exactly what docs/frames.md describes.
    static func record(_ record: UnsafeRawBufferPointer) throws(EventError) {
        guard record.count >= EventRecord.headerSize, record.count % 8 == 0 else {
            throw EventError(.badAttribute, "an event record of \(record.count) bytes: it has at least 40 and a multiple of 8")
        }
        guard record.count <= EventRecord.sizeMax else {
            throw EventError(.tooLarge, "an event record of \(record.count) bytes; the limit is \(EventRecord.sizeMax)")
        }
        let claimed = record.loadUnaligned(fromByteOffset: EventRecord.size, as: UInt32.self)
        guard Int(claimed) == record.count else {
            throw EventError(.badAttribute, "an event record of \(record.count) bytes says that it has \(claimed)")
        }
        var used = EventRecord.headerSize
        for place in stride(from: EventRecord.idSize, through: EventRecord.causeidSize, by: 2) + [EventRecord.typeSize] {
            used += Int(record.loadUnaligned(fromByteOffset: place, as: UInt16.self))
        }
        used += Int(record.loadUnaligned(fromByteOffset: EventRecord.extensionsSize, as: UInt32.self))
        used += Int(record.loadUnaligned(fromByteOffset: EventRecord.dataSize, as: UInt32.self))
        guard (used + 7) & ~7 == record.count else {
            throw EventError(.badAttribute, "an event record of \(record.count) bytes has fields of \(used)")
        }
        guard record[used...].allSatisfy({ $0 == 0 }), record[36..<40].allSatisfy({ $0 == 0 }) else {
            throw EventError(.badAttribute, "an event record has padding that is not zero")
        }

        let fields = EventFields(record: record)
        try EventType.check(fields.type)
        if fields.id.isEmpty { throw EventError(.badAttribute, "id is empty") }
        if fields.source.isEmpty { throw EventError(.badAttribute, "source is empty") }
        try attributes(fields)
        if !fields.data.isEmpty {
            try exactly(fields.data, named: "data", limits: JSONLimits(bytes: EventRecord.dataSizeMax))
        }
        if !fields.extensions.isEmpty {
            try exactly(fields.extensions, named: "extensions", limits: JSONLimits(bytes: EventRecord.extensionsSizeMax))
            try extensions(fields.extensions)
        }
    }

    /// Refuses attributes that are too long, not UTF-8, or hold control characters. Absent ones pass.
    static func attributes(_ fields: EventFields) throws(EventError) {
        try text(fields.id, named: "id", sizeMax: EventRecord.nameSizeMax)
        try text(fields.source, named: "source", sizeMax: EventRecord.referenceSizeMax)
        try text(fields.subject, named: "subject", sizeMax: EventRecord.referenceSizeMax)
        try text(fields.key, named: "partitionkey", sizeMax: EventRecord.nameSizeMax)
        try text(fields.causeid, named: "causeid", sizeMax: EventRecord.nameSizeMax)
        if !fields.traceparent.isEmpty, TraceContext(fields.traceparent) == nil {
            let given = String(decoding: fields.traceparent.prefix(80), as: UTF8.self)
            throw EventError(
                .badAttribute,
                "traceparent \(shown(given)) is not W3C trace context: \"00-<32 hex>-<16 hex>-<2 hex>\", lower case, not all zeros")
        }
        guard (0...Int(UInt16.max)).contains(fields.hops) else {
            throw EventError(.badAttribute, "hops is \(fields.hops); it counts from 0 to 65,535")
        }
        if let time = fields.time, !(Timestamp.earliest...Timestamp.latest).contains(time) {
            throw EventError(.badAttribute, "time is \(time.microseconds) µs since 1970; RFC 3339 ends with the year 9999")
        }
        guard fields.data.count <= EventRecord.dataSizeMax else {
            throw EventError(.tooLarge, "data has \(fields.data.count) bytes; the limit is \(EventRecord.dataSizeMax)")
        }
        guard fields.extensions.count <= EventRecord.extensionsSizeMax else {
            throw EventError(
                .tooLarge, "extension attributes have \(fields.extensions.count) bytes; the limit is \(EventRecord.extensionsSizeMax)")
        }
    }

    /// Refuses anything but a JSON object of attributes.
    ///
    /// - Parameter json: valid JSON.
    static func extensions(_ json: UnsafeRawBufferPointer) throws(EventError) {
        guard case .object(let members) = JSONReader.value(of: json) else {
            throw EventError(.badAttribute, "extensions are a JSON object of attributes")
        }
        for (name, value) in members {
            try extensionName(name)
            switch value {
            case .string(let text):
                try text.withUTF8Bytes { bytes throws(EventError) in
                    try self.text(bytes, named: name, sizeMax: EventRecord.extensionsSizeMax)
                }
            case .boolean: break
            case .integer(let number) where Int32(exactly: number) != nil: break
            default:
                throw EventError(
                    .badAttribute, "attribute \"\(name)\" is \(value.kind); an attribute is a text, a Boolean or a 32-bit integer")
            }
        }
    }

    /// Refuses names that CloudEvents does not allow and those that have a field of their own.
    static func extensionName(_ name: String) throws(EventError) {
        let isPlain = name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }
        guard isPlain, (1...20).contains(name.utf8.count) else {
            throw EventError(.badAttribute, "\(shown(name)) is not an attribute name: 1 to 20 of a-z and 0-9")
        }
        guard !ownNames.contains(name) else {
            throw EventError(.badAttribute, "attribute \"\(name)\" is not an extension: set it directly")
        }
    }

    /// Attributes that lie in fields of their own.
    static let ownNames: Set<String> = [
        "id", "source", "specversion", "type", "subject", "time", "partitionkey", "traceparent", "causeid", "hops", "data",
    ]

    private static func text(_ bytes: UnsafeRawBufferPointer, named name: String, sizeMax: Int) throws(EventError) {
        guard bytes.count <= sizeMax else {
            throw EventError(.tooLarge, "\(name) has \(bytes.count) bytes; the limit is \(sizeMax)")
        }
        if UTF8Check.isPrintableASCII(bytes) { return }
        if let index = UTF8Check.firstInvalid(in: bytes) {
            throw EventError(.badAttribute, "\(name) is not UTF-8 at byte \(index)")
        }
        for index in bytes.indices where UTF8Check.isControl(bytes, at: index) {
            throw EventError(.badAttribute, "\(name) holds a control character at byte \(index)")
        }
    }

    /// JSON without anything around it: a record says exactly how long it is.
    private static func exactly(_ bytes: UnsafeRawBufferPointer, named name: String, limits: JSONLimits) throws(EventError) {
        let value: Range<Int>
        do throws(EventError) {
            value = try JSONValidator.check(bytes, limits: limits)
        } catch {
            throw EventError(error.code, "\(name): \(error.message)")
        }
        guard value.count == bytes.count else {
            throw EventError(.badJSON, "\(name) has white space around its value")
        }
    }
}
