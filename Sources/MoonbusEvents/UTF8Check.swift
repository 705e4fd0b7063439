/// UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF.
enum UTF8Check {
    /// The offset of the first byte that is not part of a well-formed character; `nil` when all are.
    static func firstInvalid(in bytes: UnsafeRawBufferPointer) -> Int? {
        var index = 0
        while index < bytes.count {
            if index + 8 <= bytes.count, bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
                index += 8
                continue
            }
            guard let width = width(in: bytes, at: index) else { return index }
            index += width
        }
        return nil
    }

    /// Whether all bytes are printable ASCII (or spaces), which answers both questions here at once.
    static func isPrintableASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            // High bits: not ASCII; below 0x20; 0x7F. A borrow can only refuse more, never accept.
            let deleted = word ^ 0x7F7F_7F7F_7F7F_7F7F
            let flaws = word | (word &- 0x2020_2020_2020_2020) | (deleted &- 0x0101_0101_0101_0101)
            if flaws & 0x8080_8080_8080_8080 != 0 { return false }
            index += 8
        }
        while index < bytes.count {
            guard (0x20...0x7E).contains(bytes[index]) else { return false }
            index += 1
        }
        return true
    }

    /// How many bytes the character at `index` has, 1 to 4; `nil` when it is malformed.
    @inline(__always)
    static func width(in bytes: UnsafeRawBufferPointer, at index: Int) -> Int? {
        let lead = bytes[index]
        if lead < 0x80 { return 1 }
        let left = bytes.count - index
        switch lead {
        case 0xC2...0xDF:
            return left >= 2 && isTrailing(bytes[index + 1]) ? 2 : nil
        case 0xE0...0xEF:
            guard left >= 3, isTrailing(bytes[index + 1]), isTrailing(bytes[index + 2]) else { return nil }
            if lead == 0xE0, bytes[index + 1] < 0xA0 { return nil }
            if lead == 0xED, bytes[index + 1] > 0x9F { return nil }
            return 3
        case 0xF0...0xF4:
            guard left >= 4, isTrailing(bytes[index + 1]), isTrailing(bytes[index + 2]), isTrailing(bytes[index + 3])
            else { return nil }
            if lead == 0xF0, bytes[index + 1] < 0x90 { return nil }
            if lead == 0xF4, bytes[index + 1] > 0x8F { return nil }
            return 4
        default:
            return nil
        }
    }

    /// Whether a control character (U+0000…U+001F, U+007F…U+009F) starts at `index` of well-formed text.
    ///
    /// The upper range matters: U+009B begins a terminal escape sequence.
    static func isControl(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Bool {
        let byte = bytes[index]
        if byte < 0x20 || byte == 0x7F { return true }
        return byte == 0xC2 && index + 1 < bytes.count && (0x80...0x9F).contains(bytes[index + 1])
    }

    private static func isTrailing(_ byte: UInt8) -> Bool {
        byte & 0xC0 == 0x80
    }
}
