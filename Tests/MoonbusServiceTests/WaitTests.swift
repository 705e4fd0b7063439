import MoonbusDispatch
import MoonbusEvents
import MoonbusService
import Testing

@Suite struct WaitTests {
    @Test func `who waits gets the results of all handlers`() async throws {
        try await TestService.run { service async throws in
            try await service.echo("a.*")
            _ = try await service.bus.subscribe(EventPattern("a.b"), name: "second") { _, _ in nil }
            let reply = try await service.ask("POST", "/events/a.b?wait=10s", body: #"{"n":1}"#)
            #expect(reply.status == 200)
            let results = try #require(reply["results"]?.array)
            #expect(results.count == 2)
            let echo = results.first { $0.object?["subscription"] == "echo" }?.object
            #expect(echo?["status"] == "done")
            #expect(echo?["result"]?.object?["n"] == 1)
            #expect(echo?["attempts"] == 1)
        }
    }

    @Test func `an event that nobody wants is settled at once, with no results`() async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("POST", "/events/nobody?wait=10s", body: "1")
            #expect(reply.status == 200)
            #expect(reply["results"] == [])
        }
    }

    @Test func `a handler that fails for good is reported with its reason`() async throws {
        try await TestService.run { service async throws in
            _ = try await service.bus.subscribe(EventPattern("a"), name: "broken") { _, context in throw context.reject("no such customer")
            }
            let reply = try await service.ask("POST", "/events/a?wait=10s", body: "1")
            #expect(reply.status == 200)
            let result = reply["results"]?.array?.first?.object
            #expect(result?["status"] == "rejected")
            #expect(result?["error"]?.object?["message"]?.string?.contains("no such customer") == true)
        }
    }

    @Test func `when the wait passes the answer says how many are not done`() async throws {
        try await TestService.run { service async throws in
            let (gate, open) = AsyncStream<Void>.makeStream()
            _ = try await service.bus.subscribe(EventPattern("a"), name: "slow") { _, _ in
                for await _ in gate {}
                return nil
            }
            let reply = try await service.ask("POST", "/events/a?wait=20ms", body: "1")
            open.finish()
            #expect(reply.status == 202)
            #expect(reply["pending"] == 1)
            #expect(reply["id"] != nil)
        }
    }

    @Test(arguments: ["wait=", "wait=2", "wait=61s", "wait=-1s", "wait=soon", "wait=1s&wait=2s"])
    func `a wait that is no duration up to a minute is refused`(query: String) async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("POST", "/events/a?\(query)", body: "1")
            #expect(reply.status == 400)
            #expect(reply["type"] == "urn:moonbus:problem:bad-query")
        }
    }

    @Test func `a wait that the settings give is used when the request has none`() async throws {
        try await TestService.run({ $0.wait = .seconds(10) }) { service async throws in
            try await service.echo("a")
            #expect(try await service.ask("POST", "/events/a", body: "1").status == 200)
        }
    }

    @Test func `a full subscription is answered with 429 and when to try again`() async throws {
        try await TestService.run { service async throws in
            let (gate, open) = AsyncStream<Void>.makeStream()
            let policy = SubscriptionPolicy(concurrency: 1, queueLimit: 1)
            _ = try await service.bus.subscribe(EventPattern("a"), name: "slow", policy: policy) { _, _ in
                for await _ in gate {}
                return nil
            }
            var replies: [RawConnection.Reply] = []
            for _ in 0..<4 { replies.append(try await service.ask("POST", "/events/a", body: "1")) }
            open.finish()
            let refused = try #require(replies.last)
            #expect(refused.status == 429)
            #expect((Int(refused.fields["retry-after"] ?? "") ?? 0) >= 1)
            #expect(refused["detail"]?.string?.hasPrefix("subscription 'slow' holds 1 events, its limit is 1: let it catch up; ") == true)
            #expect(refused["detail"]?.string?.contains("raise") == false, "a Lua author has no option to raise")
        }
    }
}
