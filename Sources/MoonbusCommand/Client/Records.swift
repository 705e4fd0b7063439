import ArgumentParser
import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite
import MoonbusService
import NIOCore
import NIOHTTP1

/// Where the verbs look that show what is recorded: a running service, or the folder of one that is stopped.
enum Records {
    case service(ServiceClient)
    case folder(SQLiteJournal.Reader)

    /// Dead letters, newest first.
    func letters(limit: Int) async throws -> [JSONValue] {
        switch self {
        case .service(let client): try await client.ask("/deliveries?state=dead&limit=\(limit)").array ?? []
        case .folder(let reader):
            if case .deadLetters(let letters) = try reader.ask(.deadLetters(limit: limit)) {
                try letters.map { try value(RecordJSON.letter($0)) }
            } else {
                []
            }
        }
    }

    /// One dead letter.
    func letter(_ id: UInt64) async throws -> JSONValue {
        switch self {
        case .service(let client): return try await client.ask("/deliveries/\(id)")
        case .folder(let reader):
            guard case .deadLetters(let letters) = try reader.ask(.deadLetter(id: id)), let letter = letters.first else {
                throw CommandError(.found, "there is no dead letter '\(id)': `moonbus dead list` shows them")
            }
            return try value(RecordJSON.letter(letter))
        }
    }

    /// Events with their places, in the order of the log.
    ///
    /// One search looks at so many events and no more; this goes on until there are enough of them, or the log is over.
    func events(_ search: EventSearch) async throws -> [JSONValue] {
        var (search, events) = (search, [JSONValue]())
        defer { Terminal.standardError.clearStatus() }
        while true {
            let stretch = try await stretch(search)
            events = search.after == nil ? stretch.events + events : events + stretch.events
            guard stretch.isCut, stretch.events.count < search.limit else { return events }
            search.limit -= stretch.events.count
            if search.after != nil {
                guard let next = stretch.next, next != search.after else { return events }
                search.after = next
                Terminal.standardError.show(status: "looking on behind position \(next)")
            } else {
                guard let before = stretch.before, before != search.before else { return events }
                search.before = before
                Terminal.standardError.show(status: "looking on before position \(before)")
            }
        }
    }

    /// What one search found, and where to go on if it was cut.
    private struct Stretch {
        var events: [JSONValue]
        var isCut: Bool
        var next: UInt64?
        var before: UInt64?
    }

    private func stretch(_ search: EventSearch) async throws -> Stretch {
        switch self {
        case .service(let client):
            var target = "/events?limit=\(search.limit)&type=\(percentEncoded(search.pattern.description))"
            if let since = search.since { target += "&since=\(percentEncoded(since.description))" }
            if let after = search.after { target += "&after=\(after)" }
            if let before = search.before { target += "&before=\(before)" }
            let found = try await client.ask(target)
            return Stretch(
                events: found["events"]?.array ?? [], isCut: found["cut"]?.boolean == true,
                next: found["next"]?.integer.map { UInt64(clamping: $0) }, before: found["before"]?.integer.map { UInt64(clamping: $0) })
        case .folder(let reader):
            do {
                let found = try await search.run { question throws(JournalError) in try reader.answer(question) }
                return Stretch(
                    events: try found.events.map { try value(RecordJSON.event($0)) }, isCut: found.isCut, next: found.next,
                    before: found.before)
            } catch let error as JournalError {
                throw CommandError(opening: error)
            }
        }
    }

    /// The newest event with an id.
    func event(_ id: String) async throws -> JSONValue {
        switch self {
        case .service(let client):
            // `/events/stream` are the events as they come.
            return try await client.ask("/events/\(id == "stream" ? "%73tream" : percentEncoded(id))")
        case .folder(let reader):
            guard case .events(let events) = try reader.ask(.event(id: id)), let event = events.first else {
                throw CommandError(.found, "there is no event with the id '\(printable(id))'")
            }
            return try value(RecordJSON.event(event))
        }
    }

