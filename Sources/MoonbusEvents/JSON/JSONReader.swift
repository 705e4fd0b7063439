/// Reads JSON that is known to be valid: no step here looks for errors.
struct JSONReader {
    let bytes: UnsafeRawBufferPointer
    private(set) var index: Int

    /// Starts at an offset of valid JSON.
    init(_ bytes: UnsafeRawBufferPointer, at index: Int = 0) {
        self.bytes = bytes
        self.index = index
    }

    /// The tree of a valid text.
    static func value(of bytes: UnsafeRawBufferPointer) -> JSONValue {
        var reader = JSONReader(bytes)
        return reader.value()
    }

    /// The first byte of the next token, which stays the next one: it tells what kind of value follows.
    mutating func peek() -> UInt8 {
        while bytes[index] <= 0x20 { index += 1 }
        return bytes[index]
    }

    /// Moves past a token of one byte if it is the next one.
    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek() == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    /// Moves past the comma between two elements, or past the bracket (or brace) that ends them.
    ///
    /// - Returns: whether another element follows.
    mutating func next(before end: Unicode.Scalar) -> Bool {
        if take(",") { return true }
        index += 1
        return false
    }

    /// Moves past a value.
    mutating func skipValue() {
        switch peek() {
        case UInt8(ascii: "\""): skipString()
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            var depth = 0
            repeat {
                switch bytes[index] {
                case UInt8(ascii: "\""): skipString()
                case UInt8(ascii: "{"), UInt8(ascii: "["):
                    depth += 1
                    index += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"):
                    depth -= 1
                    index += 1
                default: index += 1
                }
            } while depth > 0
        default: skipScalar()
        }
    }

    /// Moves past a value and returns where it lies.
    mutating func span() -> UnsafeRawBufferPointer {
        _ = peek()
        let start = index
        skipValue()
        return UnsafeRawBufferPointer(rebasing: bytes[start..<index])
    }

    /// Reads a string without decoding it: what lies between its quotes, and whether that has escapes.
    mutating func rawString() -> (bytes: UnsafeRawBufferPointer, isEscaped: Bool) {
        _ = peek()
        let start = index + 1
        let isEscaped = skipString()
        return (UnsafeRawBufferPointer(rebasing: bytes[start..<index - 1]), isEscaped)
    }

    /// Reads a string.
    mutating func string() -> String {
        let raw = rawString()
        guard raw.isEscaped else { return String(decoding: raw.bytes, as: UTF8.self) }
        var decoded: [UInt8] = []
        Self.unescape(raw.bytes, into: &decoded)
        return String(decoding: decoded, as: UTF8.self)
    }

    /// Reads a string and appends its bytes, decoded.
    mutating func appendString(to target: inout [UInt8]) {
        let raw = rawString()
        if raw.isEscaped { Self.unescape(raw.bytes, into: &target) } else { target.append(contentsOf: raw.bytes) }
    }

    /// Reads a value as a tree.
    mutating func value() -> JSONValue {
        switch peek() {
        case UInt8(ascii: "\""): return .string(string())
        case UInt8(ascii: "{"): return .object(object())
        case UInt8(ascii: "["): return .array(array())
        case UInt8(ascii: "t"):
            index += 4
            return .boolean(true)
        case UInt8(ascii: "f"):
            index += 5
            return .boolean(false)
        case UInt8(ascii: "n"):
            index += 4
            return .null
        default: return number()
        }
    }

    /// Reads a number: exact if it is an integer of 64 bits, else the nearest Double.
    mutating func number() -> JSONValue {
        let text = span()
        if let integer = Self.integer(text) { return .integer(integer) }
        // "-0" is no integer: its sign would be lost.
        return .number(Double(String(decoding: text, as: UTF8.self)) ?? 0)
    }

    private mutating func object() -> JSONObject {
        var members: [JSONObject.Member] = []
        index += 1
        if take("}") { return JSONObject() }
        repeat {
            let key = string()
            _ = take(":")
            members.append((key, value()))
        } while next(before: "}")
        return JSONObject(unique: members)
    }

    private mutating func array() -> [JSONValue] {
        var elements: [JSONValue] = []
        index += 1
        if take("]") { return elements }
        repeat { elements.append(value()) } while next(before: "]")
        return elements
    }

    @discardableResult
    private mutating func skipString() -> Bool {
        var isEscaped = false
        index += 1
        while true {
            skipPlain()
            if bytes[index] == UInt8(ascii: "\"") {
                index += 1
                return isEscaped
            }
            isEscaped = true
            index += 2
        }
    }

    /// To the next quote or backslash, eight bytes at a time; see ``JSONValidator``.
    @inline(__always)
    private mutating func skipPlain() {
        while index + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let quote = word ^ 0x2222_2222_2222_2222
            let backslash = word ^ 0x5C5C_5C5C_5C5C_5C5C
            let ones: UInt64 = 0x0101_0101_0101_0101
            let mask = (((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)) & 0x8080_8080_8080_8080
            if mask != 0 {
                index += mask.trailingZeroBitCount / 8
                return
            }
            index += 8
        }
        while bytes[index] != UInt8(ascii: "\""), bytes[index] != UInt8(ascii: "\\") { index += 1 }
    }

    private mutating func skipScalar() {
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), 0...0x20: return
            default: index += 1
            }
        }
    }
}

extension JSONReader {
    /// The value of a hexadecimal digit.
    static func hexDigit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - 48)
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - 87)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - 55)
        default: nil
        }
    }

    /// The number that the text says exactly as a 64-bit integer; `nil` for fractions, exponents, larger ones and `-0`.
    static func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
        let isNegative = text.first == UInt8(ascii: "-")
        var number: Int64 = 0
        for byte in text.dropFirst(isNegative ? 1 : 0) {
            guard byte &- 48 < 10 else { return nil }
            let (product, overflow) = number.multipliedReportingOverflow(by: 10)
            let digit = Int64(byte - 48)
            let (sum, carry) = isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            guard !overflow, !carry else { return nil }
            number = sum
        }
        return isNegative && number == 0 ? nil : number
    }

    /// Appends what a string's bytes with escapes stand for.
    static func unescape(_ raw: UnsafeRawBufferPointer, into target: inout [UInt8]) {
        var index = 0
        func unit(at place: Int) -> UInt32 {
            (place..<place + 4).reduce(0) { $0 << 4 | (hexDigit(raw[$1]) ?? 0) }
        }
        while index < raw.count {
            guard raw[index] == UInt8(ascii: "\\") else {
                target.append(raw[index])
                index += 1
                continue
            }
            let letter = raw[index + 1]
            index += 2
            switch letter {
            case UInt8(ascii: "b"): target.append(0x08)
            case UInt8(ascii: "f"): target.append(0x0C)
            case UInt8(ascii: "n"): target.append(0x0A)
            case UInt8(ascii: "r"): target.append(0x0D)
            case UInt8(ascii: "t"): target.append(0x09)
            case UInt8(ascii: "u"):
                var scalar = unit(at: index)
                index += 4
                if scalar & 0xFC00 == 0xD800 {
                    scalar = 0x10000 + (scalar & 0x3FF) << 10 + unit(at: index + 2) & 0x3FF
                    index += 6
                }
                if let scalar = Unicode.Scalar(scalar) {
                    target.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
                }
            default: target.append(letter)
            }
        }
    }
}
