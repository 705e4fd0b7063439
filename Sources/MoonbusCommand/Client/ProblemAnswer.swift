import MoonbusEvents
import NIOCore
import NIOHTTP1

/// What a service said against a request.
struct ProblemAnswer {
    let status: Int
    let detail: String
    let remedy: String?
    /// Seconds after which to try again.
    let retryAfter: Int?

    init(_ answer: ServiceClient.Answer) {
        status = answer.status
        let value = answer.body.withUnsafeReadableBytes { bytes in try? JSON(validating: bytes).value.object }
        detail = value?["detail"]?.string ?? value?["title"]?.string ?? "status \(answer.status)"
        remedy = value?["remedy"]?.string
        retryAfter = answer.headers.first(name: "retry-after").flatMap { Int($0) }
    }

    /// The error to end the command with.
    var error: CommandError {
        let code: CommandError.Code =
            switch status {
            case 409, 412, 429, 503: .tryLater
            case 400, 413, 415, 422: .badData
            case 404, 405: .usage
            default: .internal
            }
        return CommandError(code, remedy.map { "\(printable(detail)) (\(printable($0)))" } ?? printable(detail))
    }
}
