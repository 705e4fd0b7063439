import MoonbusDispatch
import MoonbusEvents
import MoonbusService
import Testing

@Suite struct ConnectionTests {
    @Test func `pipelined requests are answered in their order, whatever takes longer`() async throws {
        try await TestService.run { service async throws in
            let (gate, open) = AsyncStream<Void>.makeStream()
            _ = try await service.bus.subscribe(EventPattern("slow"), name: "slow") { _, _ in
                for await _ in gate {}
                return try JSON(#""slow""#)
            }
            _ = try await service.bus.subscribe(EventPattern("fast"), name: "fast") { _, _ in
                open.finish()
                return try JSON(#""fast""#)
            }
            let requests =
                service.request("POST", "/events/slow?wait=10s", body: "1") + service.request("POST", "/events/fast?wait=10s", body: "2")
                + service.request("GET", "/nowhere") + service.request("GET", "/health/live")
            let replies = try await conversation(port: service.port) { connection in
                connection.send(requests)
                return [try connection.reply(), try connection.reply(), try connection.reply(), try connection.reply()]
            }
            #expect(replies.map(\.status) == [200, 200, 404, 200])
            #expect(replies[0]["results"]?.array?.first?.object?["result"] == "slow")
            #expect(replies[1]["results"]?.array?.first?.object?["result"] == "fast")
        }
    }

    @Test func `more pipelined requests than the bound are all answered`() async throws {
        try await TestService.run({ $0.limits.pipelined = 4 }) { service async throws in
            let one = service.request("POST", "/events/a", body: "1")
            let statuses = try await conversation(port: service.port) { connection in
                connection.send(String(repeating: one, count: 500))
                return try (0..<500).map { _ in try connection.reply().status }
            }
            #expect(statuses == Array(repeating: 202, count: 500))
        }
    }

    @Test func `a client that reads late gets every answer, whole and in order`() async throws {
        try await TestService.run { service async throws in
            // Far more than sockets hold, so that answers have to wait for the client.
            let padding = String(repeating: "x", count: 100_000)
            _ = try await service.bus.subscribe(EventPattern("large"), name: "large") { event, _ in
                try JSON("[\(event.data?.text ?? ""),\"\(padding)\"]")
            }
            let requests = (0..<60).map { service.request("POST", "/events/large?wait=30s", body: "\($0)") }.joined()
            let numbers = try await conversation(port: service.port) { connection in
                connection.send(requests)
                return try (0..<60).map { _ in
                    let body = try connection.reply().body
                    return body.contains(padding) ? try number(in: body) : -1
                }
            }
            #expect(numbers == Array(0..<60))
        }
    }

    /// The number that the handler of a large answer put first.
    private func number(in body: String) throws -> Int {
        let result = try JSON(body).value.object?["results"]?.array?.first?.object?["result"]?.array
        return Int(result?.first?.integer ?? -1)
    }

    @Test func `answers that come in one turn and those that wait keep their order`() async throws {
        try await TestService.run { service async throws in
            try await service.echo("echo")
            // Refused at once, answered once recorded, answered once settled, answered by another thread: mixed, on one connection.
            let round =
                service.request("GET", "/nowhere") + service.request("POST", "/events/a", body: "1")
                + service.request("POST", "/events/echo?wait=10s", body: "2") + service.request("GET", "/statistics")
                + service.request("GET", "/health/live")
            let statuses = try await conversation(port: service.port) { connection in
                connection.send(String(repeating: round, count: 20))
                return try (0..<100).map { _ in try connection.reply().status }
            }
            #expect(statuses == (0..<20).flatMap { _ in [404, 202, 200, 200, 200] })
        }
    }

    @Test func `a request that comes byte by byte is understood`() async throws {
        try await TestService.run { service async throws in
            let request = service.request("POST", "/events/a", body: #"{"n":1}"#)
            let reply = try await conversation(port: service.port) { connection in
                for byte in request.utf8 { connection.send([byte]) }
                return try connection.reply()
            }
            #expect(reply.status == 202)
        }
    }

    @Test func `a chunked body is put together`() async throws {
        try await TestService.run { service async throws in
            try await service.echo("a")
            let head =
                "POST /events/a?wait=10s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            let reply = try await conversation(port: service.port) { connection in
                connection.send(head + "3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n")
                return try connection.reply()
            }
            #expect(reply["results"]?.array?.first?.object?["result"] == [1, 2])
        }
    }

    @Test func `a body above the limit is refused with 413, announced or chunked`() async throws {
        try await TestService.run({ $0.limits.bodyBytes = 1_000 }) { service async throws in
            let announced = service.request("POST", "/events/a", body: String(repeating: "1", count: 1_001))
            let chunked =
                "POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n\(String(repeating: "1", count: 1_001))\r\n0\r\n\r\n"
            for request in [announced, chunked] {
                let (reply, isAtEnd) = try await conversation(port: service.port) { connection in
                    connection.send(request)
                    return (try connection.reply(), try connection.isAtEnd())
                }
                #expect(reply.status == 413)
                #expect(reply.fields["connection"] == "close")
                #expect(isAtEnd)
            }
            #expect(try await service.ask("POST", "/events/a", body: "\"" + String(repeating: "1", count: 998) + "\"").status == 202)
        }
    }

    @Test func `a client that sends a large body sees the refusal, not a reset`() async throws {
        try await TestService.run { service async throws in
            let reply = try await conversation(port: service.port) { connection in
                connection.send(
                    "POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n"
                        + String(repeating: "1", count: 4_000_000))
                return try connection.reply()
            }
            #expect(reply.status == 413)
        }
    }

    @Test func `a client that asks first is told to go on, or that it need not`() async throws {
        try await TestService.run { service async throws in
            let head = "POST /events/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
            let (interim, reply) = try await conversation(port: service.port) { connection in
                connection.send(head)
                let interim = try connection.reply()
                connection.send("1")
                return (interim, try connection.reply())
            }
            #expect(interim.status == 100)
            #expect(reply.status == 202)
            let refused = try await conversation(port: service.port) { connection in
                connection.send("POST /events/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n")
                return try connection.reply()
            }
            #expect(refused.status == 413)
        }
    }

    @Test(arguments: [
        "X-Large: " + String(repeating: "x", count: 33 << 10),
        (0..<101).map { "X-\($0): 1" }.joined(separator: "\r\n"),
        (0..<40).map { "X-\($0): " + String(repeating: "x", count: 1_000) }.joined(separator: "\r\n"),
    ])
    func `a header above the limits is refused with 431`(fields: String) async throws {
        try await TestService.run { service async throws in
            let reply = try await conversation(port: service.port) { connection in
                connection.send("GET / HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n\r\n")
                return try connection.reply()
            }
            #expect(reply.status == 431)
        }
    }

    @Test(arguments: [
        "GARBAGE\r\n\r\n",
        "GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        "POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\n1\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: \u{1}\r\n\r\n",
        "POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        "POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\n1",
        "POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 1\r\n\r\n1",
        "POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n1",
        "POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n1\r\n0\r\n\r\n",
        "POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n12\r\n0\r\n\r\n",
    ])
    func `what is not HTTP is refused with 400, and nothing after it is believed`(request: String) async throws {
        try await TestService.run { service async throws in
            let (reply, isAtEnd) = try await conversation(port: service.port) { connection in
                connection.send(request + "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return (try connection.reply(), try connection.isAtEnd())
            }
            #expect(reply.status == 400)
            #expect(reply.fields["content-type"] == "application/problem+json")
            #expect(isAtEnd)
        }
    }

    @Test func `a header that does not end in time is answered with 408`() async throws {
        try await TestService.run({ $0.limits.head = .milliseconds(100) }) { service async throws in
            let (reply, isAtEnd) = try await conversation(port: service.port) { connection in
                connection.send("GET / HT")
                return (try connection.reply(), try connection.isAtEnd())
            }
            #expect(reply.status == 408)
            #expect(isAtEnd)
        }
    }

    @Test func `a body that does not end in time is answered with 408`() async throws {
        try await TestService.run({ $0.limits.body = .milliseconds(100) }) { service async throws in
            let reply = try await conversation(port: service.port) { connection in
                connection.send("POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12")
                return try connection.reply()
            }
            #expect(reply.status == 408)
        }
    }

    @Test func `a connection on which nothing happens is closed without a word`() async throws {
        try await TestService.run({ $0.limits.idle = .milliseconds(100) }) { service async throws in
            let request = service.request("GET", "/health/live")
            let isAtEnd = try await conversation(port: service.port) { connection in
                connection.send(request)
                _ = try connection.reply()
                return try connection.isAtEnd()
            }
            #expect(isAtEnd)
        }
    }

    @Test func `a client that has said all it wants still gets its answers`() async throws {
        try await TestService.run { service async throws in
            try await service.echo("a")
            let request = service.request("POST", "/events/a?wait=10s", body: "1")
            let (reply, isAtEnd) = try await conversation(port: service.port) { connection in
                connection.send(request)
                connection.endSending()
                return (try connection.reply(), try connection.isAtEnd())
            }
            #expect(reply.status == 200)
            #expect(isAtEnd)
        }
    }

    @Test func `the connection ends when the client says so, and with HTTP 1_0`() async throws {
        try await TestService.run { service async throws in
            let requests = ["GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"]
            for request in requests {
                let (reply, isAtEnd) = try await conversation(port: service.port) { connection in
                    connection.send(request)
                    return (try connection.reply(), try connection.isAtEnd())
                }
                #expect(reply.status == 200)
                #expect(reply.fields["connection"] == "close")
                #expect(isAtEnd)
            }
        }
    }

    @Test func `connections above the bound are told so`() async throws {
        try await TestService.run({ $0.limits.connections = 1 }) { service async throws in
            let port = service.port
            let request = service.request("GET", "/health/live")
            let status = try await conversation(port: port) { connection in
                connection.send(request)
                _ = try connection.reply()
                var second = try RawConnection(port: port)
                return try second.reply().status
            }
            #expect(status == 503)
        }
    }
}
