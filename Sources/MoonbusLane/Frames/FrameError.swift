/// Says why bytes from the other side of a lane's socket were refused.
///
/// On the host a refused frame means that the lane is broken or hostile: kill it. On the lane it means that the host
/// has a bug: the lane ends.
package struct FrameError: Error, Sendable, Hashable, CustomStringConvertible {
    package struct Code: RawRepresentable, Sendable, Hashable {
        package let rawValue: String
        package init(rawValue: String) { self.rawValue = rawValue }

        /// The body ends before its fields do, or goes on after them.
        package static let badSize = Code(rawValue: "bad_size")
        /// Larger than ``Frame/sizeMax`` or than the reader's own limit.
        package static let tooLarge = Code(rawValue: "too_large")
        /// A kind that this side does not read.
        package static let unknownKind = Code(rawValue: "unknown_kind")
        /// A field holds what it must not hold.
        package static let badValue = Code(rawValue: "bad_value")
        /// Text is not UTF-8, or JSON is not JSON.
        package static let badText = Code(rawValue: "bad_text")
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(code.rawValue): \(message)" }
}
