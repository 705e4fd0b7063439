/// The first thing that is wrong with a JSON text.
struct JSONFlaw: Error {
    enum Kind {
        case value, key, colon, commaOrBrace, commaOrBracket, end
        case control, utf8, escape, surrogate, number, numberRange, tooDeep, duplicateKey
    }

    let kind: Kind
    /// The byte where it is; the size of the text if that ends too early.
    let offset: Int

    init(_ kind: Kind, at offset: Int) {
        self.kind = kind
        self.offset = offset
    }

    /// The flaw in words, with its place; costs another walk over the text, which only refused text is worth.
    func error(in bytes: UnsafeRawBufferPointer, limits: JSONLimits) -> EventError {
        let place = JSONPlace(offset: offset, in: bytes)
        let code: EventError.Code = kind == .tooDeep ? .tooDeep : .badJSON
        return EventError(code, "not JSON at \(place): \(reason(in: bytes, limits: limits))")
    }

    private func reason(in bytes: UnsafeRawBufferPointer, limits: JSONLimits) -> String {
        switch kind {
        case .value: "expected a value, \(found(bytes))"
        case .key: "expected a key in quotes, \(found(bytes))"
        case .colon: "expected \":\" after the key, \(found(bytes))"
        case .commaOrBrace: "expected \",\" or \"}\", \(found(bytes))"
        case .commaOrBracket: "expected \",\" or \"]\", \(found(bytes))"
        case .end: "expected the end after the value, \(found(bytes))"
        case .control where offset == bytes.count: "the text ends inside of a string"
        case .control: "a control character in a string must be escaped (\\n, \\t, \\u0000)"
        case .utf8: "the bytes are not UTF-8"
        case .escape: "an escape is one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u0000, \(found(bytes))"
        case .surrogate: "half of a surrogate pair stands alone"
        case .number: "a number is written like -1, 0.5 or 1e6, \(found(bytes))"
        case .numberRange: "the number is too large for 64-bit floating point"
        case .tooDeep: "nested deeper than \(limits.depth)"
        case .duplicateKey: "a key that this object has already: \(key(bytes))"
        }
    }

    private func found(_ bytes: UnsafeRawBufferPointer) -> String {
        guard offset < bytes.count else { return "but the text ends" }
        let byte = bytes[offset]
        return byte < 0x80 ? "found \(shown(String(UnicodeScalar(byte))))" : "found byte 0x\(String(byte, radix: 16))"
    }

    private func key(_ bytes: UnsafeRawBufferPointer) -> String {
        var reader = JSONReader(bytes, at: offset)
        return shown(reader.string())
    }
}

/// Where a byte of a JSON text is, for people: byte, line, column, and the path of keys and indices that leads there.
struct JSONPlace: CustomStringConvertible {
    private let offset: Int
    private var line = 1
    private var column = 1
    private var path = ""

    private enum Level {
        case object(key: String?)
        case array(index: Int)
    }

    /// Finds the place; the text before `offset` is well-formed.
    init(offset: Int, in bytes: UnsafeRawBufferPointer) {
        self.offset = offset
        var levels: [Level] = []
        var index = 0
        while index < offset {
            switch bytes[index] {
            case UInt8(ascii: "{"): levels.append(.object(key: nil))
            case UInt8(ascii: "["): levels.append(.array(index: 0))
            case UInt8(ascii: "}"), UInt8(ascii: "]"): levels.removeLast()
            case UInt8(ascii: ","):
                if case .array(let index)? = levels.last {
                    levels[levels.count - 1] = .array(index: index + 1)
                } else {
                    levels[levels.count - 1] = .object(key: nil)
                }
            case UInt8(ascii: "\""):
                let start = index + 1
                index = Self.endOfString(bytes, from: start, before: offset)
                if case .object(key: nil)? = levels.last {
                    levels[levels.count - 1] = .object(key: String(decoding: bytes[start..<min(index, offset)], as: UTF8.self))
                }
            default: break
            }
            index += 1
        }
        for byte in bytes[..<offset] {
            // Columns count characters, not bytes: an editor shows them so.
            if byte == UInt8(ascii: "\n") { (line, column) = (line + 1, 1) } else if byte & 0xC0 != 0x80 { column += 1 }
        }
        path = Self.text(of: levels)
    }

    var description: String {
        "byte \(offset) (line \(line), column \(column)\(path.isEmpty ? "" : ", in \(path)"))"
    }

    private static func endOfString(_ bytes: UnsafeRawBufferPointer, from start: Int, before end: Int) -> Int {
        var index = start
        while index < end, bytes[index] != UInt8(ascii: "\"") {
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return index
    }

    private static func text(of levels: [Level]) -> String {
        var text = ""
        for level in levels {
            switch level {
            case .object(nil): break
            case .object(let key?): text += (text.isEmpty ? "" : ".") + shown(key).dropFirst().dropLast()
            case .array(let index): text += "[\(index)]"
            }
        }
        return text
    }
}
