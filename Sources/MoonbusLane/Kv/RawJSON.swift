/// Finds parts of a JSON text without decoding it, so that values pass through exactly as they are.
///
/// For text that is known to be valid (the host's replies, what the shim encoded); on anything else it finds nothing, or
/// a wrong part, but never reads outside of the text.
struct RawJSON {
    let bytes: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// The value of a member of this object; keys that need escapes are not found.
    func member(_ key: StaticString) -> UnsafeRawBufferPointer? {
        let wanted = UnsafeRawBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
        return parts(open: UInt8(ascii: "{")) { name, value in name.elementsEqual(wanted) ? value : nil }
    }

    /// The elements of this array, in order.
    func elements() -> [UnsafeRawBufferPointer] {
        var elements: [UnsafeRawBufferPointer] = []
        let _: Void? = parts(open: UInt8(ascii: "[")) { _, value in
            elements.append(value)
            return nil
        }
        return elements
    }

    /// This integer; nil when it is none, or does not fit.
    var integer: Int64? {
        Int64(String(decoding: bytes, as: UTF8.self))
    }

    var isNull: Bool { bytes.elementsEqual("null".utf8) }

    /// Calls `body` with each member's name, between its quotes (empty for elements), and value, until it returns something.
    private func parts<Found>(open: UInt8, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Found?) -> Found? {
        var at = skipSpace(0)
        guard at < bytes.count, bytes[at] == open else { return nil }
        at = skipSpace(at + 1)
        while at < bytes.count, bytes[at] != UInt8(ascii: "}"), bytes[at] != UInt8(ascii: "]") {
            var name = slice(at, at)
            if open == UInt8(ascii: "{") {
                let end = endOfValue(at)
                name = slice(at + 1, end - 1)
                at = skipSpace(end)
                guard at < bytes.count, bytes[at] == UInt8(ascii: ":") else { return nil }
                at = skipSpace(at + 1)
            }
            let end = endOfValue(at)
            guard end > at else { return nil }
            if let found = body(name, slice(at, end)) { return found }
            at = skipSpace(end)
            if at < bytes.count, bytes[at] == UInt8(ascii: ",") { at = skipSpace(at + 1) }
        }
        return nil
    }

    private func slice(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[min(start, bytes.count)..<max(min(start, bytes.count), min(end, bytes.count))])
    }

    private func skipSpace(_ start: Int) -> Int {
        var at = start
        while at < bytes.count, bytes[at] <= 0x20 { at += 1 }
        return at
    }

    /// Just behind the value that begins at `start`.
    private func endOfValue(_ start: Int) -> Int {
        var (at, depth, isInString) = (start, 0, false)
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            switch byte {
            case UInt8(ascii: "\\") where isInString: at += 1
            case UInt8(ascii: "\""):
                isInString.toggle()
                if !isInString, depth == 0 { return at }
            case _ where isInString: break
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return at - 1 }
                depth -= 1
                if depth == 0 { return at }
            case UInt8(ascii: ","), UInt8(ascii: ":"), 0...0x20:
                if depth == 0 { return at - 1 }
            default: break
            }
        }
        return bytes.count
    }
}
