/// Checks JSON in one pass over its bytes, without building anything.
///
/// Recursive, at most ``JSONLimits/depthMax`` frames. Duplicate keys are found by a fingerprint of each key; see ``JSONKeys``.
struct JSONValidator: ~Copyable {
    private let bytes: UnsafeRawBufferPointer
    private let depthMax: Int
    private var index = 0
    private var keys: JSONKeys

    /// Refuses a text that is not exactly one JSON value with white space around it.
    ///
    /// - Parameter envelope: how many levels around the data the depth limit does not count.
    /// - Returns: where the value lies, without the white space.
    /// - Throws: ``EventError`` `.badJSON`, `.tooDeep` or `.tooLarge`.
    static func check(_ bytes: UnsafeRawBufferPointer, limits: JSONLimits, envelope: Int = 0) throws(EventError) -> Range<Int> {
        guard bytes.count <= limits.bytes else {
            throw EventError(.tooLarge, "JSON of \(bytes.count) bytes; the limit is \(limits.bytes)")
        }
        var validator = JSONValidator(bytes: bytes, depthMax: limits.depth + envelope)
        do throws(JSONFlaw) {
            return try validator.text()
        } catch {
            throw error.error(in: bytes, limits: limits)
        }
    }

    private init(bytes: UnsafeRawBufferPointer, depthMax: Int) {
        self.bytes = bytes
        self.depthMax = depthMax
        keys = JSONKeys(text: bytes)
    }

    private mutating func text() throws(JSONFlaw) -> Range<Int> {
        skipSpace()
        let start = index
        try value(depth: 0)
        let end = index
        skipSpace()
        guard index == bytes.count else { throw JSONFlaw(.end, at: index) }
        return start..<end
    }

