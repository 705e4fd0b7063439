internal import Glibc

/// An event whose attributes come one by one, in any order.
struct EventDraft: ~Copyable {
    private var fields = EventFields()
    private var isVersionGiven = false
    private var extensions = JSONWriter()
    private var extensionCount = 0
    /// Attributes that had to be decoded; what `fields` points into, as long as the draft lives.
    private var decoded: [UnsafeMutableRawBufferPointer] = []
    /// Names that are neither ours nor plain extensions' are refused at once; a misspelt `type` is only missed at the end.
    private var extensionNames: [String] = []

    deinit {
        for buffer in decoded { buffer.deallocate() }
    }

    /// Takes a member of the JSON format; the reader stands before its value.
    mutating func set(_ name: UnsafeRawBufferPointer, _ reader: inout JSONReader) throws(EventError) {
        let first = reader.peek()
        let attribute = CloudEventAttribute(name)
        if attribute == .data {
            fields.data = reader.span()
        } else if first == UInt8(ascii: "n") {
            // The JSON format: an attribute that is null is not set.
            reader.skipValue()
        } else if attribute == .hops {
            fields.hops = try Self.hops(reader.value())
        } else if let attribute {
            guard first == UInt8(ascii: "\"") else {
                throw EventError(.badAttribute, "\(attribute.rawValue) is \(reader.value().kind); it is a text: put it in quotes")
            }
            let (raw, isEscaped) = reader.rawString()
            try set(attribute, text: isEscaped ? keep(unescaping: raw) : raw)
        } else {
            try setExtension(Self.string(name), reader.value())
        }
    }

    /// Takes an attribute's text, which must outlive the draft.
    mutating func set(_ name: String, text: UnsafeRawBufferPointer) throws(EventError) {
        if let attribute = CloudEventAttribute(rawValue: name) {
            try set(attribute, text: text)
        } else {
            try setExtension(name, .string(Self.string(text)))
        }
    }

    private mutating func set(_ attribute: CloudEventAttribute, text: UnsafeRawBufferPointer) throws(EventError) {
        guard !text.isEmpty else { throw EventError(.badAttribute, "\(attribute.rawValue) is empty; leave it out") }
        switch attribute {
        case .id: fields.id = text
        case .source: fields.source = text
        case .type: fields.type = text
        case .subject: fields.subject = text
        case .partitionkey: fields.key = text
        case .traceparent: fields.traceparent = text
        case .causeid: fields.causeid = text
        case .time:
            guard let time = Timestamp(rfc3339: text) else {
                throw EventError(.badAttribute, "time \(shown(Self.string(text))) is not RFC 3339, like 2026-11-23T10:44:07Z")
            }
            fields.time = time
        case .hops: fields.hops = try Self.hops(JSONReader.integer(text).map { .integer($0) } ?? .null)
        case .specversion:
            guard text.elementsEqual("1.0".utf8) else {
                throw EventError(.badAttribute, "specversion is \(shown(Self.string(text))); only 1.0 is supported: set it to \"1.0\"")
            }
            isVersionGiven = true
        case .datacontenttype:
            if text.elementsEqual("application/json".utf8) { return }
            if try !MediaType.check(Self.string(text)) { try setExtension(attribute.rawValue, .string(Self.string(text))) }
        case .dataschema, .data: try setExtension(attribute.rawValue, .string(Self.string(text)))
        }
    }

    /// Takes the data.
    mutating func set(data: UnsafeRawBufferPointer) {
        fields.data = data
    }

    /// Whether an attribute was given.
    var hasTraceparent: Bool { !fields.traceparent.isEmpty }

