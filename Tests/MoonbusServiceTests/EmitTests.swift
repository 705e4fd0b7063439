import MoonbusDispatch
import MoonbusEvents
import Testing

@Suite struct EmitTests {
    @Test func `any JSON body becomes an event of the type in the path and is answered once recorded`() async throws {
        try await TestService.run { service async throws in
            let events = service.bus.events(matching: try EventPattern(">"))
            let reply = try await service.ask(
                "POST", "/events/orders.eu.created?subject=o-7&key=k&source=/shop&id=e-1", body: #"{"total": 12}"#)
            #expect(reply.status == 202)
            #expect(reply["id"] == "e-1")
            #expect(reply["position"] == 1)
            var iterator = events.makeAsyncIterator()
            let event = try #require(await iterator.next())
            #expect(event.typeText == "orders.eu.created")
            #expect(event.subject == "o-7")
            #expect(event.key == "k")
            #expect(event.source == "/shop")
            #expect(event.data?.text == #"{"total": 12}"#)
        }
    }

    @Test func `an empty body is an event without data`() async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("POST", "/events/tick")
            #expect(reply.status == 202)
        }
    }

    @Test(arguments: [
        nil, "application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/x-www-form-urlencoded",
        "application/vnd.shop+json",
    ])
    func `a body that can be JSON is taken`(type: String?) async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("POST", "/events/a", type: type, body: "[1]")
            #expect(reply.status == 202)
        }
    }

    @Test(arguments: ["text/plain", "application/xml", "multipart/form-data; boundary=x", "image/png"])
    func `a body of another type is refused with 415`(type: String) async throws {
        try await TestService.run { service async throws in
            for target in ["/events/a", "/events"] {
                let reply = try await service.ask("POST", target, type: type, body: "[1]")
                #expect(reply.status == 415)
                #expect(reply.fields["content-type"] == "application/problem+json")
                #expect(reply["remedy"]?.string?.contains("application/json") == true)
            }
        }
    }

    @Test func `a compressed body is refused with 415`() async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("POST", "/events/a", fields: ["Content-Encoding: gzip"], body: "[1]")
            #expect(reply.status == 415)
        }
    }

    @Test func `broken JSON is refused with 400 and the place`() async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("POST", "/events/a", body: "{\"a\": 1,\n \"b\" 2}")
            #expect(reply.status == 400)
            #expect(reply["type"] == "urn:moonbus:problem:bad-json")
            #expect(reply["line"] == 2)
            #expect(reply["column"] != nil)
            #expect(reply["title"]?.string?.isEmpty == false)
        }
    }

    @Test(arguments: [#"{"a":1,"a":2}"#, #""\ud800""#, "NaN", "[1,]", "01", "", "1 2"].filter { !$0.isEmpty })
    func `what is not strict JSON is refused`(body: String) async throws {
        try await TestService.run { service async throws in
            #expect(try await service.ask("POST", "/events/a", body: body).status == 400)
        }
    }

    @Test func `JSON that is nested too deeply is refused with 400`() async throws {
        try await TestService.run { service async throws in
            let body = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
            #expect(try await service.ask("POST", "/events/a", body: body).status == 400)
        }
    }

    @Test(arguments: ["a..b", "*", "a.%3E", "a%20b", "a%zz", String(repeating: "x", count: 256)])
    func `a path that is no type is refused with 400`(type: String) async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("POST", "/events/\(type)", body: "1")
            #expect(reply.status == 400)
            #expect(reply["type"] == "urn:moonbus:problem:bad-target")
        }
    }

    @Test func `a structured CloudEvent keeps its attributes`() async throws {
        try await TestService.run { service async throws in
            let body = #"{"specversion":"1.0","id":"e-9","source":"/shop","type":"orders.paid","subject":"o-1","data":{"n":1}}"#
            let reply = try await service.ask("POST", "/events", type: "application/cloudevents+json", body: body)
            #expect(reply.status == 202)
            #expect(reply["id"] == "e-9")
        }
    }

    @Test func `plain JSON may leave out what a strict CloudEvent must have`() async throws {
        try await TestService.run { service async throws in
            let body = #"{"type":"orders.paid","data":{"n":1}}"#
            #expect(try await service.ask("POST", "/events", body: body).status == 202)
            #expect(try await service.ask("POST", "/events", type: "application/cloudevents+json", body: body).status == 400)
        }
    }

    @Test func `a binary CloudEvent has its attributes in the header`() async throws {
        try await TestService.run { service async throws in
            try await service.echo("orders.paid")
            let fields = ["ce-specversion: 1.0", "ce-type: orders.paid", "ce-source: /shop", "ce-id: e-3"]
            let reply = try await service.ask("POST", "/events?wait=5s", fields: fields, body: #"{"n":1}"#)
            #expect(reply.status == 200)
            #expect(reply["id"] == "e-3")
        }
    }

    @Test func `a batch is answered with a list in its order`() async throws {
        try await TestService.run { service async throws in
            let one = #"{"specversion":"1.0","id":"1","source":"/s","type":"a"}"#
            let two = #"{"specversion":"1.0","id":"2","source":"/s","type":"b"}"#
            let reply = try await service.ask("POST", "/events", type: "application/cloudevents-batch+json", body: "[\(one),\(two)]")
            #expect(reply.status == 202)
            #expect(reply.value?.array?.compactMap { $0.object?["id"]?.string } == ["1", "2"])
            let empty = try await service.ask("POST", "/events", type: "application/cloudevents-batch+json", body: "[]")
            #expect(empty.status == 202)
            #expect(empty.body == "[]")
        }
    }

    @Test func `an event that was recorded before is answered as a duplicate`() async throws {
        try await TestService.run { service async throws in
            #expect(try await service.ask("POST", "/events/a?id=x", body: "1")["duplicate"] == nil)
            #expect(try await service.ask("POST", "/events/a?id=x", body: "1")["duplicate"] == true)
        }
    }

    @Test func `a parameter that nobody knows is refused with the names that there are`() async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("POST", "/events/a?wiat=2s", body: "1")
            #expect(reply.status == 400)
            #expect(reply["detail"]?.string?.contains("wiat") == true)
            #expect(reply["remedy"]?.string?.contains("wait") == true)
        }
    }
}
