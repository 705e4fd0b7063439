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

    @Test(arguments: [
        ("application/json", "[1]", "bad-event", "not an array; only as the body of POST /events/{type}"),
        ("application/json", "", "bad-event", "the body is empty: without a type in the path it says which event"),
        ("application/json", "{", "bad-json", "not JSON at byte 1 (line 1, column 2)"),
        ("application/json", #"{"data": 1, "typ": "a"}"#, "bad-event", #"did you mean "type" by "typ"?"#),
        ("application/json", #"{"type": "a", "subject": 7}"#, "bad-event", "subject is a number; it is a text: put it in quotes"),
        ("application/json", #"{"type": "a..b"}"#, "bad-event", #""a..b" is not an event type"#),
        ("application/json", #"{"type": "a", "time": "noon"}"#, "bad-event", #"time "noon" is not RFC 3339, like 2026"#),
        (
            "application/cloudevents+json", #"{"data": 1}"#, "bad-event",
            "specversion, id, source, type are missing; a CloudEvent has specversion, id, source, type"
        ),
        (
            "application/cloudevents+json", #"{"specversion": "0.3", "id": "1", "source": "/s", "type": "a"}"#, "bad-event",
            #"specversion is "0.3"; only 1.0 is supported: set it to "1.0""#
        ),
        (
            "application/cloudevents-batch+json", #"{"type": "a"}"#, "bad-event",
            "a batch is a JSON array of events, not an object: put the event into [ ]"
        ),
        (
            "application/cloudevents-batch+json", #"[{"specversion": "1.0", "id": "1", "source": "/s", "type": "a"}, {}]"#, "bad-event",
            "event [1] of the batch: specversion, id, source, type are missing"
        ),
        ("application/cloudevents-batch+json", "[{},{\"a\" 1}]", "bad-json", "in [1]"),
    ])
    func `a body that is no event is refused with the member and the remedy`(type: String, body: String, problem: String, detail: String)
        async throws
    {
        try await TestService.run { service async throws in
            let reply = try await service.ask("POST", "/events", type: type, body: body)
            #expect(reply.status == 400)
            #expect(reply["type"]?.string == "urn:moonbus:problem:\(problem)", "\(reply.body)")
            #expect(reply["detail"]?.string?.contains(detail) == true, "\(reply.body)")
            let remedy = problem == "bad-json" ? "send one JSON value in UTF-8" : #"{"specversion": "1.0", "id": "17","#
            #expect(reply["remedy"]?.string?.contains(remedy) == true, "\(reply.body)")
        }
    }

    @Test func `what a binary event lacks is named as the header that it is`() async throws {
        try await TestService.run { service async throws in
            let reply = try await service.ask("POST", "/events", fields: ["ce-specversion: 1.0", "ce-type: a"], body: "1")
            #expect(reply.status == 400)
            let detail = try #require(reply["detail"]?.string)
            #expect(detail.hasPrefix("ce-id, ce-source are missing; a CloudEvent has ce-specversion, ce-id, ce-source"), "\(detail)")
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
