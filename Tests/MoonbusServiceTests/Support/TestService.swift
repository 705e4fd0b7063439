import Logging
import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins
import MoonbusService

/// A bus with an HTTP face on a free port, and the requests that nearly every test makes.
struct TestService: Sendable {
    let bus: EventBus
    let port: Int

    /// Runs `body` with a service, and stops it whatever happens.
    static func run<Value>(
        _ change: (inout ServiceConfiguration) -> Void = { _ in }, bus limits: BusConfiguration = .init(),
        journal: any Journal = InMemoryJournal(),
        _ body: (TestService) async throws -> Value
    ) async throws -> Value {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let bus = EventBus(journal: journal, configuration: limits, logger: logger)
        try await bus.start()
        var configuration = ServiceConfiguration()
        configuration.port = 0
        change(&configuration)
        let service = HTTPService(bus: bus, plugins: nil, configuration: configuration, logger: logger)
        let port = try await service.start()
        let outcome: Result<Value, any Error>
        do {
            outcome = .success(try await body(TestService(bus: bus, port: port)))
        } catch {
            outcome = .failure(error)
        }
        await service.stop(within: .seconds(2))
        await bus.stop(within: .seconds(2))
        return try outcome.get()
    }

    /// One request on a connection of its own.
    func ask(
        _ method: String, _ target: String, type: String? = "application/json", fields: [String] = [], body: String = ""
    ) async throws -> RawConnection.Reply {
        let text = request(method, target, type: type, fields: fields, body: body)
        let isHead = method == "HEAD"
        return try await conversation(port: port) { connection in
            connection.send(text)
            guard isHead else { return try connection.reply() }
            let head = try connection.text(until: "\r\n\r\n")
            return RawConnection.Reply(status: Int(head.split(separator: " ")[1]) ?? 0, fields: [:], body: "")
        }
    }

    /// The bytes of a request.
    func request(_ method: String, _ target: String, type: String? = "application/json", fields: [String] = [], body: String = "") -> String
    {
        var lines = ["\(method) \(target) HTTP/1.1", "Host: 127.0.0.1:\(port)"] + fields
        if let type, !body.isEmpty { lines.append("Content-Type: \(type)") }
        if method == "POST" || !body.isEmpty { lines.append("Content-Length: \(body.utf8.count)") }
        return lines.joined(separator: "\r\n") + "\r\n\r\n" + body
    }

    /// Subscribes a handler that answers with what it got.
    func echo(_ pattern: String) async throws {
        _ = try await bus.subscribe(EventPattern(pattern), name: "echo") { event, _ in event.data }
    }
}

extension RawConnection.Reply {
    /// A member of the body, by path.
    subscript(path: String...) -> JSONValue? { try? JSON(body).value(at: path) }
    /// The body as a value.
    var value: JSONValue? { try? JSON(body).value }
}
