/// Why the HTTP face could not start.
package struct ServiceError: Error, Sendable, CustomStringConvertible {
    /// What kind of thing went wrong; more may come, so a switch needs a default.
    package struct Code: Sendable, Hashable {
        let name: String

        /// The address is not a loopback address.
        package static let notLoopback = Code(name: "not_loopback")
        /// Someone else listens on that port, or it needs privileges.
        package static let portTaken = Code(name: "port_taken")
        /// The operating system refused for another reason.
        package static let unavailable = Code(name: "unavailable")
    }

    /// What kind of thing went wrong.
    package let code: Code
    /// What happened, to what, and what to do.
    package let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
