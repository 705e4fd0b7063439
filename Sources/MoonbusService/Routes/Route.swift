import MoonbusEvents
import NIOHTTP1

/// What a method and a path stand for.
enum Route {
    /// `POST /events` (the body says which event) or `POST /events/{type}` (the body is its data).
    case emit(EmitTarget)
    /// `GET /events/stream?type=pattern`.
    case stream(EventPattern)
    /// `GET /plugins`, `GET /plugins/{name}`.
    case plugins(name: String?)
    /// `POST /plugins/{name}/{verb}`.
    case plugin(name: String, PluginVerb)
    /// `POST /plugins/{name}/replays`.
    case beginReplay(plugin: String)
    /// `GET /plugins/{name}/replays`.
    case replays(plugin: String)
    /// `GET /plugins/{name}/replays/{number}`.
    case replay(plugin: String, number: String)
    /// `DELETE /plugins/{name}/replays/{number}`.
    case stopReplay(plugin: String, number: String)
    /// `GET /events?type=&since=&after=&before=&limit=`.
    case events(EventSearch)
    /// `GET /events/{id}`; an id that is `stream` is written `%73tream`.
    case event(id: String)
    /// `GET /plugins/{name}/kv?prefix=&after=&limit=`.
    case states(StateListing)
    /// `GET /plugins/{name}/kv/{key}`.
    case state(StateTarget)
    /// `PUT /plugins/{name}/kv/{key}?expires=`.
    case write(StateTarget, lifetime: Duration?)
    /// `DELETE /plugins/{name}/kv/{key}`.
    case delete(StateTarget)
    /// `GET /deliveries?state=dead&limit=100`.
    case deadLetters(limit: Int)
    /// `GET /deliveries/{id}`.
    case deadLetter(id: String)
    /// `DELETE /deliveries/{id}`.
    case drop(id: String)
    /// `POST /deliveries/{id}/retry`.
    case retry(id: String)
    case statistics
    case live
    case ready
    case index

    enum PluginVerb: String { case reload, enable, disable }
}

/// What the path and the query of an emit say. An object: a connection keeps it for its next request, and a request only refers to it.
final class EmitTarget {
    /// The type, when the path names it.
    let type: EventType?
    let wait: Duration?
    let id: String?
    let source: String?
    let subject: String?
    let key: String?

    fileprivate init(type: String?, _ query: inout Query, _ configuration: ServiceConfiguration) throws(Problem) {
        wait = try query.duration("wait", upTo: configuration.limits.wait) ?? configuration.wait
        // Only with a type: a whole CloudEvent in the body has the others itself.
        id = type == nil ? nil : query.take("id")
        source = type == nil ? nil : query.take("source")
        subject = type == nil ? nil : query.take("subject")
        key = type == nil ? nil : query.take("key")
        do throws(EventError) {
            self.type = try type.map { text throws(EventError) in try EventType(text) }
        } catch {
            throw Problem(.badTarget, error.message, remedy: "a type is dotted words, like orders.eu.created")
        }
    }
}

extension Route {
    /// The paths, for `GET /` and for 404: one place that says what there is.
    static let overview = """
        POST /events/{type}            emit; the body is the event's data   ?wait=2s&subject=&key=&id=&source=
        POST /events                   emit a CloudEvent: structured, binary or a batch   ?wait=2s
        GET  /events/stream?type=a.>   events as they come (server-sent events)
        GET  /events                   what is recorded   ?type=a.>&since=1h&after=position&limit=100, or before=position
        GET  /events/{id}              one event
        GET  /plugins                  what runs
        POST /plugins/{name}/reload    also enable, disable
        POST /plugins/{name}/replays   recorded events once more, with effects: {"type","from","to"}; GET lists the open ones
        GET  /plugins/{name}/replays/{number}   how one is; DELETE stops it
        GET  /plugins/{name}/kv        what a plugin has stored   ?prefix=&after=&limit=
        GET  /plugins/{name}/kv/{key}  one value; also PUT ?expires=1h, DELETE; If-Match with the ETag
        GET  /deliveries?state=dead    dead letters
        GET  /deliveries/{id}          one; DELETE gives it up
        POST /deliveries/{id}/retry    one more try for a dead letter; a body replaces the event's data
        GET  /statistics               counts
        GET  /health/live              200 while the service runs
        GET  /health/ready             200 when it takes events, or 503 and who is to blame
        """

