/// Where a running service is: `http://127.0.0.1:7070`.
struct ServiceAddress: Equatable {
    let host: String
    let port: Int

    /// - Throws: ``CommandError`` 64 for anything but `http://host:port`.
    init(_ text: String) throws {
        let wrong = CommandError(.usage, "'\(text)' is not the address of a service: it looks like http://127.0.0.1:7070")
        guard text.hasPrefix("http://") else { throw wrong }
        var rest = text.dropFirst(7)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard !rest.isEmpty, !rest.contains("/"), !rest.contains("@") else { throw wrong }
        var host = rest
        var port = 80
        if let colon = rest.lastIndex(of: ":"), rest.last != "]" {
            guard let number = Int(rest[rest.index(after: colon)...]), (1...65_535).contains(number) else { throw wrong }
            (host, port) = (rest[..<colon], number)
        }
        (self.host, self.port) = (String(host.filter { $0 != "[" && $0 != "]" }), port)
    }

    /// What a request's `Host` says.
    var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// As it was given.
    var text: String { "http://\(authority)" }
}
