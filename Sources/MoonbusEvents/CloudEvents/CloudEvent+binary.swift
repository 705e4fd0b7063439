// Binary mode of the HTTP binding: attributes in `ce-` headers, the data as the body.

extension CloudEvent {
    /// Reads an event in binary mode.
    ///
    /// Header values are unquoted, then percent-decoded once, as the binding says. A plain `traceparent` header counts
    /// when there is no `ce-traceparent`; one that is broken is ignored, as W3C says. Other headers are no attributes.
    ///
    /// - Parameters:
    ///   - headers: all headers of the request, names in any case.
    ///   - body: JSON; empty: no data.
    /// - Throws: ``EventError``: `.badJSON`, `.tooDeep`, `.tooLarge`, `.badType` or `.badAttribute`, naming the attribute.
    public static func decode(
        headers: [(String, String)], body: UnsafeRawBufferPointer
    ) throws(EventError) -> Event {
        var draft = EventDraft()
        var trace: String?
        var seen: Set<String> = []
        for (header, value) in headers {
            let header = header.lowercased()
            if header == "content-type" {
                if body.isEmpty { continue }
                try draft.set("datacontenttype", text: draft.keep(Array(value.utf8)))
            } else if header == "traceparent" {
                trace = value
            } else if header.hasPrefix("ce-") {
                let name = String(header.dropFirst(3))
                guard name != "datacontenttype" else {
                    throw EventError(.badAttribute, "datacontenttype is the Content-Type header in binary mode")
                }
                guard seen.insert(name).inserted else { throw EventError(.badAttribute, "\(name) is there twice") }
                try draft.set(name, text: draft.keep(HeaderText.decode(value)))
            }
        }
        if !draft.hasTraceparent, let trace, TraceContext(trace) != nil {
            try draft.set("traceparent", text: draft.keep(Array(trace.utf8)))
        }
        if !body.isEmpty {
            let value = try JSONValidator.check(body, limits: JSONLimits(bytes: EventRecord.dataSizeMax))
            draft.set(data: UnsafeRawBufferPointer(rebasing: body[value]))
        }
        return try draft.event(strict: true, source: Event.defaultSource, prefix: "ce-")
    }

    /// The headers of an event in binary mode; the body is its data.
    public static func headers(of event: Event) -> [(String, String)] {
        var headers = [("ce-specversion", "1.0"), ("ce-id", event.id), ("ce-source", event.source), ("ce-type", event.typeText)]
        headers.append(("ce-time", event.time.description))
        if let subject = event.subject { headers.append(("ce-subject", subject)) }
        if let key = event.key { headers.append(("ce-partitionkey", key)) }
        if let traceparent = event.traceparent { headers.append(("ce-traceparent", traceparent)) }
        if let causeid = event.causeid { headers.append(("ce-causeid", causeid)) }
        if event.hops > 0 { headers.append(("ce-hops", "\(event.hops)")) }
        var contentType = "application/json"
        for (name, value) in event.extensions?.value.object ?? [:] {
            let text = value.string ?? JSON(value).text
            if name == "datacontenttype" { contentType = text } else { headers.append(("ce-\(name)", text)) }
        }
        headers = headers.map { ($0.0, HeaderText.encode($0.1)) }
        if event.data != nil { headers.append(("content-type", contentType)) }
        return headers
    }
}

/// Attribute values in HTTP headers. Origin: CloudEvents 1.0.2, HTTP binding, section 3.1.3.2.
enum HeaderText {
    /// Escapes spaces, quotes, percent signs and everything that is not printable ASCII.
    static func encode(_ text: String) -> String {
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            if (0x21...0x7E).contains(byte), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "%") {
                encoded.append(byte)
            } else {
                encoded.append(UInt8(ascii: "%"))
                for digit in [byte >> 4, byte & 15] { encoded.append(digit < 10 ? 48 + digit : 55 + digit) }
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    /// Takes the quotes away, then decodes percent signs, once. A percent sign without two digits stands for itself.
    static func decode(_ text: String) -> [UInt8] {
        let bytes = unquoted(Array(text.utf8))
        var decoded: [UInt8] = []
        decoded.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let high = JSONReader.hexDigit(bytes[index + 1]), let low = JSONReader.hexDigit(bytes[index + 2])
            {
                decoded.append(UInt8(high << 4 | low))
                index += 3
            } else {
                decoded.append(bytes[index])
                index += 1
            }
        }
        return decoded
    }

    /// A quoted-string of RFC 7230 without its quotes and backslashes; older senders quote values with spaces.
    private static func unquoted(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count >= 2, bytes.first == UInt8(ascii: "\""), bytes.last == UInt8(ascii: "\"") else { return bytes }
        var inner: [UInt8] = []
        var isEscaped = false
        for byte in bytes[1..<bytes.count - 1] {
            if !isEscaped, byte == UInt8(ascii: "\\") {
                isEscaped = true
                continue
            }
            isEscaped = false
            inner.append(byte)
        }
        return inner
    }
}
