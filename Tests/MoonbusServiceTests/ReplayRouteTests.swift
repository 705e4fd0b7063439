import MoonbusDispatch
import MoonbusEvents
import Testing

@Suite struct ReplayRouteTests {
    /// A service with three recorded events `a`, which subscription `echo` has handled.
    private func filled(_ body: (TestService) async throws -> Void) async throws {
        try await TestService.run { service async throws in
            try await service.echo("a")
            for number in 1...3 { _ = try await service.ask("POST", "/events/a?wait=5s", body: "\(number)") }
            try await body(service)
        }
    }

    @Test func `a replay is begun, told about and over`() async throws {
        try await filled { service async throws in
            let begun = try await service.ask("POST", "/plugins/echo/replays", body: #"{"type":"a","from":"1h"}"#)
            #expect(begun.status == 202)
            #expect(begun["events"] == 3)
            #expect(begun["first"] == 1)
            #expect(begun["last"] == 3)
            #expect(begun["type"] == "a")
            #expect(begun["from"]?.string?.hasSuffix("Z") == true)
            let number = try #require(begun["number"]?.integer)
            var status = begun
            for _ in 0..<10_000 where status["state"] != "done" {
                status = try await service.ask("GET", "/plugins/echo/replays/\(number)")
            }
            #expect(status["state"] == "done")
            #expect(status["done"] == 3)
            #expect(try await service.ask("GET", "/plugins/echo/replays").body == "[]")
            #expect(try await service.ask("DELETE", "/plugins/echo/replays/\(number)").status == 404)
        }
    }

    @Test func `an open replay is listed and can be stopped`() async throws {
        try await filled { service async throws in
            let owner = service.bus.owner
            // Nobody serves it, so it stays open.
            let begun = try await service.ask("POST", "/plugins/echo/replays", body: #"{"type":">"}"#)
            _ = await owner.perform { service.bus.suspend(plugin: "echo") }
            let again = try await service.ask("POST", "/plugins/echo/replays", body: #"{"type":">"}"#)
            #expect(again.status == 409)
            #expect(begun.status == 202)
        }
        try await TestService.run { service async throws in
            let gate = Gate()
            _ = try await service.bus.subscribe(EventPattern("a"), name: "slow") { event, _ in
                if event.data?.text == "1" { await gate.pass() }
                return nil
            }
            try await service.bus.emit(Event(type: EventType("a"), data: JSON("0")))
            _ = try await service.ask("POST", "/events/a", body: "1")
            let begun = try await service.ask("POST", "/plugins/slow/replays", body: #"{"type":"a"}"#)
            let number = try #require(begun["number"]?.integer)
            let list = try await service.ask("GET", "/plugins/slow/replays")
            #expect(list.value?.array?.first?["number"]?.integer == number)
            #expect(list.value?.array?.first?["state"] == "running")
            let stopped = try await service.ask("DELETE", "/plugins/slow/replays/\(number)")
            #expect(stopped.status == 200)
            #expect(stopped["state"] == "ended")
            #expect(stopped["reason"] == "it was stopped")
            #expect(try await service.ask("GET", "/plugins/slow/replays").body == "[]")
            await gate.open()
        }
    }

    private actor Gate {
        private var isOpen = false
        private var waiting: [CheckedContinuation<Void, Never>] = []

        func pass() async {
            if !isOpen { await withCheckedContinuation { waiting.append($0) } }
        }

        func open() {
            isOpen = true
            for waiting in waiting { waiting.resume() }
            waiting = []
        }
    }

    @Test(arguments: [
        ("", 400, "no JSON object"), ("[]", 400, "no JSON object"), ("{}", 400, "'type'"), (#"{"type":1}"#, 400, "'type'"),
        (#"{"type":"a..b"}"#, 400, "not a pattern"), (#"{"type":"a","form":"1h"}"#, 400, "'form'"),
        (#"{"type":"a","from":"soon"}"#, 400, "is no time"), (#"{"type":"a","from":"1h","to":"2h"}"#, 400, "is after"),
        (#"{"type":"b"}"#, 409, "no subscription for 'b'"), (#"{"type":"a","to":"1h"}"#, 404, "no event of 'a'"),
    ])
    func `an order that can't be is refused and says why`(body: String, status: Int, detail: String) async throws {
        try await filled { service async throws in
            let reply = try await service.ask("POST", "/plugins/echo/replays", body: body)
            #expect(reply.status == status)
            #expect(reply["detail"]?.string?.contains(detail) == true, "\(reply.body)")
            #expect(try await service.ask("GET", "/plugins/echo/replays").body == "[]")
        }
    }

    @Test func `an unknown plugin, number or method is refused`() async throws {
        try await filled { service async throws in
            #expect(try await service.ask("POST", "/plugins/nobody/replays", body: #"{"type":"a"}"#).status == 404)
            #expect(try await service.ask("GET", "/plugins/echo/replays/77").status == 404)
            #expect(try await service.ask("GET", "/plugins/echo/replays/seven").status == 404)
            #expect(try await service.ask("DELETE", "/plugins/echo/replays/77").status == 404)
            #expect(try await service.ask("PUT", "/plugins/echo/replays", body: "1").status == 405)
        }
    }
}
