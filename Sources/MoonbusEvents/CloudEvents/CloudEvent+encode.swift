extension CloudEvent {
    /// Writes an event in the JSON format, on one line.
    ///
    /// Data is passed on as it came, so that numbers keep all of their digits; only line breaks between its tokens are
    /// taken out, so that the text fits where lines count (JSON lines, server-sent events).
    public static func encode(_ event: Event) -> [UInt8] {
        event.withUnsafeFields { fields in
            var writer = JSONWriter()
            writer.append(raw: "{\"specversion\":\"1.0\",\"id\":")
            writer.append(text: fields.id)
            writer.append(raw: ",\"source\":")
            writer.append(text: fields.source)
            writer.append(raw: ",\"type\":")
            writer.append(text: fields.type)
            writer.append(",\"subject\":", text: fields.subject)
            writer.append(raw: ",\"time\":\"")
            writer.append(event.time)
            writer.append(raw: "\"")
            writer.append(",\"partitionkey\":", text: fields.key)
            writer.append(",\"traceparent\":", text: fields.traceparent)
            writer.append(",\"causeid\":", text: fields.causeid)
            if fields.hops > 0 {
                writer.append(raw: ",\"hops\":")
                writer.append(Int64(fields.hops))
            }
            if let extensions = event.extensions?.compact, extensions.byteCount > 2 {
                // The members of the object, without its braces.
                writer.append(raw: ",")
                extensions.withUnsafeBytes { writer.append(raw: UnsafeRawBufferPointer(rebasing: $0.dropFirst().dropLast())) }
            }
            if !fields.data.isEmpty {
                writer.append(raw: ",\"data\":")
                let hasBreaks = fields.data.contains { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
                if hasBreaks, let data = event.data?.compact {
                    data.withUnsafeBytes { writer.append(raw: $0) }
                } else {
                    writer.append(raw: fields.data)
                }
            }
            writer.append(raw: "}")
            return writer.bytes
        }
    }
}

extension JSONWriter {
    /// Appends a member, if its text is there.
    fileprivate mutating func append(_ key: StaticString, text: UnsafeRawBufferPointer) {
        guard !text.isEmpty else { return }
        append(raw: key)
        append(text: text)
    }

    fileprivate mutating func append(_ time: Timestamp) {
        withUnsafeTemporaryAllocation(byteCount: Timestamp.textSizeMax, alignment: 1) { buffer in
            let size = time.write(rfc3339: buffer)
            append(raw: UnsafeRawBufferPointer(rebasing: buffer[..<size]))
        }
    }
}
