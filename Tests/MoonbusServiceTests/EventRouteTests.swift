import MoonbusDispatch
import MoonbusEvents
import Testing

@Suite struct EventRouteTests {
    private func fill(_ service: TestService, _ types: [String]) async throws {
        for (index, type) in types.enumerated() {
            #expect(try await service.ask("POST", "/events/\(type)?id=e-\(index + 1)", body: "\(index + 1)").status == 202)
        }
    }

    private func ids(_ reply: RawConnection.Reply) -> [String] {
        (reply["events"]?.array ?? []).compactMap { $0.object?["event"]?.object?["id"]?.string }
    }

    @Test func `the newest events are listed in their order, and what follows is found behind them`() async throws {
        try await TestService.run { service async throws in
            try await fill(service, ["a.x", "b", "a.y", "b"])
            let newest = try await service.ask("GET", "/events?limit=2")
            #expect(ids(newest) == ["e-3", "e-4"])
            #expect(newest["events"]?.array?.first?.object?["position"] == 3)
            #expect(newest["next"] == 4)
            #expect(ids(try await service.ask("GET", "/events?after=4")) == [])
            #expect(try await service.ask("POST", "/events/c?id=e-5", body: "5").status == 202)
            #expect(ids(try await service.ask("GET", "/events?after=4")) == ["e-5"])
        }
    }

    @Test(arguments: [
        ("type=a.>", ["e-1", "e-3"]), ("type=b", ["e-2", "e-4"]), ("after=1&limit=2", ["e-2", "e-3"]),
        ("after=0&type=a.*", ["e-1", "e-3"]),
        ("since=1h", ["e-1", "e-2", "e-3", "e-4"]), ("since=2999-01-01T00:00:00Z", []), ("after=99", []),
    ])
    func `events are found by type, by time and by position`(query: String, expected: [String]) async throws {
        try await TestService.run { service async throws in
            try await fill(service, ["a.x", "b", "a.y", "b"])
            #expect(ids(try await service.ask("GET", "/events?\(query)")) == expected)
        }
    }

    @Test func `a search over many pages finds what is at the other end, from both sides`() async throws {
        try await TestService.run { service async throws in
            try await fill(service, ["rare"])
            for _ in 0..<10 {
                _ = try await service.bus.emit(try (0..<250).map { _ in try Event(type: EventType("usual")) })
            }
            #expect(ids(try await service.ask("GET", "/events?type=rare")) == ["e-1"])
            #expect(try await service.ask("GET", "/events/e-1")["position"] == 1)
            #expect(try await service.ask("POST", "/events/rare?id=last", body: "1").status == 202)
            #expect(ids(try await service.ask("GET", "/events?type=rare&after=1")) == ["last"])
        }
    }

    @Test func `one event is shown by its id, and a strange id is 404`() async throws {
        try await TestService.run { service async throws in
            try await fill(service, ["a"])
            let reply = try await service.ask("GET", "/events/e-1")
            #expect(reply.status == 200)
            #expect(reply["event", "data"] == 1)
            #expect(try await service.ask("HEAD", "/events/e-1").status == 200)
            let missing = try await service.ask("GET", "/events/nothing")
            #expect(missing.status == 404)
            #expect(missing.fields["content-type"] == "application/problem+json")
        }
    }

    @Test(arguments: ["type=a..b", "since=yesterday", "after=-1", "after=x", "limit=0", "limit=10001", "until=now"])
    func `a search that can't be is refused with 400 and a remedy`(query: String) async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("GET", "/events?\(query)")
            #expect(reply.status == 400)
            #expect(reply.fields["content-type"] == "application/problem+json")
        }
    }
}