    /// A plugin's values, in the order of their keys.
    func entries(_ plugin: String, prefix: String, limit: Int) async throws -> [JSONValue] {
        switch self {
        case .service(let client):
            let target = "/plugins/\(percentEncoded(plugin))/kv?prefix=\(percentEncoded(prefix))&limit=\(limit)"
            return try await client.ask(target).object?["entries"]?.array ?? []
        case .folder(let reader):
            let question = JournalQuestion.scan(plugin: plugin, prefix: prefix, after: nil, limit: limit, now: .now())
            guard case .state(let entries) = try reader.ask(question) else { return [] }
            return try entries.map { try value(RecordJSON.entry($0)) }
        }
    }

    /// One value of a plugin's.
    func entry(_ plugin: String, _ key: String) async throws -> JSONValue {
        switch self {
        case .service(let client): return try await client.ask("/plugins/\(percentEncoded(plugin))/kv/\(percentEncoded(key))")
        case .folder(let reader):
            guard case .state(let entries) = try reader.ask(.state(plugin: plugin, key: key, now: .now())), let entry = entries.first else {
                throw CommandError(.found, "plugin '\(printable(plugin))' has no key '\(printable(key))'")
            }
            return try value(RecordJSON.entry(entry))
        }
    }

    private func value(_ bytes: ByteBuffer) throws -> JSONValue {
        guard let value = bytes.json else { throw CommandError(.ioError, "a record of the journal is not JSON, or too deep") }
        return value
    }
}

extension SQLiteJournal.Reader {
    fileprivate func ask(_ question: JournalQuestion) throws -> JournalAnswer {
        do throws(JournalError) {
            return try answer(question)
        } catch {
            throw CommandError(opening: error)
        }
    }
}

extension ServiceClient {
    /// Sends a request and returns the JSON of its answer.
    ///
    /// - Throws: ``CommandError`` for a problem: 1 when there is no such thing, else as ``ProblemAnswer/error`` says.
    func ask(
        _ target: String, _ method: HTTPMethod = .GET, body: JSON? = nil, fields: [(String, String)] = []
    ) async throws -> JSONValue {
        let answer = try await send(
            method, target, contentType: body == nil ? nil : "application/json", body: ByteBuffer(string: body?.text ?? ""), fields: fields)
        guard answer.status < 300 else {
            let problem = ProblemAnswer(answer)
            throw problem.status == 404 ? CommandError(.found, problem.error.message) : problem.error
        }
        guard let value = answer.body.json else {
            throw CommandError(.internal, "the service answered something that is not JSON: is it Moonbus \(MoonbusCommand.version)?")
        }
        return value
    }
}

extension ByteBuffer {
    /// What was answered; nil when it is not JSON. Longer than an event's data may be, and deeper: lists are.
    var json: JSONValue? {
        withUnsafeReadableBytes { try? JSON(validating: $0, limits: JSONLimits(envelope: 4, bytes: 1 << 30)).value }
    }
}

/// What the verbs have in common that look at what is recorded.
struct RecordOptions: ParsableArguments {
    @OptionGroup var client: ClientOptions

    @Option(help: "Look into the journal's folder of a stopped service instead.")
    var journal: String?

    /// Opens what the options name and reads in it.
    func read<Value>(_ body: (Records) async throws -> Value) async throws -> Value {
        guard let journal else {
            return try await ServiceClient.connect(to: try client.address()) { try await body(.service($0)) }
        }
        let reader: SQLiteJournal.Reader
        do throws(JournalError) {
            reader = try SQLiteJournal.Reader(folder: journal)
        } catch {
            guard error.code == .inUse else { throw CommandError(opening: error) }
            let address = ServiceNote.address(in: journal)
            throw CommandError(
                .tryLater, "\(error.message): ask it instead, without --journal and with \(address.map { "--url \($0)" } ?? "its --url")")
        }
        if let loss = reader.loss {
            Terminal.standardError.print(
                "moonbus: \(journal): something that had been committed is missing, what is shown is the rest: \(printable(loss))")
        }
        return try await body(.folder(reader))
    }

    /// Changes something in a running service.
    ///
    /// - Throws: ``CommandError`` 64 when a folder was named: only a service writes a journal.
    func change<Value>(_ body: (ServiceClient) async throws -> Value) async throws -> Value {
        if let journal {
            throw CommandError(
                .usage,
                "only a running service changes a journal: start it (moonbus run --journal \(journal)), then say this without --journal")
        }
        return try await ServiceClient.connect(to: try client.address(), body)
    }
}
