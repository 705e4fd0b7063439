/// Why a value was refused: what is wrong with it, where, and what would be accepted.
///
/// Everything in this module is a pure value, so an error is always about the input: the same input gives the same
/// error, and trying again does not help.
public struct EventError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of input was refused; for programs. New codes may be added.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code as it is written in logs and problem details: `"bad_type"`.
        public let name: String

        init(_ name: String) {
            self.name = name
        }

        /// The name.
        public var description: String { name }

        /// An event type that is empty, too long, or holds an empty token, a wildcard, a space or a control character.
        public static let badType = Code("bad_type")
        /// A pattern outside of the NATS grammar.
        public static let badPattern = Code("bad_pattern")
        /// Text that is not JSON by RFC 8259, or JSON that can mean two things (duplicate keys, lone surrogates).
        public static let badJSON = Code("bad_json")
        /// JSON that is no event: not an object, or as a batch not an array of them.
        public static let badEvent = Code("bad_event")
        /// More bytes than the limit allows.
        public static let tooLarge = Code("too_large")
        /// JSON nested deeper than the limit allows.
        public static let tooDeep = Code("too_deep")
        /// A context attribute (`id`, `source`, `time`, `traceparent`, an extension …) with a value it can't have.
        public static let badAttribute = Code("bad_attribute")
        /// A filter with an unknown operator or a wrong operand.
        public static let badFilter = Code("bad_filter")
        /// Text that is not a duration.
        public static let badDuration = Code("bad_duration")
    }

    /// What kind of input was refused; for programs.
    public let code: Code
    /// What is wrong, where, and what would be accepted; for people.
    public let message: String

    /// Creates an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
