/// The dotted name that an event is routed by: `orders.eu.created`.
///
/// One or more non-empty tokens separated by dots, together 1 to 255 bytes of UTF-8 without spaces and control
/// characters. A token that is just `*` or `>` is refused, because a pattern could not tell it from a wildcard;
/// inside of a longer token both are ordinary characters, as in NATS.
public struct EventType: Sendable, Hashable, CustomStringConvertible {
    /// The most bytes of a type.
    public static let sizeMax = 255

    /// The type as it was given.
    public let text: String

    /// Creates a type.
    ///
    /// - Throws: ``EventError`` `.badType`: which rule the text breaks, and at which byte.
    public init(_ text: String) throws(EventError) {
        let flaw = text.withUTF8Bytes { DottedName.flaw(in: $0, wildcards: false) }
        if let flaw {
            throw EventError(.badType, "\(shown(text)) is not an event type: \(flaw); an example of one: \"orders.eu.created\"")
        }
        self.text = text
    }

    /// Wraps a text that was checked before.
    package init(trusted text: String) {
        self.text = text
    }

    /// Refuses bytes that are not an event type.
    package static func check(_ bytes: UnsafeRawBufferPointer) throws(EventError) {
        if let flaw = DottedName.flaw(in: bytes, wildcards: false) {
            throw EventError(.badType, "\(shown(String(decoding: bytes, as: UTF8.self))) is not an event type: \(flaw)")
        }
    }

    /// The text.
    public var description: String { text }

    /// Whether it is one of Moonbus's own, which no plugin may emit: `moonbus`, or below it.
    package var isReserved: Bool { text.utf8.elementsEqual("moonbus".utf8) || text.utf8.starts(with: "moonbus.".utf8) }

    /// Whether both have the same bytes, which is how events are routed; unlike `String`, without Unicode's equivalences.
    public static func == (left: EventType, right: EventType) -> Bool {
        left.text.hasSameBytes(as: right.text)
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(bytesOf: text)
    }
}

/// The grammar that types and patterns share.
enum DottedName {
    /// What is wrong with a type (or a pattern), in words; `nil` when nothing is.
    ///
    /// - Parameter wildcards: whether the tokens `*` (anywhere) and `>` (last) are allowed.
    static func flaw(in bytes: UnsafeRawBufferPointer, wildcards: Bool) -> String? {
        if bytes.isEmpty { return "it is empty" }
        if bytes.count > EventType.sizeMax { return "it has \(bytes.count) bytes, the limit is \(EventType.sizeMax)" }
        if let index = UTF8Check.firstInvalid(in: bytes) { return "byte \(index) is not UTF-8" }
        var start = 0
        for index in 0...bytes.count {
            guard index == bytes.count || bytes[index] == UInt8(ascii: ".") else {
                if bytes[index] == 0x20 { return "a space at byte \(index)" }
                if UTF8Check.isControl(bytes, at: index) { return "a control character at byte \(index)" }
                continue
            }
            if index == start { return "an empty token at byte \(index)" }
            if index == start + 1 {
                let isLast = index == bytes.count
                switch bytes[start] {
                case UInt8(ascii: "*") where !wildcards: return "the wildcard * at byte \(start)"
                case UInt8(ascii: ">") where !wildcards: return "the wildcard > at byte \(start)"
                case UInt8(ascii: ">") where !isLast: return "> at byte \(start) is not the last token"
                default: break
                }
            }
            start = index + 1
        }
        return nil
    }
}

/// A text from outside as it is quoted in an error: cut to a readable length, control characters escaped.
func shown(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars.prefix(80) {
        if scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) {
            quoted += "\\u{\(String(scalar.value, radix: 16))}"
        } else {
            quoted.unicodeScalars.append(scalar)
        }
    }
    return quoted + (text.unicodeScalars.count > 80 ? "…\"" : "\"")
}
