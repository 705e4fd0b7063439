import Logging
import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusService
import Testing

/// Ends that nobody planned: of a client, and of the bus below the service.
@Suite struct EndTests {
    @Test func `a client that hangs up in the middle of a request harms nobody else`() async throws {
        try await TestService.run { service async throws in
            try await service.echo("a")
            for part in ["POST /ev", "POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n[1"] {
                try await conversation(port: service.port) { connection in connection.send(part) }
            }
            #expect(try await service.ask("POST", "/events/a?wait=10s", body: "1").status == 200)
        }
    }

    @Test func `a client that hangs up before its answer harms nobody else`() async throws {
        try await TestService.run { service async throws in
            let (gate, open) = AsyncStream<Void>.makeStream()
            _ = try await service.bus.subscribe(EventPattern("slow"), name: "slow") { _, _ in
                for await _ in gate {}
                return nil
            }
            try await service.echo("a")
            let request = service.request("POST", "/events/slow?wait=10s", body: "1")
            let behind = service.request("GET", "/health/live")
            try await conversation(port: service.port) { connection in
                // The answer to the second request waits behind the first one's, which will never be sent.
                connection.send(request + behind)
            }
            open.finish()
            #expect(try await service.ask("POST", "/events/a?wait=10s", body: "1").status == 200)
        }
    }

    @Test func `a service whose bus has ended closes its connections, and can still be stopped`() async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let bus = EventBus(journal: InMemoryJournal(), logger: logger)
        try await bus.start()
        var configuration = ServiceConfiguration()
        configuration.port = 0
        let service = HTTPService(bus: bus, plugins: nil, configuration: configuration, logger: logger)
        let port = try await service.start()
        let isAtEnd = try await withThrowingTaskGroup(of: Bool.self) { group in
            let (answered, tell) = AsyncStream<Void>.makeStream()
            group.addTask {
                try await conversation(port: port) { connection in
                    connection.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    _ = try connection.reply()
                    tell.finish()
                    return try connection.isAtEnd()
                }
            }
            for await _ in answered {}
            await bus.stop(within: .seconds(2))
            return try await group.next()
        }
        #expect(isAtEnd == true)
        await service.stop(within: .seconds(2))
        await #expect(throws: (any Error).self) { try await conversation(port: port) { _ in } }
    }

    @Test func `a service is refused by a bus that has ended`() async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let bus = EventBus(journal: InMemoryJournal(), logger: logger)
        try await bus.start()
        await bus.stop(within: .seconds(2))
        var configuration = ServiceConfiguration()
        configuration.port = 0
        let service = HTTPService(bus: bus, plugins: nil, configuration: configuration, logger: logger)
        await #expect(throws: ServiceError.self) { try await service.start() }
    }

    @Test func `a request that comes behind one whose answer is owed is told that the service stops`() async throws {
        let slow = try await SlowService()
        let (bus, service, port, running, open) = (slow.bus, slow.service, slow.port, slow.running, slow.open)
        async let end = conversation(port: port) { connection in
            connection.send("POST /events/slow?wait=10s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1")
            while (try? RawConnection(port: port)) != nil {}  // until the service takes no more
            connection.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            open.finish()
            return (try connection.reply(), try connection.reply(), try connection.isAtEnd())
        }
        for await _ in running {}
        async let stopped: Void = service.stop(within: .seconds(10))
        let (first, second, isAtEnd) = try await end
        #expect(first.status == 200)
        #expect(second.status == 503 && second["detail"]?.string == "the service is stopping")
        #expect(second.fields["connection"] == "close" && second.fields["retry-after"] == "1")
        #expect(isAtEnd)
        await stopped
        await bus.stop(within: .seconds(2))
    }

    @Test func `a stopping service gives the answers that it owes, and then closes`() async throws {
        let slow = try await SlowService()
        let (bus, service, port, running, open) = (slow.bus, slow.service, slow.port, slow.running, slow.open)
        async let end = conversation(port: port) { connection in
            connection.send("POST /events/slow?wait=10s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1")
            return (try connection.reply(), try connection.isAtEnd())
        }
        for await _ in running {}
        async let stopped: Void = service.stop(within: .seconds(10))
        open.finish()
        let (reply, isAtEnd) = try await end
        #expect(reply.status == 200 && reply.fields["connection"] == "close")
        #expect(isAtEnd)
        await stopped
        await bus.stop(within: .seconds(2))
    }
}

/// A service with a handler of "slow" that ends when `open` does; `running` ends when it has begun.
private struct SlowService {
    let bus: EventBus
    let service: HTTPService
    let port: Int
    let running: AsyncStream<Void>
    let open: AsyncStream<Void>.Continuation

    init() async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        bus = EventBus(journal: InMemoryJournal(), logger: logger)
        try await bus.start()
        var configuration = ServiceConfiguration()
        configuration.port = 0
        service = HTTPService(bus: bus, plugins: nil, configuration: configuration, logger: logger)
        port = try await service.start()
        let (gate, open) = AsyncStream<Void>.makeStream()
        let (running, began) = AsyncStream<Void>.makeStream()
        (self.open, self.running) = (open, running)
        _ = try await bus.subscribe(EventPattern("slow"), name: "slow") { _, _ in
            began.finish()
            for await _ in gate {}
            return try JSON("1")
        }
    }
}