    /// Finds the route of a request.
    ///
    /// - Parameters:
    ///   - target: origin form: a path, perhaps with a query.
    ///   - configuration: the default and the limit of `?wait=`.
    /// - Throws: ``Problem``: 404 for a path that nobody knows, 405 for a method that the path doesn't take, 400 for a bad query.
    init(_ method: HTTPMethod, _ target: String, _ configuration: ServiceConfiguration) throws(Problem) {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var query = try Query(parts.count == 2 ? parts[1] : "")
        var path: [String] = []
        // As it was sent: an event may have the id `stream`, and is then asked for as `%73tream`.
        let isStream = parts[0].split(separator: "/").dropFirst().first == "stream"
        for segment in parts[0].split(separator: "/") {
            guard let decoded = percentDecoded(segment, plusIsSpace: false) else {
                throw Problem(.badTarget, "'\(segment)' in the path is not percent-encoded UTF-8")
            }
            path.append(decoded)
        }
        switch path.first {
        case nil:
            try allow(.GET, method, target)
            self = .index
        case "events" where path.count == 1 && (method == .GET || method == .HEAD):
            self = .events(try EventSearch(&query))
        case "events" where path.count == 2 && !isStream && (method == .GET || method == .HEAD):
            self = .event(id: path[1])
        case "events" where path.count == 1:
            try allow(.POST, method, target, also: [.GET])
            self = .emit(try EmitTarget(type: nil, &query, configuration))
        case "events" where path.count == 2 && isStream && method != .POST:
            try allow(.GET, method, target)
            self = .stream(try query.pattern("type"))
        case "events" where path.count == 2:
            try allow(.POST, method, target, also: [.GET])
            self = .emit(try EmitTarget(type: path[1], &query, configuration))
        case "plugins" where path.count <= 2:
            try allow(.GET, method, target)
            self = .plugins(name: path.count == 2 ? path[1] : nil)
        case "plugins" where path.count == 3 && PluginVerb(rawValue: path[2]) != nil:
            try allow(.POST, method, target)
            self = .plugin(name: path[1], PluginVerb(rawValue: path[2]) ?? .reload)
        case "plugins" where path.count == 3 && path[2] == "replays":
            try allow(.GET, method, target, also: [.POST])
            self = method == .POST ? .beginReplay(plugin: path[1]) : .replays(plugin: path[1])
        case "plugins" where path.count == 4 && path[2] == "replays":
            try allow(.GET, method, target, also: [.DELETE])
            self = method == .DELETE ? .stopReplay(plugin: path[1], number: path[3]) : .replay(plugin: path[1], number: path[3])
        case "plugins" where path.count == 3 && path[2] == "kv":
            try allow(.GET, method, target)
            self = .states(try StateListing(plugin: path[1], &query))
        case "plugins" where path.count == 4 && path[2] == "kv":
            try allow(.GET, method, target, also: [.PUT, .DELETE])
            let state = try StateTarget(path[1], checking: path[3])
            switch method {
            case .PUT: self = .write(state, lifetime: try query.duration("expires", upTo: .seconds(36_500 * 86_400)))
            case .DELETE: self = .delete(state)
            default: self = .state(state)
            }
        case "deliveries" where path.count == 1:
            try allow(.GET, method, target)
            let state = query.take("state") ?? "dead"
            guard state == "dead" else { throw Problem(.badQuery, "state=\(state) can't be listed", remedy: "use state=dead") }
            self = .deadLetters(limit: try query.count("limit", 1...10_000) ?? 100)
        case "deliveries" where path.count == 2:
            try allow(.GET, method, target, also: [.DELETE])
            self = method == .DELETE ? .drop(id: path[1]) : .deadLetter(id: path[1])
        case "deliveries" where path.count == 3 && path[2] == "retry":
            try allow(.POST, method, target)
            self = .retry(id: path[1])
        case "statistics" where path.count == 1:
            try allow(.GET, method, target)
            self = .statistics
        case "health" where path.count == 2 && path[1] == "live":
            try allow(.GET, method, target)
            self = .live
        case "health" where path.count == 2 && path[1] == "ready":
            try allow(.GET, method, target)
            self = .ready
        default:
            throw Problem(.notFound, "there is nothing at \(parts[0].prefix(200))", remedy: "GET / lists the paths")
        }
        try query.finish()
    }
}

extension EventSearch {
    fileprivate init(_ query: inout Query) throws(Problem) {
        self.init(
            pattern: try query.pattern("type"), since: try query.time("since"), after: try query.position("after"),
            before: try query.position("before"), limit: try query.count("limit", 1...10_000) ?? 100)
        guard after == nil || before == nil else {
            throw Problem(
                .badQuery, "after and before are both there", remedy: "after looks towards the end of the log, before towards its start")
        }
    }
}

extension StateListing {
    fileprivate init(plugin: String, _ query: inout Query) throws(Problem) {
        self.plugin = plugin
        prefix = query.take("prefix") ?? ""
        after = query.take("after")
        limit = try query.count("limit", 1...10_000) ?? 100
    }
}

extension StateTarget {
    /// The longest key, in bytes.
    private static let keySizeMax = 512

    fileprivate init(_ plugin: String, checking key: String) throws(Problem) {
        guard (1...Self.keySizeMax).contains(key.utf8.count) else {
            throw Problem(.badTarget, "a key has 1 to \(Self.keySizeMax) bytes")
        }
        (self.plugin, self.key) = (plugin, key)
    }
}

/// Lets `expected` and `others` pass, and `HEAD` where `GET` would.
private func allow(_ expected: HTTPMethod, _ method: HTTPMethod, _ target: String, also others: [HTTPMethod] = []) throws(Problem) {
    let all = [expected] + others
    if all.contains(method) || (all.contains(.GET) && method == .HEAD) { return }
    var problem = Problem(.methodNotAllowed, "\(method.rawValue) is not possible at \(target.prefix { $0 != "?" }.prefix(200))")
    problem.allow = all.map { $0 == .GET ? "GET, HEAD" : $0.rawValue }.sorted().joined(separator: ", ")
    problem.remedy = "use \(all.map(\.rawValue).joined(separator: " or "))"
    throw problem
}