    /// The event, if everything that must be there is there.
    ///
    /// - Parameter prefix: what attributes begin with where they came from: `ce-` in headers.
    consuming func event(strict: Bool, source: String, prefix: String = "") throws(EventError) -> Event {
        if strict {
            let missing = [
                ("specversion", !isVersionGiven), ("id", fields.id.isEmpty), ("source", fields.source.isEmpty),
                ("type", fields.type.isEmpty && extensionNames.isEmpty),
            ].filter(\.1).map { prefix + $0.0 }
            guard missing.isEmpty else {
                let all = ["specversion", "id", "source", "type"].map { prefix + $0 }.joined(separator: ", ")
                let verb = missing.count == 1 ? "is" : "are"
                throw EventError(.badAttribute, "\(missing.joined(separator: ", ")) \(verb) missing; a CloudEvent has \(all)")
            }
        }
        guard !fields.type.isEmpty else {
            let misspelt = extensionNames.first { Suggestion.nearest(to: $0, in: ["type"]) != nil }
            throw EventError(
                .badAttribute,
                "\(prefix)type is missing\(misspelt.map { "; did you mean \"type\" by \"\($0)\"?" } ?? "; an event is routed by it")")
        }
        if extensionCount > 0 { extensions.append(raw: "}") }
        return try source.withUTF8Bytes { source throws(EventError) in
            try extensions.bytes.withUnsafeBufferPointer { extensions throws(EventError) in
                var complete = fields
                if complete.source.isEmpty { complete.source = source }
                complete.extensions = UnsafeRawBufferPointer(extensions)
                try EventType.check(complete.type)
                try EventCheck.attributes(complete)
                if extensionCount > 0 { try EventCheck.extensions(complete.extensions) }
                return Event.make(complete)
            }
        }
    }

    private mutating func setExtension(_ name: String, _ value: JSONValue) throws(EventError) {
        if name == "data_base64" {
            throw EventError(
                .badAttribute, "data_base64 is not supported: Moonbus carries JSON; put the base64 text into data, as a string")
        }
        if name == Event.replyToName {
            throw EventError(
                .badAttribute, "\(name) is set by Moonbus alone: it says which source hears of the event's results; leave it out")
        }
        try EventCheck.extensionName(name)
        if extensionNames.count < 100 { extensionNames.append(name) }
        extensionCount += 1
        if extensionCount == 1 { extensions.append(raw: "{") } else { extensions.append(raw: ",") }
        extensions.append(name)
        extensions.append(raw: ":")
        extensions.append(value, depth: 0)
    }

    /// Decodes a string's bytes to where they live as long as the draft.
    mutating func keep(unescaping raw: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var bytes: [UInt8] = []
        JSONReader.unescape(raw, into: &bytes)
        return keep(bytes)
    }

    /// Copies bytes to where they live as long as the draft.
    mutating func keep(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        buffer.copyBytes(from: bytes)
        decoded.append(buffer)
        return UnsafeRawBufferPointer(buffer)
    }

    private static func hops(_ value: JSONValue) throws(EventError) -> Int {
        guard case .integer(let hops) = value, (0...Int64(UInt16.max)).contains(hops) else {
            throw EventError(.badAttribute, "hops is a count from 0 to 65,535")
        }
        return Int(hops)
    }

    private static func string(_ bytes: UnsafeRawBufferPointer) -> String {
        String(decoding: bytes, as: UTF8.self)
    }
}

/// The members of a CloudEvent that are no plain extensions.
enum CloudEventAttribute: String, CaseIterable {
    case type, id, source, data, time, specversion, subject, datacontenttype, partitionkey, traceparent, causeid, hops, dataschema

    /// Finds a name among them by its bytes; without making a string, because every event from outside comes through here.
    init?(_ name: UnsafeRawBufferPointer) {
        let (candidate, text): (Self, StaticString)
        switch (name.count, name.first) {
        case (4, UInt8(ascii: "t")): (candidate, text) = name[1] == UInt8(ascii: "y") ? (.type, "type") : (.time, "time")
        case (2, _): (candidate, text) = (.id, "id")
        case (6, _): (candidate, text) = (.source, "source")
        case (4, UInt8(ascii: "d")): (candidate, text) = (.data, "data")
        case (4, UInt8(ascii: "h")): (candidate, text) = (.hops, "hops")
        case (11, UInt8(ascii: "s")): (candidate, text) = (.specversion, "specversion")
        case (11, UInt8(ascii: "t")): (candidate, text) = (.traceparent, "traceparent")
        case (7, UInt8(ascii: "s")): (candidate, text) = (.subject, "subject")
        case (7, UInt8(ascii: "c")): (candidate, text) = (.causeid, "causeid")
        case (15, _): (candidate, text) = (.datacontenttype, "datacontenttype")
        case (12, _): (candidate, text) = (.partitionkey, "partitionkey")
        case (10, _): (candidate, text) = (.dataschema, "dataschema")
        default: return nil
        }
        guard let start = name.baseAddress, memcmp(start, text.utf8Start, name.count) == 0 else { return nil }
        self = candidate
    }
}

/// `datacontenttype`, and the Content-Type of binary events.
enum MediaType {
    /// Refuses what is not JSON in UTF-8.
    ///
    /// - Returns: whether it says no more than `application/json`, which is what data without a type is.
    static func check(_ text: String) throws(EventError) -> Bool {
        let parts = text.split(separator: ";", omittingEmptySubsequences: false).map { trimmed($0.lowercased()) }
        let type = parts[0]
        guard type.hasSuffix("/json") || type.hasSuffix("+json") else {
            throw EventError(
                .badAttribute, "data of type \(shown(type)) is not supported: Moonbus carries JSON; put the content into data, as a string")
        }
        var hasOther = type != "application/json"
        for parameter in parts.dropFirst() where !parameter.isEmpty {
            if parameter.hasPrefix("charset=") {
                let charset = parameter.dropFirst("charset=".count).filter { $0 != "\"" }
                guard charset == "utf-8" || charset == "us-ascii" else {
                    throw EventError(.badAttribute, "data in charset \(shown(charset)) is not supported: JSON is UTF-8")
                }
            } else {
                hasOther = true
            }
        }
        return !hasOther
    }

    private static func trimmed(_ text: String) -> String {
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        return String(decoding: text.utf8.drop(while: isBlank).reversed().drop(while: isBlank).reversed(), as: UTF8.self)
    }
}
