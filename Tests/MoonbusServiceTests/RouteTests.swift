import MoonbusDispatch
import MoonbusEvents
import Testing

@Suite struct RouteTests {
    @Test func `an unknown path is answered with 404 and where to look`() async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("GET", "/nowhere")
            #expect(reply.status == 404)
            #expect(reply.fields["content-type"] == "application/problem+json")
            #expect(reply["status"] == 404)
            #expect(reply["remedy"] != nil)
        }
    }

    @Test(arguments: [
        ("DELETE", "/events", "GET, HEAD, POST"), ("PUT", "/events/a", "GET, HEAD, POST"), ("POST", "/plugins", "GET, HEAD"),
        ("POST", "/health/live", "GET, HEAD"), ("GET", "/plugins/x/reload", "POST"), ("GET", "/deliveries/1/retry", "POST"),
        ("OPTIONS", "/events", "GET, HEAD, POST"), ("PUT", "/deliveries/1", "DELETE, GET, HEAD"), ("POST", "/plugins/x/kv", "GET, HEAD"),
        ("POST", "/plugins/x/kv/y", "DELETE, GET, HEAD, PUT"), ("DELETE", "/", "GET, HEAD"), ("PUT", "/events/stream", "GET, HEAD"),
    ])
    func `a method that the path does not take is answered with 405 and the ones that it does`(
        method: String, target: String, allow: String
    ) async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask(method, target)
            #expect(reply.status == 405)
            #expect(reply.fields["allow"] == allow)
        }
    }

    @Test func `the front page names the paths`() async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("GET", "/")
            #expect(reply.status == 200)
            #expect(reply.fields["content-type"]?.hasPrefix("text/plain") == true)
            #expect(reply.body.contains("POST /events/{type}"))
        }
    }

    @Test func `health is answered for monitors, by GET and by HEAD`() async throws {
        try await TestService.run { service async throws in
            #expect(try await service.ask("GET", "/health/live").status == 200)
            #expect(try await service.ask("HEAD", "/health/live").status == 200)
            let ready = try await service.ask("GET", "/health/ready")
            #expect(ready.status == 200)
            #expect(ready["status"] == "ready")
        }
    }

    @Test func `statistics count what was emitted`() async throws {
        try await TestService.run { service async throws in
            _ = try await service.ask("POST", "/events/nobody.wants.this?wait=5s", body: "1")
            let reply = try await service.ask("GET", "/statistics")
            #expect(reply["recorded"] == 1)
            #expect(reply["ephemeral"] == 0 && reply["lost"] == 0)
            #expect(reply["unmatched"] == 1)
            #expect(reply["unmatched_types"]?.array?.first?.object?["type"] == "nobody.wants.this")
            #expect(reply["journal"]?.object?["events"] == 1)
            #expect(reply["journal"]?.object?["commits"] == 0, "nothing is synced in memory")
        }
    }

    @Test func `a service without plugins has an empty list of them`() async throws {
        try await TestService.run { service async throws in
            #expect(try await service.ask("GET", "/plugins").body == "[]")
            #expect(try await service.ask("GET", "/plugins/x").status == 404)
            #expect(try await service.ask("POST", "/plugins/x/reload").status == 404)
        }
    }

    @Test func `a dead letter is listed with its event and its errors, and can be tried again`() async throws {
        try await TestService.run { service async throws in
            _ = try await service.bus.subscribe(EventPattern("a"), name: "broken") { _, context in throw context.reject("no") }
            _ = try await service.ask("POST", "/events/a?wait=5s&id=e-1", body: #"{"n":1}"#)
            let list = try await service.ask("GET", "/deliveries?state=dead")
            let letter = try #require(list.value?.array?.first?.object)
            #expect(letter["subscription"] == "broken")
            #expect(letter["event"]?.object?["id"] == "e-1")
            #expect(letter["failures"]?.array?.first?.object?["error"]?.object?["message"]?.string?.contains("no") == true)
            let id = try #require(letter["id"]?.integer)
            #expect(try await service.ask("POST", "/deliveries/\(id)/retry").status == 202)
            #expect(try await service.ask("POST", "/deliveries/999/retry").status == 404)
            #expect(try await service.ask("POST", "/deliveries/x/retry").status == 404)
            #expect(try await service.ask("GET", "/deliveries?state=done").status == 400)
            #expect(try await service.ask("GET", "/deliveries?limit=0").status == 400)
        }
    }
}
