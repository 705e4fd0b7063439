import NIOHTTP1

/// Who may ask, and in which words: the same for all routes.
extension ServiceLoop {
    /// What every request must pass before anyone looks at what it wants.
    ///
    /// - Returns: the request target in origin form.
    func check(_ head: HTTPRequestHead, _ fields: RequestFields) throws(Problem) -> String {
        if isStopping {
            var problem = Problem(.unavailable, "the service is stopping", remedy: "try again when it is back")
            problem.retryAfter = 1
            problem.closes = true
            throw problem
        }
        guard head.version.major == 1, head.version.minor <= 1 else {
            throw Problem(.badVersion, "\(head.version) is not spoken here").closing
        }
        var target = head.uri
        var authority = fields.host
        if !target.utf8.starts(with: "/".utf8) {
            guard let absolute = AbsoluteTarget(target) else {
                throw Problem(.badTarget, "the request target must be a path", remedy: "send a path that begins with '/'").closing
            }
            (authority, target) = (absolute.authority, absolute.target)
        }
        guard fields.hosts == 1 || (fields.hosts == 0 && head.version.minor == 0 && head.version.major == 1 && authority.isEmpty) else {
            throw Problem(.badRequest, fields.hosts == 0 ? "there is no Host field" : "there is more than one Host field").closing
        }
        guard fields.hosts == 0 || isOurs(authority, fields.host) else {
            throw Problem(.badHost, "'\(authority.prefix(100))' is not a name of this service", remedy: hostGuard.remedy)
        }
        if let origin = fields.origin, !hostGuard.admits(origin: origin) {
            throw Problem(
                .badOrigin, "the page at '\(origin.prefix(100))' is not ours",
                remedy: "call the service from a program, not from a web page")
        }
        if fields.isEncoded { throw Problem(.badMediaType, "a compressed body is not understood", remedy: "send the body as it is") }
        return target
    }

    /// Whether both names are ours; they are mostly the same one.
    private func isOurs(_ authority: String, _ host: String) -> Bool {
        hostGuard.admits(host: host) && (authority == host || hostGuard.admits(host: authority))
    }
}

extension Problem {
    /// The same, and the connection ends with it.
    var closing: Problem {
        var problem = self
        problem.closes = true
        return problem
    }
}

/// `http://host:port/path?query` as a request target (RFC 9112, 3.2.2): a proxy may send it, so a server must take it.
private struct AbsoluteTarget {
    let authority: String
    let target: String

    init?(_ text: String) {
        guard text.lowercased().hasPrefix("http://") else { return nil }
        let rest = text.dropFirst(7)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        authority = String(rest[..<end])
        guard !authority.isEmpty, !authority.contains("@") else { return nil }
        let tail = rest[end...]
        target = tail.hasPrefix("/") ? String(tail) : "/\(tail)"
    }
}
