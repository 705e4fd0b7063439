import MoonbusEvents
import MoonbusService
import Testing

@Suite struct GuardTests {
    @Test(arguments: ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
    func `requests to a name of this service pass, with its port or without`(name: String) async throws {
        try await TestService.run { service async throws in
            for host in [name, "\(name):\(service.port)"] {
                let reply = try await conversation(port: service.port) { connection in
                    connection.send("GET /health/live HTTP/1.1\r\nHost: \(host)\r\n\r\n")
                    return try connection.reply()
                }
                #expect(reply.status == 200)
            }
        }
    }

    @Test(arguments: ["evil.example", "127.0.0.1:1", "localhost.evil.example", "", "127.0.0.1@evil.example"])
    func `a name that was rebound to this address is refused with 421`(host: String) async throws {
        try await TestService.run { service async throws in
            let reply = try await conversation(port: service.port) { connection in
                connection.send("GET /plugins HTTP/1.1\r\nHost: \(host)\r\n\r\n")
                return try connection.reply()
            }
            #expect(reply.status == 421)
            #expect(reply["remedy"]?.string?.contains("127.0.0.1") == true)
        }
    }

    @Test func `a name that the settings add passes`() async throws {
        try await TestService.run({ $0.hosts = ["moon.test"] }) { service async throws in
            let reply = try await conversation(port: service.port) { connection in
                connection.send("GET /health/live HTTP/1.1\r\nHost: moon.test\r\n\r\n")
                return try connection.reply()
            }
            #expect(reply.status == 200)
        }
    }

    @Test(arguments: ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"])
    func `a request without exactly one Host is refused with 400`(request: String) async throws {
        try await TestService.run { service async throws in
            let reply = try await conversation(port: service.port) { connection in
                connection.send(request)
                return try connection.reply()
            }
            #expect(reply.status == 400)
        }
    }

    @Test func `an absolute target must name this service, too`() async throws {
        try await TestService.run { service async throws in
            func status(_ target: String) async throws -> Int {
                try await conversation(port: service.port) { connection in
                    connection.send("GET \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    return try connection.reply().status
                }
            }
            #expect(try await status("http://127.0.0.1:\(service.port)/health/live") == 200)
            #expect(try await status("http://evil.example/health/live") == 421)
            #expect(try await status("https://localhost/health/live") == 400)
            #expect(try await status("*") == 400)
        }
    }

    @Test(arguments: ["http://evil.example", "null", "https://localhost"])
    func `a page of another site is refused with 403, whatever it asks for`(origin: String) async throws {
        try await TestService.run { service async throws in
            #expect(try await service.ask("POST", "/events/a", fields: ["Origin: \(origin)"], body: "1").status == 403)
            #expect(try await service.ask("GET", "/events/stream", fields: ["Origin: \(origin)"]).status == 403)
        }
    }

    @Test func `a page of this service passes`() async throws {
        try await TestService.run { service async throws in
            #expect(
                try await service.ask("POST", "/events/a", fields: ["Origin: http://localhost:\(service.port)"], body: "1").status == 202)
        }
    }

    @Test func `after a refusal of a well-formed request the connection goes on`() async throws {
        try await TestService.run { service async throws in
            let requests = service.request("POST", "/nowhere", body: "[1,2,3]") + service.request("GET", "/health/live")
            let statuses = try await conversation(port: service.port) { connection in
                connection.send(requests)
                return [try connection.reply().status, try connection.reply().status]
            }
            #expect(statuses == [404, 200])
        }
    }
}
