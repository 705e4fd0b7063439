import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins
import NIOCore
import NIOHTTP1

/// Which values of a plugin's state a request is about.
struct StateTarget {
    var plugin: String
    var key: String
}

/// Which of a plugin's values are listed.
struct StateListing {
    var plugin: String
    var prefix: String
    var after: String?
    var limit: Int
}

/// What a request says about the value that it means to change, in `If-Match` and `If-None-Match`.
private struct Precondition {
    /// The version that must be there, 0 for none; nil: whatever is there.
    var version: UInt64?

    init(_ request: Request) throws(Problem) {
        if let text = request.headers.first(name: "If-None-Match") {
            guard text == "*" else {
                throw Problem(.badTarget, "If-None-Match can only be *", remedy: "it means: only if the key is absent")
            }
            version = 0
        } else if let text = request.headers.first(name: "If-Match") {
            guard let number = UInt64(text.trimmingQuotes), number > 0 else {
                throw Problem(.badTarget, "If-Match: '\(text.prefix(100))' is no version", remedy: "use the ETag of a GET")
            }
            version = number
        }
    }
}

extension Routes {
    /// `GET /plugins/{name}/kv`: `{"entries":[…],"next"}` in the order of the keys' bytes; `next` is there when there may be more.
    func listState(_ listing: StateListing, _ exchange: Exchange) {
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            let question = JournalQuestion.scan(
                plugin: listing.plugin, prefix: listing.prefix, after: listing.after, limit: listing.limit, now: .now())
            let answer = try await journal { () throws(JournalError) in try await bus.ask(question) }
            guard case .state(let entries) = answer else { throw Problem(.failed, "the journal gave another answer") }
            var object = ObjectWriter()
            object.member("entries") { $0.writeArray(entries) { $0.write(RecordJSON.entry($1)) } }
            if entries.count == listing.limit { object.member("next", entries.last?.key) }
            return Answer(body: object.finish())
        }
    }

    /// `GET /plugins/{name}/kv/{key}`.
    func showState(_ target: StateTarget, _ exchange: Exchange) {
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            guard let entry = try await entry(target, bus) else { throw noKey(target) }
            return Answer(body: RecordJSON.entry(entry), etag: entry.version)
        }
    }

    /// `PUT /plugins/{name}/kv/{key}`: the body is the value.
    func writeState(_ target: StateTarget, _ lifetime: Duration?, _ request: Request, _ body: ByteBuffer, _ exchange: Exchange) {
        let edit: StateEdit
        do throws(Problem) {
            guard body.readableBytes <= Self.valueSizeMax else {
                throw Problem(.tooLarge, "a value has at most \(Self.valueSizeMax >> 10) KiB", remedy: "keep large data elsewhere")
            }
            guard let value = try json(body) else {
                throw Problem(.badJSON, "the body is empty", remedy: "send one JSON value in UTF-8")
            }
            edit = StateEdit(
                plugin: target.plugin, key: target.key, value: value, lifetime: lifetime, expected: try Precondition(request).version)
        } catch {
            return exchange.answer(error)
        }
        let (bus, plugins) = (self.bus, self.plugins)
        later(exchange) { () throws(Problem) in
            // A value for a plugin that nobody knows is a slip of the pen.
            if let plugins, await !plugins.plugins().contains(where: { $0.name == target.plugin }) {
                throw Problem(.notFound, "there is no plugin '\(target.plugin.prefix(100))'", remedy: "GET /plugins lists the plugins")
            }
            guard let entry = try await commit(edit, bus) else { throw noKey(target) }
            return Answer(body: RecordJSON.entry(entry), etag: entry.version)
        }
    }

    /// `DELETE /plugins/{name}/kv/{key}`.
    func deleteState(_ target: StateTarget, _ request: Request, _ exchange: Exchange) {
        let edit: StateEdit
        do throws(Problem) {
            edit = StateEdit(plugin: target.plugin, key: target.key, value: nil, expected: try Precondition(request).version)
        } catch {
            return exchange.answer(error)
        }
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            guard try await entry(target, bus) != nil else { throw noKey(target) }
            _ = try await commit(edit, bus)
            var object = ObjectWriter()
            object.member("key", target.key)
            object.member("deleted", true)
            return Answer(body: object.finish())
        }
    }

    /// As much as a handler may store (`kv.set`).
    private static let valueSizeMax = 256 << 10
}

private func entry(_ target: StateTarget, _ bus: EventBus) async throws(Problem) -> StateEntry? {
    let question = JournalQuestion.state(plugin: target.plugin, key: target.key, now: .now())
    let answer = try await journal { () throws(JournalError) in try await bus.ask(question) }
    guard case .state(let entries) = answer else { return nil }
    return entries.first
}

/// - Throws: ``Problem`` 412 when the value is not the expected one.
private func commit(_ edit: StateEdit, _ bus: EventBus) async throws(Problem) -> StateEntry? {
    switch try await journal({ () throws(JournalError) in try await bus.edit(edit) }) {
    case .written(let entry): return entry
    case .conflict:
        throw Problem(
            .changed, "'\(edit.key)' of plugin '\(edit.plugin)' is not what was expected: nothing was changed",
            remedy: "GET it again and decide anew")
    }
}

private func noKey(_ target: StateTarget) -> Problem {
    Problem(
        .notFound, "plugin '\(target.plugin.prefix(100))' has no key '\(target.key.prefix(512))'",
        remedy: "GET /plugins/\(target.plugin.prefix(100))/kv lists what there is; a / in a key is written %2F")
}

extension String {
    /// What is between the quotes of an entity tag.
    fileprivate var trimmingQuotes: Substring {
        let text = self.filter { $0 != " " }
        return text.count >= 2 && text.hasPrefix("\"") && text.hasSuffix("\"") ? text.dropFirst().dropLast() : text[...]
    }
}
