import NIOCore

/// An answer: status, a few fields, a body. Serialised by hand, because the general encoder was a tenth of a small request's cost.
struct Response {
    /// A status with its line, ready to be sent.
    struct Status: Sendable {
        let code: Int
        let line: StaticString

        static let ok = Status(code: 200, line: "HTTP/1.1 200 OK\r\n")
        static let accepted = Status(code: 202, line: "HTTP/1.1 202 Accepted\r\n")
        static let badRequest = Status(code: 400, line: "HTTP/1.1 400 Bad Request\r\n")
        static let forbidden = Status(code: 403, line: "HTTP/1.1 403 Forbidden\r\n")
        static let notFound = Status(code: 404, line: "HTTP/1.1 404 Not Found\r\n")
        static let methodNotAllowed = Status(code: 405, line: "HTTP/1.1 405 Method Not Allowed\r\n")
        static let requestTimeout = Status(code: 408, line: "HTTP/1.1 408 Request Timeout\r\n")
        static let conflict = Status(code: 409, line: "HTTP/1.1 409 Conflict\r\n")
        static let preconditionFailed = Status(code: 412, line: "HTTP/1.1 412 Precondition Failed\r\n")
        static let contentTooLarge = Status(code: 413, line: "HTTP/1.1 413 Content Too Large\r\n")
        static let unsupportedMediaType = Status(code: 415, line: "HTTP/1.1 415 Unsupported Media Type\r\n")
        static let misdirected = Status(code: 421, line: "HTTP/1.1 421 Misdirected Request\r\n")
        static let unprocessable = Status(code: 422, line: "HTTP/1.1 422 Unprocessable Content\r\n")
        static let tooManyRequests = Status(code: 429, line: "HTTP/1.1 429 Too Many Requests\r\n")
        static let fieldsTooLarge = Status(code: 431, line: "HTTP/1.1 431 Request Header Fields Too Large\r\n")
        static let internalError = Status(code: 500, line: "HTTP/1.1 500 Internal Server Error\r\n")
        static let unavailable = Status(code: 503, line: "HTTP/1.1 503 Service Unavailable\r\n")
        static let versionNotSupported = Status(code: 505, line: "HTTP/1.1 505 HTTP Version Not Supported\r\n")
    }

    var status: Status
    var contentType: StaticString
    var body: ByteBuffer
    /// Methods that the path knows, with a 405.
    var allow: String?
    /// Seconds after which to try again.
    var retryAfter: Int?
    /// The version of what is shown, for `If-Match`.
    var etag: UInt64?
    /// The connection ends with this answer: what follows on it can't be trusted, or won't be read.
    var closes = false

    init(_ status: Status, _ contentType: StaticString, _ body: ByteBuffer) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// An answer with a JSON body.
    static func json(_ status: Status, _ body: ByteBuffer) -> Response { Response(status, "application/json", body) }

    /// Appends the answer to what is about to be sent.
    ///
    /// - Parameters:
    ///   - isHead: leave the body out, but say how long it would be.
    ///   - closing: tell the client that the connection ends here.
    func write(to buffer: inout ByteBuffer, isHead: Bool, closing: Bool) {
        buffer.writeStaticString(status.line)
        buffer.writeStaticString("Content-Type: ")
        buffer.writeStaticString(contentType)
        buffer.writeStaticString("\r\nContent-Length: ")
        buffer.writeDecimal(body.readableBytes)
        if let allow { buffer.writeString("\r\nAllow: \(allow)") }
        if let retryAfter { buffer.writeString("\r\nRetry-After: \(retryAfter)") }
        if let etag { buffer.writeString("\r\nETag: \"\(etag)\"") }
        if closing { buffer.writeStaticString("\r\nConnection: close") }
        buffer.writeStaticString("\r\nX-Content-Type-Options: nosniff\r\n\r\n")
        if !isHead { buffer.writeImmutableBuffer(body) }
    }
}

extension ByteBuffer {
    /// Writes a count in decimal without making a string of it.
    mutating func writeDecimal(_ count: Int) {
        precondition(count >= 0)
        writeWithUnsafeMutableBytes(minimumWritableBytes: 20) { space in
            var rest = count
            var digits = 1
            while rest >= 10 {
                rest /= 10
                digits += 1
            }
            rest = count
            for index in (0..<digits).reversed() {
                space[index] = UInt8(48 + rest % 10)
                rest /= 10
            }
            return digits
        }
    }
}
