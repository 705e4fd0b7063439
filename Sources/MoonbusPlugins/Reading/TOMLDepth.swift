/// How deep keys and values are nested, found out before anybody parses them: TOMLKit bounds arrays and inline tables, but walks `a.a.a.…` by
/// recursion, and a few thousand levels, of whatever kind, end the process.
enum TOMLDepth {
    /// The first line, from 1, that is nested deeper than `limit`; nil: there is none. The text need not be valid.
    static func firstLine(deeperThan limit: Int, in text: String) -> Int? {
        let bytes = Array(text.utf8)
        var index = 0
        var line = 1
        // Levels outside of each open bracket, and dots since the last thing that begins a key or a value.
        var outside: [Int] = []
        var dots = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                index = endOfString(at: index, in: bytes, &line)
                continue
            case UInt8(ascii: "#"):
                while index < bytes.count, bytes[index] != 0x0A { index += 1 }
                continue
            case UInt8(ascii: "."):
                dots += 1
            case 0x0A:
                line += 1
                dots = 0
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                outside.append((outside.last ?? 0) + dots + 1)
                dots = 0
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                _ = outside.popLast()
                dots = 0
            case UInt8(ascii: ","): dots = 0
            default: break
            }
            if (outside.last ?? 0) + dots >= limit { return line }
            index += 1
        }
        return nil
    }

    /// The index behind a string that begins at `start`; of one that does not end in its line, where that line ends.
    private static func endOfString(at start: Int, in bytes: [UInt8], _ line: inout Int) -> Int {
        let quote = bytes[start]
        let isLong = start + 2 < bytes.count && bytes[start + 1] == quote && bytes[start + 2] == quote
        var index = start + (isLong ? 3 : 1)
        while index < bytes.count {
            if bytes[index] == 0x0A {
                if !isLong { return index }
                line += 1
            } else if bytes[index] == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                index += 1
                if index < bytes.count, bytes[index] == 0x0A { line += 1 }
            } else if bytes[index] == quote {
                if !isLong { return index + 1 }
                if index + 2 < bytes.count, bytes[index + 1] == quote, bytes[index + 2] == quote {
                    // Up to two quotes may stand before the three that end it.
                    index += 3
                    for _ in 0..<2 where index < bytes.count && bytes[index] == quote { index += 1 }
                    return index
                }
            }
            index += 1
        }
        return index
    }
}
