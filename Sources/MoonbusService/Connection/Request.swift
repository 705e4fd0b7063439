import NIOHTTP1

/// A request's header as the routes see it: looked through once, so that nothing is searched for twice.
struct Request {
    /// What was asked for.
    let route: Route
    /// The media type of the body, lower case, without parameters; nil when the request doesn't say.
    let mediaType: String?
    /// The W3C trace that the client is part of.
    let traceparent: String?
    /// All fields, for CloudEvents' binary mode.
    let headers: HTTPHeaders
    /// There is a `ce-specversion`: the attributes of the event are in the header.
    let isBinaryEvent: Bool
}

/// What the header says about the transfer, and what the guard and the routes need from it.
struct RequestFields {
    var hosts = 0
    var host = ""
    var origin: String?
    var mediaType: String?
    var contentLength: Int?
    var traceparent: String?
    var expectsContinue = false
    var isBinaryEvent = false
    var isEncoded = false

    init(_ headers: HTTPHeaders) {
        for (name, value) in headers {
            // One look at the length sorts out nearly every field.
            switch name.utf8.count {
            case 4 where name.isField("host"):
                hosts += 1
                host = value
            case 6 where name.isField("origin"): origin = value
            case 6 where name.isField("expect"): expectsContinue = value.isField("100-continue")
            case 11 where name.isField("traceparent"): traceparent = value
            case 12 where name.isField("content-type"): mediaType = Self.mediaType(value)
            case 14 where name.isField("content-length"): contentLength = Int(value)
            case 14 where name.isField("ce-specversion"): isBinaryEvent = true
            case 16 where name.isField("content-encoding"): isEncoded = !value.isField("identity")
            default: break
            }
        }
    }

    /// The media type without parameters. The two that nearly everyone sends are not copied.
    private static func mediaType(_ value: String) -> String {
        if value == "application/json" { return value }
        let bare = value.utf8.prefix { $0 != UInt8(ascii: ";") }
        return String(decoding: bare, as: UTF8.self).lowercased().filter { $0 != " " && $0 != "\t" }
    }
}

extension String {
    /// Whether this is the ASCII word `name` (given in lower case), in whatever case.
    func isField(_ name: StaticString) -> Bool {
        guard utf8.count == name.utf8CodeUnitCount else { return false }
        var expected = name.utf8Start
        for byte in utf8 {
            let lower = byte &- 65 < 26 ? byte | 0x20 : byte
            if lower != expected.pointee { return false }
            expected += 1
        }
        return true
    }
}
