/// Why a journal refused. Nothing of the refused call was recorded.
public struct JournalError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What a program may act on.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code's name, e.g. "full".
        public let description: String

        /// No room, and nothing that may be forgotten: let handlers catch up, or raise the bound; then try again.
        public static let full = Code("full")
        /// The store cannot be reached or written now: try again with backoff.
        public static let unavailable = Code("unavailable")
        /// What is stored contradicts itself: stop, and look at the store.
        public static let damaged = Code("damaged")
        /// Nothing has the number or id that was asked for.
        public static let notFound = Code("notFound")
        /// The call broke this journal's contract: a bug of the caller's.
        public static let misuse = Code("misuse")

        /// Creates a code of a journal's own.
        public init(_ name: String) {
            description = name
        }
    }

    /// What a program may act on.
    public let code: Code
    /// What happened, to what, and what to do.
    public let message: String

    /// Creates an error; `message` says what happened, to what, and what to do.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Code and message.
    public var description: String { "\(code): \(message)" }
}