    private mutating func value(depth: Int) throws(JSONFlaw) {
        guard index < bytes.count else { throw JSONFlaw(.value, at: index) }
        switch bytes[index] {
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "{"): try object(depth: depth)
        case UInt8(ascii: "["): try array(depth: depth)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: throw JSONFlaw(.value, at: index)
        }
    }

    private mutating func object(depth: Int) throws(JSONFlaw) {
        guard depth < depthMax else { throw JSONFlaw(.tooDeep, at: index) }
        index += 1
        skipSpace()
        if take("}") { return }
        let first = keys.count
        while true {
            guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else { throw JSONFlaw(.key, at: index) }
            let start = index
            let isEscaped = try string()
            if let duplicate = keys.add(start + 1..<index - 1, isEscaped: isEscaped, first: first) {
                throw JSONFlaw(.duplicateKey, at: duplicate - 1)
            }
            skipSpace()
            guard take(":") else { throw JSONFlaw(.colon, at: index) }
            skipSpace()
            try value(depth: depth + 1)
            skipSpace()
            if take(",") {
                skipSpace()
            } else if take("}") {
                break
            } else {
                throw JSONFlaw(.commaOrBrace, at: index)
            }
        }
        if let duplicate = keys.close(first: first) { throw JSONFlaw(.duplicateKey, at: duplicate - 1) }
    }

    private mutating func array(depth: Int) throws(JSONFlaw) {
        guard depth < depthMax else { throw JSONFlaw(.tooDeep, at: index) }
        index += 1
        skipSpace()
        if take("]") { return }
        while true {
            try value(depth: depth + 1)
            skipSpace()
            if take("]") { return }
            guard take(",") else { throw JSONFlaw(.commaOrBracket, at: index) }
            skipSpace()
        }
    }

    /// From the opening quote to past the closing one. Returns whether there is an escape.
    private mutating func string() throws(JSONFlaw) -> Bool {
        var isEscaped = false
        index += 1
        while true {
            skipPlain()
            guard index < bytes.count else { throw JSONFlaw(.control, at: index) }
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                index += 1
                return isEscaped
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
                try escape()
            } else if byte >= 0x80 {
                guard let width = UTF8Check.width(in: bytes, at: index) else { throw JSONFlaw(.utf8, at: index) }
                index += width
            } else {
                throw JSONFlaw(.control, at: index)
            }
        }
    }

    /// Past all printable ASCII but quotes and backslashes, eight bytes at a time.
    @inline(__always)
    private mutating func skipPlain() {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        while index + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let quote = word ^ 0x2222_2222_2222_2222
            let backslash = word ^ 0x5C5C_5C5C_5C5C_5C5C
            // A byte's high bit gets set where it is 0 (or below 0x20). Borrows spoil only bytes above a true hit.
            let stops = ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | ((word &- ones &* 0x20) & ~word) | word
            let mask = stops & highs
            if mask != 0 {
                index += mask.trailingZeroBitCount / 8
                return
            }
            index += 8
        }
        while index < bytes.count, case let byte = bytes[index], byte >= 0x20, byte < 0x80,
            byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\")
        {
            index += 1
        }
    }

    private mutating func escape() throws(JSONFlaw) {
        guard index + 1 < bytes.count else { throw JSONFlaw(.control, at: bytes.count) }
        let start = index
        switch bytes[index + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
            UInt8(ascii: "r"), UInt8(ascii: "t"):
            index += 2
        case UInt8(ascii: "u"):
            let unit = try hex()
            if unit & 0xFC00 == 0xDC00 { throw JSONFlaw(.surrogate, at: start) }
            guard unit & 0xFC00 == 0xD800 else { return }
            guard index + 1 < bytes.count, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u"),
                try hex() & 0xFC00 == 0xDC00
            else { throw JSONFlaw(.surrogate, at: start) }
        default: throw JSONFlaw(.escape, at: index + 1)
        }
    }

    /// `\uXXXX`, from the backslash on.
    private mutating func hex() throws(JSONFlaw) -> UInt32 {
        var unit: UInt32 = 0
        for place in index + 2..<index + 6 {
            guard place < bytes.count, let digit = JSONReader.hexDigit(bytes[place]) else { throw JSONFlaw(.escape, at: place) }
            unit = unit << 4 | digit
        }
        index += 6
        return unit
    }

    private mutating func number() throws(JSONFlaw) {
        let start = index
        if bytes[index] == UInt8(ascii: "-") { index += 1 }
        let whole = digits()
        let isZero = whole > 0 && bytes[index - whole] == UInt8(ascii: "0")
        guard whole == 1 || (whole > 1 && !isZero) else {
            throw JSONFlaw(.number, at: whole > 1 ? index - whole + 1 : index)
        }
        if take("."), digits() == 0 { throw JSONFlaw(.number, at: index) }
        var exponent = 0
        if index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            let isNegative = take("-")
            if !isNegative { _ = take("+") }
            let first = index
            guard digits() > 0 else { throw JSONFlaw(.number, at: index) }
            for byte in bytes[first..<index] where exponent < 100_000 { exponent = exponent * 10 + Int(byte - 48) }
            if isNegative { exponent = 0 }
        }
        // The largest Double has 309 digits; only numbers near it are worth converting.
        if whole + exponent > 308 {
            let text = String(decoding: bytes[start..<index], as: UTF8.self)
            guard let double = Double(text), double.isFinite else { throw JSONFlaw(.numberRange, at: start) }
        }
    }

    private mutating func digits() -> Int {
        let start = index
        while index < bytes.count, bytes[index] &- 48 < 10 { index += 1 }
        return index - start
    }

    private mutating func literal(_ text: StaticString) throws(JSONFlaw) {
        let size = text.utf8CodeUnitCount
        for place in 0..<size {
            guard index + place < bytes.count, bytes[index + place] == text.utf8Start[place] else {
                throw JSONFlaw(.value, at: index)
            }
        }
        index += size
    }

    @inline(__always)
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    @inline(__always)
    private mutating func skipSpace() {
        while index < bytes.count, case let byte = bytes[index],
            byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
        {
            index += 1
        }
    }
}
