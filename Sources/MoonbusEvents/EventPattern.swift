/// A type with wildcards, in the grammar of NATS subjects: `orders.*.created`, `orders.>`.
///
/// | token | matches |
/// |---|---|
/// | `*` | exactly one token, whatever it is |
/// | `>` | one or more tokens; only as the last token |
/// | anything else | the same token, byte by byte; `*` and `>` inside of a longer token (`a*`, `>>`) are literal |
///
/// Origin: nats-server, `server/sublist.go` and its tests.
public struct EventPattern: Sendable, Hashable, CustomStringConvertible {
    /// The pattern as it was given.
    public let text: String

    /// Creates a pattern.
    ///
    /// - Parameter text: 1 to 255 bytes of dot-separated tokens, no spaces, no control characters.
    /// - Throws: ``EventError`` `.badPattern`: which rule the text breaks, and at which byte.
    public init(_ text: String) throws(EventError) {
        let flaw = text.withUTF8Bytes { DottedName.flaw(in: $0, wildcards: true) }
        if let flaw {
            throw EventError(
                .badPattern,
                "\(shown(text)) is not a pattern: \(flaw); * stands for one token, > for one or more at the end: \"orders.*.created\", \"orders.>\""
            )
        }
        self.text = text
    }

    /// The pattern that matches only `type`.
    public init(_ type: EventType) {
        text = type.text
    }

    /// The text.
    public var description: String { text }

    /// Whether both have the same bytes, which is how events are routed; unlike `String`, without Unicode's equivalences.
    public static func == (left: EventPattern, right: EventPattern) -> Bool {
        left.text.hasSameBytes(as: right.text)
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(bytesOf: text)
    }

    /// Whether the pattern has no wildcard, so that it matches one type only.
    public var isLiteral: Bool {
        !text.utf8.split(separator: UInt8(ascii: ".")).contains { $0.elementsEqual("*".utf8) || $0.elementsEqual(">".utf8) }
    }

    /// Whether an event of that type is for a subscription with this pattern.
    ///
    /// For one pattern; many patterns at once are the work of the bus's subscription trie.
    public func matches(_ type: EventType) -> Bool {
        type.text.withUTF8Bytes { matches(typeBytes: $0) }
    }

    /// Whether a type, given as its bytes, matches.
    package func matches(typeBytes: UnsafeRawBufferPointer) -> Bool {
        text.withUTF8Bytes { Self.matches(pattern: $0, against: typeBytes) }
    }

    /// Whether every type that matches `other` matches this pattern, too: `a.>` covers `a.*.b`, `a.*` does not cover `a.>`.
    ///
    /// For permissions: a plugin that may subscribe to `orders.>` may subscribe to whatever it covers.
    public func covers(_ other: EventPattern) -> Bool {
        // Read as a type, the tokens of `other` are arbitrary ones, of which only `*` and `>` need care:
        // a `*` of ours takes anything but their `>`, and their wildcards equal no literal of ours.
        let theirs = other.text.utf8.split(separator: UInt8(ascii: "."))
        let ours = text.utf8.split(separator: UInt8(ascii: "."))
        for (index, token) in ours.enumerated() {
            guard index < theirs.count else { return false }
            if token.elementsEqual(">".utf8) { return true }
            if theirs[index].elementsEqual(">".utf8) { return false }
            if !token.elementsEqual("*".utf8), !token.elementsEqual(theirs[index]) { return false }
        }
        return ours.count == theirs.count
    }

    private static func matches(pattern: UnsafeRawBufferPointer, against type: UnsafeRawBufferPointer) -> Bool {
        let dot = UInt8(ascii: ".")
        var (at, place) = (0, 0)
        while at < pattern.count {
            guard place < type.count else { return false }
            let isWhole = at + 1 == pattern.count || pattern[at + 1] == dot
            if isWhole, pattern[at] == UInt8(ascii: ">") { return true }
            if isWhole, pattern[at] == UInt8(ascii: "*") {
                at += 1
                while place < type.count, type[place] != dot { place += 1 }
            } else {
                while at < pattern.count, pattern[at] != dot {
                    guard place < type.count, type[place] == pattern[at] else { return false }
                    at += 1
                    place += 1
                }
            }
            // Both must be at the end of a token now: both at a dot, or both at the end.
            guard at < pattern.count else { break }
            guard place < type.count, type[place] == dot else { return false }
            at += 1
            place += 1
        }
        return place == type.count
    }
}
