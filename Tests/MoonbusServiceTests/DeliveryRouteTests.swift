import MoonbusDispatch
import MoonbusEvents
import Testing

@Suite struct DeliveryRouteTests {
    /// Makes a dead letter of an event with the data `{"n":1}` whose handler wants `{"n":2}`.
    private func kill(_ service: TestService) async throws -> (id: Int64, subscription: Subscription) {
        var policy = SubscriptionPolicy()
        policy.concurrency = 1
        let subscription = try await service.bus.subscribe(EventPattern("a"), name: "picky", policy: policy) { event, context in
            guard event.data?.value(at: ["n"]) == 2 else { throw context.reject("n is not 2") }
            return event.data
        }
        _ = try await service.ask("POST", "/events/a?wait=5s&id=e-1", body: #"{"n":1}"#)
        let list = try await service.ask("GET", "/deliveries?state=dead")
        return (try #require(list.value?.array?.first?.object?["id"]?.integer), subscription)
    }

    @Test func `a dead letter is shown, and with its data put right it is handled`() async throws {
        try await TestService.run { service async throws in
            let id = try await kill(service).id
            let letter = try await service.ask("GET", "/deliveries/\(id)")
            #expect(letter["event", "data", "n"] == 1)
            #expect(letter["subscription"] == "picky")
            #expect(try await service.ask("POST", "/deliveries/\(id)/retry", body: "{").status == 400)
            #expect(try await service.ask("POST", "/deliveries/\(id)/retry", body: #"{"n":2}"#).status == 202)
            #expect(try await service.ask("GET", "/deliveries/\(id)").status == 404)
            // One at a time, and what is due again goes first: when this one is handled, the other one was.
            _ = try await service.ask("POST", "/events/a?wait=5s", body: #"{"n":2}"#)
            let done = await service.bus.statistics().subscriptions.first?.done
            #expect(done == 2)
            #expect(try await service.ask("GET", "/deliveries?state=dead").body == "[]")
        }
    }

    @Test func `a dropped letter is gone`() async throws {
        try await TestService.run { service async throws in
            let id = try await kill(service).id
            #expect(try await service.ask("DELETE", "/deliveries/\(id)").status == 200)
            #expect(try await service.ask("DELETE", "/deliveries/\(id)").status == 404)
            #expect(try await service.ask("POST", "/deliveries/\(id)/retry").status == 404)
            #expect(try await service.ask("GET", "/deliveries?state=dead").body == "[]")
        }
    }

    @Test func `a letter whose subscription is gone stays, and says so`() async throws {
        try await TestService.run { service async throws in
            let (id, subscription) = try await kill(service)
            await service.bus.unsubscribe(subscription)
            let reply = try await service.ask("POST", "/deliveries/\(id)/retry")
            #expect(reply.status == 409)
            #expect(reply["detail"]?.string?.contains("picky") == true)
            #expect(try await service.ask("GET", "/deliveries/\(id)").status == 200)
        }
    }
}
