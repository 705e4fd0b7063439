import NIOCore

/// What went wrong with a request, as RFC 9457 says it: for programs by `type`, for people by `title`, `detail` and `remedy`.
///
///     {"type":"urn:moonbus:problem:bad-json","title":"The body is not JSON","status":400,
///      "detail":"line 1, column 9: expected ':' after a member's name","remedy":"…","line":1,"column":9}
struct Problem: Error {
    /// A kind of problem: its name, title and status. The names are stable; texts may change.
    struct Kind: Sendable {
        let name: StaticString
        let title: StaticString
        let status: Response.Status

        static let badRequest = Kind(name: "bad-request", title: "The request is not HTTP/1.1", status: .badRequest)
        static let badTarget = Kind(name: "bad-target", title: "The path or query is malformed", status: .badRequest)
        static let badQuery = Kind(name: "bad-query", title: "A query parameter is wrong", status: .badRequest)
        static let badJSON = Kind(name: "bad-json", title: "The body is not JSON", status: .badRequest)
        static let badEvent = Kind(name: "bad-event", title: "The body is not an event", status: .badRequest)
        static let badReplay = Kind(name: "bad-replay", title: "The body does not say what to replay", status: .badRequest)
        static let badHost = Kind(name: "bad-host", title: "The Host field names another server", status: .misdirected)
        static let badOrigin = Kind(name: "bad-origin", title: "Web pages of other sites may not call this service", status: .forbidden)
        static let notFound = Kind(name: "not-found", title: "There is nothing here", status: .notFound)
        static let methodNotAllowed = Kind(
            name: "method-not-allowed", title: "This path does not take that method", status: .methodNotAllowed)
        static let timeout = Kind(name: "timeout", title: "The request took too long to arrive", status: .requestTimeout)
        static let conflict = Kind(name: "conflict", title: "Not possible as things are", status: .conflict)
        static let changed = Kind(name: "changed", title: "It has changed meanwhile", status: .preconditionFailed)
        static let tooLarge = Kind(name: "too-large", title: "The body is too large", status: .contentTooLarge)
        static let badMediaType = Kind(
            name: "bad-media-type", title: "The body has a type that is not understood", status: .unsupportedMediaType)
        static let badPlugin = Kind(name: "bad-plugin", title: "The plugin was refused", status: .unprocessable)
        static let full = Kind(name: "full", title: "A queue is full", status: .tooManyRequests)
        static let headTooLarge = Kind(name: "head-too-large", title: "The header is too large", status: .fieldsTooLarge)
        static let failed = Kind(name: "failed", title: "The service failed", status: .internalError)
        static let unavailable = Kind(name: "unavailable", title: "The service can't do this now", status: .unavailable)
        static let badVersion = Kind(name: "bad-version", title: "Only HTTP/1.0 and HTTP/1.1 are spoken here", status: .versionNotSupported)
    }

    let kind: Kind
    let detail: String
    var remedy: String?
    /// Where in the body: from 1.
    var line: Int?
    var column: Int?
    /// Where in the JSON: `$.data.amount`.
    var path: String?
    /// Where in a plugin.
    var file: String?
    var excerpt: [String] = []
    /// The code of the module that refused.
    var code: String?
    /// With a 405: the methods that the path takes.
    var allow: String?
    /// Seconds after which to try again.
    var retryAfter: Int?
    /// The connection can't go on after this.
    var closes = false

    init(_ kind: Kind, _ detail: String, remedy: String? = nil) {
        self.kind = kind
        self.detail = detail
        self.remedy = remedy
    }

    /// The answer that says so.
    var response: Response {
        var object = ObjectWriter()
        object.member("type", "urn:moonbus:problem:\(kind.name)")
        object.member("title", "\(kind.title)")
        object.member("status", kind.status.code)
        object.member("detail", detail)
        object.member("remedy", remedy)
        object.member("code", code)
        object.member("line", line)
        object.member("column", column)
        object.member("path", path)
        object.member("file", file)
        if !excerpt.isEmpty { object.member("excerpt", excerpt) }
        var response = Response(kind.status, "application/problem+json", object.finish())
        response.allow = allow
        response.retryAfter = retryAfter
        response.closes = closes
        return response
    }
}
