import MoonbusDispatch
import MoonbusEvents
import MoonbusService
import Testing

@Suite struct EventStreamTests {
    @Test func `a stream shows the events of its types as they come`() async throws {
        try await TestService.run { service async throws in
            let port = service.port
            let emits =
                service.request("POST", "/events/other", body: "0")
                + service.request("POST", "/events/orders.new?id=e-1", body: #"{"n": 1}"#)
            let (head, event) = try await conversation(port: port) { connection in
                connection.send("GET /events/stream?type=orders.* HTTP/1.1\r\nHost: localhost\r\n\r\n")
                let head = try connection.text(until: "\r\n\r\n")
                _ = try connection.text(until: ": moonbus\n\n")
                var emitter = try RawConnection(port: port)
                emitter.send(emits)
                _ = (try emitter.reply(), try emitter.reply())
                return (head, try connection.text(until: "\n\n"))
            }
            #expect(head.hasPrefix("HTTP/1.1 200"))
            #expect(head.contains("text/event-stream"))
            let lines = event.split(separator: "\n").map(String.init)
            #expect(lines.first == "id: e-1")
            let data = try JSON(String(try #require(lines.last?.dropFirst("data: ".count))))
            #expect(data.value(at: ["type"]) == "orders.new")
            #expect(data.value(at: ["data", "n"]) == 1)
        }
    }

    @Test func `an event of an ephemeral type is marked by a comment`() async throws {
        var bus = BusConfiguration()
        bus.ephemeral = [try EventPattern("raw.>")]
        try await TestService.run(bus: bus) { service async throws in
            let port = service.port
            let emits = service.request("POST", "/events/raw.heat", body: "1") + service.request("POST", "/events/orders.new", body: "2")
            let text = try await conversation(port: port) { connection in
                connection.send("GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                _ = try connection.text(until: ": moonbus\n\n")
                var emitter = try RawConnection(port: port)
                emitter.send(emits)
                _ = (try emitter.reply(), try emitter.reply())
                let first = try connection.text(until: "\n\n")
                return try first + connection.text(until: "\n\n")
            }
            let blocks = text.split(separator: "\n\n")
            #expect(blocks.count == 2)
            for block in blocks { #expect(block.hasPrefix(": ephemeral\nid: ") == block.contains(#""type":"raw.heat""#)) }
            #expect(blocks.contains { $0.hasPrefix(": ephemeral\n") })
        }
    }

    @Test func `a silent stream shows that it is alive`() async throws {
        try await TestService.run({ $0.limits.heartbeat = .milliseconds(20) }) { service async throws in
            let text = try await conversation(port: service.port) { connection in
                connection.send("GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return try connection.text(until: ": still here\n\n")
            }
            #expect(text.contains("200 OK"))
        }
    }

    @Test func `a pattern that is none is refused, and so are streams above the bound`() async throws {
        try await TestService.run({ $0.limits.streams = 1 }) { service async throws in
            let port = service.port
            #expect(try await service.ask("GET", "/events/stream?type=a..b").status == 400)
            let status = try await conversation(port: port) { connection in
                connection.send("GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                _ = try connection.text(until: ": moonbus\n\n")
                var second = try RawConnection(port: port)
                second.send("GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return try second.reply().status
            }
            #expect(status == 503)
        }
    }

    @Test func `a stream asked for behind a request without an answer is refused, and both are answered`() async throws {
        try await TestService.run { service async throws in
            let (gate, open) = AsyncStream<Void>.makeStream()
            _ = try await service.bus.subscribe(EventPattern("slow"), name: "slow") { _, _ in
                for await _ in gate {}
                return nil
            }
            _ = try await service.bus.subscribe(EventPattern("go"), name: "go") { _, _ in
                open.finish()
                return nil
            }
            let port = service.port
            let requests =
                service.request("POST", "/events/slow?wait=10s", body: "1") + service.request("GET", "/events/stream")
                + service.request("POST", "/events/go?wait=10s", body: "1")
            let (replies, text) = try await conversation(port: port) { connection in
                connection.send(requests)
                let replies = [try connection.reply(), try connection.reply(), try connection.reply()]
                // Now it is possible, on the same connection.
                connection.send("GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return (replies, try connection.text(until: ": moonbus\n\n"))
            }
            #expect(replies.map(\.status) == [200, 409, 200])
            #expect(replies[1]["remedy"]?.string == "ask once they are answered, or use a connection of its own")
            #expect(text.contains("200 OK"))
        }
    }

    @Test func `asking for the head of a stream begins none`() async throws {
        try await TestService.run({ $0.limits.streams = 0 }) { service async throws in
            let requests = service.request("HEAD", "/events/stream") + service.request("GET", "/health/live")
            let (head, next) = try await conversation(port: service.port) { connection in
                connection.send(requests)
                return (try connection.text(until: "\r\n\r\n"), try connection.reply())
            }
            #expect(head.hasPrefix("HTTP/1.1 200") && head.contains("text/event-stream"))
            #expect(next.status == 200)
        }
    }

    @Test func `a stream ends when the service stops`() async throws {
        let port = try await TestService.run { service async throws in
            let port = service.port
            Task {
                _ = try? await conversation(port: port) { connection in
                    connection.send("GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    return try connection.text(until: "never")
                }
            }
            let live = try await service.ask("GET", "/health/live")
            #expect(live.status == 200)
            return port
        }
        await #expect(throws: (any Error).self) { try await conversation(port: port) { _ in } }
    }
}
