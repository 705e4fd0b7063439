/// Why an emitted event was not recorded, or its results did not come.
public struct EmitError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What a program may act on.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code's name, e.g. "full".
        public let description: String

        private init(_ name: String) {
            description = name
        }

        /// A queue has no room; nothing was recorded. Try again after ``EmitError/retryAfter``.
        public static let full = Code("full")
        /// The bus is not running; nothing was recorded.
        public static let stopped = Code("stopped")
        /// More events or bytes in one batch than the bus takes; nothing was recorded. Split it.
        public static let tooLarge = Code("tooLarge")
        /// An empty batch, or an event that was already emitted by other means; nothing was recorded.
        public static let invalid = Code("invalid")
        /// The journal is full or can't write now; nothing was recorded. The message says which, and what to do. Try again after
        /// ``EmitError/retryAfter``.
        public static let journal = Code("journal")
        /// The time to wait was over before the event could be recorded; nothing was recorded.
        public static let timeout = Code("timeout")
    }

    /// What a program may act on.
    public let code: Code
    /// What happened, to what, and what to do.
    public let message: String
    /// When to try again, for `.full` and `.journal`.
    public let retryAfter: Duration?

    /// Creates an error.
    public init(_ code: Code, _ message: String, retryAfter: Duration? = nil) {
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
    }

    /// Code and message.
    public var description: String { "\(code): \(message)" }
}
