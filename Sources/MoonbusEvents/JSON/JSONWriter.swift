/// Appends JSON text to bytes.
package struct JSONWriter {
    /// What was written so far.
    package private(set) var bytes: [UInt8] = []
    /// Whether something was nested deeper than ``JSONLimits/depthMax``.
    private(set) var isTooDeep = false

    /// Creates a writer without text.
    package init() {}

    /// Appends text that is JSON already, or punctuation between values.
    package mutating func append(raw text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends bytes that are JSON already.
    package mutating func append(raw json: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: json)
    }

    /// Appends a string with quotes and escapes.
    package mutating func append(_ text: String) {
        text.withUTF8Bytes { append(text: $0) }
    }

    /// Appends a string, given as UTF-8, with quotes and escapes.
    package mutating func append(text: UnsafeRawBufferPointer) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x08: append(raw: "\\b")
            case 0x09: append(raw: "\\t")
            case 0x0A: append(raw: "\\n")
            case 0x0C: append(raw: "\\f")
            case 0x0D: append(raw: "\\r")
            case 0..<0x20:
                append(raw: "\\u00")
                for digit in [byte >> 4, byte & 15] { bytes.append(digit < 10 ? 48 + digit : 87 + digit) }
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Appends a number.
    package mutating func append(_ number: Int64) {
        bytes.append(contentsOf: number.description.utf8)
    }

    mutating func append(_ value: JSONValue, depth: Int) {
        switch value {
        case .null: append(raw: "null")
        case .boolean(true): append(raw: "true")
        case .boolean(false): append(raw: "false")
        case .integer(let number): append(number)
        // Swift's description is the shortest text that reads back the same, and is JSON: 2.0, 1e+300, -0.0.
        case .number(let number) where number.isFinite: bytes.append(contentsOf: number.description.utf8)
        case .number: append(raw: "null")
        case .string(let text): append(text)
        case .array(let elements):
            isTooDeep = isTooDeep || depth >= JSONLimits.depthMax
            append(raw: "[")
            for (index, element) in elements.enumerated() {
                if index > 0 { append(raw: ",") }
                append(element, depth: depth + 1)
            }
            append(raw: "]")
        case .object(let object):
            isTooDeep = isTooDeep || depth >= JSONLimits.depthMax
            append(raw: "{")
            for (index, member) in object.enumerated() {
                if index > 0 { append(raw: ",") }
                append(member.key)
                append(raw: ":")
                append(member.value, depth: depth + 1)
            }
            append(raw: "}")
        }
    }
}
