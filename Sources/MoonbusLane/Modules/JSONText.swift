/// Writes JSON piece by piece, for calls and log lines.
extension FrameBuffer {
    func append(json text: StaticString) {
        append(bytes: UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    func append(jsonInteger integer: Int64) {
        append(text: String(integer))
    }

    /// Text between quotes. What is not UTF-8 becomes U+FFFD, control characters are escaped.
    func append(jsonString bytes: UnsafeRawBufferPointer) {
        append(UInt8(ascii: "\""))
        if String(validating: bytes, as: UTF8.self) != nil {
            appendEscaped(bytes)
        } else {
            var repaired = String(decoding: bytes, as: UTF8.self)
            repaired.withUTF8 { appendEscaped(UnsafeRawBufferPointer($0)) }
        }
        append(UInt8(ascii: "\""))
    }

    func append(jsonString text: String) {
        var text = text
        text.withUTF8 { append(jsonString: UnsafeRawBufferPointer($0)) }
    }

    private func appendEscaped(_ bytes: UnsafeRawBufferPointer) {
        var plain = 0
        for (index, byte) in bytes.enumerated() where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
            append(bytes: UnsafeRawBufferPointer(rebasing: bytes[plain..<index]))
            plain = index + 1
            append(UInt8(ascii: "\\"))
            if byte >= 0x20 {
                append(byte)
            } else {
                let digits = String(byte, radix: 16)
                append(text: "u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits)
            }
        }
        append(bytes: UnsafeRawBufferPointer(rebasing: bytes[plain...]))
    }
}
