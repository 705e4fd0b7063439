import MoonbusEvents
import NIOCore

/// JSON written straight into a buffer: the answers are few and known, and their bytes are made once.
extension ByteBuffer {
    /// Writes a JSON string with its quotes.
    mutating func writeJSON(_ text: String) {
        writeInteger(UInt8(ascii: "\""))
        var text = text
        let isPlain = text.withUTF8 { bytes in bytes.allSatisfy { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C } }
        if isPlain {
            writeString(text)
        } else {
            for byte in text.utf8 { writeEscaped(byte) }
        }
        writeInteger(UInt8(ascii: "\""))
    }

    /// Writes a JSON string, or `null`.
    mutating func writeJSON(_ text: String?) {
        if let text { writeJSON(text) } else { writeStaticString("null") }
    }

    /// Writes a value that is JSON already.
    mutating func writeJSON(_ json: JSON) {
        json.withUnsafeBytes { _ = writeBytes($0) }
    }

    /// Writes an integer in decimal.
    mutating func writeJSON(_ number: some BinaryInteger) { writeString("\(number)") }

    /// Writes `[…]`, the elements written by `element`.
    mutating func writeArray<Elements: Sequence>(_ elements: Elements, _ element: (inout ByteBuffer, Elements.Element) -> Void) {
        writeInteger(UInt8(ascii: "["))
        var isFirst = true
        for value in elements {
            if !isFirst { writeInteger(UInt8(ascii: ",")) }
            isFirst = false
            element(&self, value)
        }
        writeInteger(UInt8(ascii: "]"))
    }

    private mutating func writeEscaped(_ byte: UInt8) {
        switch byte {
        case 0x22: writeStaticString("\\\"")
        case 0x5C: writeStaticString("\\\\")
        case 0x0A: writeStaticString("\\n")
        case 0x0D: writeStaticString("\\r")
        case 0x09: writeStaticString("\\t")
        case 0..<0x20:
            let hex = Array("0123456789abcdef".utf8)
            writeStaticString("\\u00")
            writeInteger(hex[Int(byte >> 4)])
            writeInteger(hex[Int(byte & 15)])
        default: writeInteger(byte)
        }
    }
}

/// An object that is being written: `{"name":value,…}`.
struct ObjectWriter {
    private var buffer: ByteBuffer
    private var isEmpty = true

    /// Begins an object at the end of `buffer`.
    init(_ buffer: ByteBuffer = ByteBuffer()) {
        self.buffer = buffer
        self.buffer.writeInteger(UInt8(ascii: "{"))
    }

    /// Writes a member whose name needs no escapes; `value` writes the value.
    mutating func member(_ name: StaticString, _ value: (inout ByteBuffer) -> Void) {
        if !isEmpty { buffer.writeInteger(UInt8(ascii: ",")) }
        isEmpty = false
        buffer.writeInteger(UInt8(ascii: "\""))
        buffer.writeStaticString(name)
        buffer.writeStaticString("\":")
        value(&buffer)
    }

    /// Writes a text member.
    mutating func member(_ name: StaticString, _ text: String) { member(name) { $0.writeJSON(text) } }

    /// Writes a text member unless there is none.
    mutating func member(_ name: StaticString, _ text: String?) {
        if let text { member(name, text) }
    }

    /// Writes a number member.
    mutating func member(_ name: StaticString, _ number: some BinaryInteger) { member(name) { $0.writeJSON(number) } }

    /// Writes a number member unless there is none.
    mutating func member(_ name: StaticString, _ number: (some BinaryInteger)?) {
        if let number { member(name, number) }
    }

    /// Writes a true or false member.
    mutating func member(_ name: StaticString, _ flag: Bool) { member(name) { $0.writeStaticString(flag ? "true" : "false") } }

    /// Writes a member of strings.
    mutating func member(_ name: StaticString, _ texts: [String]) {
        member(name) { $0.writeArray(texts) { $0.writeJSON($1) } }
    }

    /// Ends the object.
    consuming func finish() -> ByteBuffer {
        buffer.writeInteger(UInt8(ascii: "}"))
        return buffer
    }
}
