import MoonbusEvents
import Testing

@Suite struct CloudEventTests {
    @Test func `a structured event is read with all of its attributes`() throws {
        let event = try structured(
            #"""
            {"specversion":"1.0","type":"orders.eu.created","source":"/shop","id":"A-1","subject":"order \"7\"","time":"2026-11-23T11:44:07.5+01:00",
             "partitionkey":"c3","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","causeid":"A-0","hops":2,
             "datacontenttype":"application/json","dataschema":"https://x/y","region":"eu","sampled":true,"shard":7,"unset":null,
             "data":{"amount": 12.50, "big": 12345678901234567890}}
            """#)
        #expect(event.typeText == "orders.eu.created" && event.source == "/shop" && event.id == "A-1" && event.subject == "order \"7\"")
        #expect(event.time.description == "2026-11-23T10:44:07.500Z")
        #expect(event.key == "c3" && event.causeid == "A-0" && event.hops == 2 && event.traceparent?.hasPrefix("00-0af7") == true)
        #expect(event.extensions?.value == ["dataschema": "https://x/y", "region": "eu", "sampled": true, "shard": 7])
        #expect(event.data?.text == #"{"amount": 12.50, "big": 12345678901234567890}"#)
    }

    @Test(arguments: [
        ("[]", "an event is a JSON object"), ("{", "expected a key"), (#"{"type":"a","source":"/s","id":"1"}"#, "specversion is missing"),
        (#"{"specversion":"1.0","type":"a","source":"/s"}"#, "id is missing"),
        (#"{"specversion":"1.0","type":"a","id":"1"}"#, "source is missing"),
        (#"{"specversion":"1.0","source":"/s","id":"1"}"#, "type is missing"),
        (#"{"specversion":"1.0","source":"/s","id":"1","tpye":"a"}"#, "did you mean \"type\" by \"tpye\"?"),
        (#"{"specversion":"0.3","type":"a","source":"/s","id":"1"}"#, "specversion is \"0.3\""),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"","data":1}"#, "id is empty"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":7}"#, "id is a number"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","data_base64":"AAAA"}"#, "data_base64 is not supported"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","datacontenttype":"text/plain","data":"x"}"#, "Moonbus carries JSON"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","time":"yesterday"}"#, "RFC 3339"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","Region":"eu"}"#, "1 to 20 of a-z and 0-9"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","aaaaaaaaaaaaaaaaaaaaa":"eu"}"#, "1 to 20 of a-z and 0-9"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","x":{}}"#, "is an object"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","x":1.5}"#, "is a number"),
        (#"{"specversion":"1.0","type":"a.*","source":"/s","id":"1"}"#, "wildcard"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","hops":-1}"#, "hops is a count"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","hops":"2"}"#, "hops is a count"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","hops":65536}"#, "hops is a count"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","id":"2"}"#, "already"),
        (#"{"specversion":"1.0","type":"a","source":"/s","id":"1","traceparent":"x"}"#, "traceparent"),
    ])
    func `a structured event that breaks a rule is refused with the attribute`(text: String, reason: String) throws {
        let error = try #require(refusal { () throws(EventError) in _ = try structured(text) })
        #expect(error.message.contains(reason), "\(error)")
    }

    @Test func `plain JSON needs only a type`() throws {
        let event = try structured(#"{"type":"a.b","data":null}"#, strict: false)
        #expect(event.source == "/moonbus" && event.id.utf8.count == 26 && event.data == .null)
        #expect(try structured(#"{"type":"a"}"#, strict: false).data == nil)
        #expect(
            refusal { () throws(EventError) in _ = try structured(#"{"amount":1}"#, strict: false) }?.message.contains("type is missing")
                == true)
        #expect(refusal { () throws(EventError) in _ = try structured(#"{"specversion":"2.0","type":"a"}"#, strict: false) } != nil)
    }

    @Test func `the envelope does not count for the depth of the data`() throws {
        let data = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(throws: Never.self) { try structured(#"{"type":"a","data":\#(data)}"#, strict: false) }
        #expect(
            refusal { () throws(EventError) in _ = try structured(#"{"type":"a","data":[\#(data)]}"#, strict: false) }?.code == .tooDeep)
    }

    @Test func `data of a megabyte passes and more does not`() throws {
        let data = "\"" + String(repeating: "x", count: (1 << 20) - 2) + "\""
        #expect(try structured(#"{"type":"a","data":\#(data)}"#, strict: false).data?.byteCount == 1 << 20)
        #expect(
            refusal { () throws(EventError) in _ = try structured(#"{"type":"a","data":[\#(data)]}"#, strict: false) }?.code == .tooLarge)
    }

    @Test func `a structured event survives the round trip`() throws {
        let original = try Event(
            type: EventType("ä.b"), data: JSON("{\"a\":\r\n [1.50, \"\\n\"]}"), id: "\"1\"", source: "/s\\x", subject: "ü", key: "k",
            time: Timestamp(microseconds: 1_500),
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", causeid: "0", hops: 4,
            extensions: JSON(#"{"x":"1","y":true}"#))
        let text = CloudEvent.encode(original)
        #expect(!text.contains(0x0A) && !text.contains(0x0D))
        let copy = try text.withUnsafeBytes { try CloudEvent.decode(structured: $0) }
        #expect(copy == original)
        #expect(
            copy.typeText == original.typeText && copy.subject == original.subject && copy.key == original.key && copy.time == original.time
        )
        #expect(
            copy.traceparent == original.traceparent && copy.causeid == original.causeid && copy.hops == 4
                && copy.extensions == original.extensions)
        #expect(copy.data?.text == #"{"a":[1.50,"\n"]}"#)
        let bare = try Event(type: EventType("a"), id: "1", time: Timestamp(microseconds: 0), extensions: JSON("{ }"))
        #expect(
            String(decoding: CloudEvent.encode(bare), as: UTF8.self)
                == #"{"specversion":"1.0","id":"1","source":"/moonbus","type":"a","time":"1970-01-01T00:00:00Z"}"#)
    }

    @Test func `a batch is all or nothing`() throws {
        let one = #"{"specversion":"1.0","type":"a","source":"/s","id":"1"}"#
        #expect(try batch("[]").isEmpty)
        #expect(try batch(" [\(one), \(one)] ").map(\.id) == ["1", "1"])
        let error = try #require(refusal { () throws(EventError) in _ = try batch(#"[\#(one),{"specversion":"1.0"}]"#) })
        #expect(error.message.hasPrefix("event [1] of the batch: "), "\(error)")
        #expect(refusal { () throws(EventError) in _ = try batch(one) } != nil)
        #expect(try batch("[" + Array(repeating: one, count: 10_000).joined(separator: ",") + "]").count == 10_000)
        #expect(
            refusal { () throws(EventError) in _ = try batch("[" + Array(repeating: one, count: 10_001).joined(separator: ",") + "]") }?
                .code == .tooLarge)
    }

    @Test func `a binary event has its attributes in headers`() throws {
        let event = try binary(
            [
                ("Host", "x"), ("Content-Type", "application/json; charset=utf-8"), ("CE-Specversion", "1.0"), ("ce-type", "a.b"),
                ("ce-source", "/s%20p"), ("ce-id", "%C3%BC%25"),
                ("ce-subject", "\"quoted \\\"value\\\"\""), ("ce-time", "2026-11-23T10:44:07Z"), ("ce-hops", "3"), ("ce-region", "100%"),
                ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ], " {\"a\":1}\n")
        #expect(event.source == "/s p" && event.id == "ü%" && event.subject == "quoted \"value\"" && event.hops == 3)
        #expect(event.extensions?.text == #"{"region":"100%"}"#)
        #expect(event.traceparent?.hasSuffix("-01") == true)
        #expect(event.data?.text == #"{"a":1}"#)
    }

    @Test(arguments: [
        ([("ce-type", "b")], "type is there twice"), ([("ce-specversion", "0.3")], "specversion is there twice"),
        ([("content-type", "text/plain")], "Moonbus carries JSON"), ([("content-type", "application/json;charset=latin1")], "charset"),
        ([("ce-hops", "-1")], "hops"), ([("ce-hops", "x")], "hops"), ([("ce-x_y", "1")], "1 to 20 of"),
        ([("ce-datacontenttype", "application/json")], "Content-Type header"), ([("ce-subject", "%FF")], "subject is not UTF-8"),
        ([("ce-subject", "%0A")], "control"), ([("ce-data", "1")], "not an extension"),
    ])
    func `a binary event that breaks a rule is refused with the attribute`(headers: [(String, String)], reason: String) throws {
        let complete = [("ce-specversion", "1.0"), ("ce-type", "a"), ("ce-source", "/s"), ("ce-id", "1")] + headers
        let error = try #require(refusal { () throws(EventError) in _ = try binary(complete, "{}") })
        #expect(error.message.contains(reason), "\(error)")
    }

    @Test func `a binary event survives the round trip`() throws {
        let original = try Event(
            type: EventType("a.b"), data: JSON("[1]"), id: "1 %\"ü😀", source: "/s", subject: "x\\y", key: "k",
            time: Timestamp(microseconds: 7), causeid: "0", hops: 1,
            extensions: JSON(#"{"region":"eu","flag":true,"datacontenttype":"application/vnd.x+json"}"#))
        let headers = CloudEvent.headers(of: original)
        #expect(headers.allSatisfy { $0.1.utf8.allSatisfy { (0x20...0x7E).contains($0) } })
        let copy = try binary(headers, "[1]")
        #expect(
            copy == original && copy.subject == original.subject && copy.key == "k" && copy.time == original.time && copy.causeid == "0"
                && copy.hops == 1)
        // Headers have no types: a Boolean comes back as its text, as the binding says.
        #expect(copy.extensions?.value == ["region": "eu", "flag": "true", "datacontenttype": "application/vnd.x+json"])
        #expect(headers.first { $0.0 == "ce-id" }?.1 == "1%20%25%22%C3%BC%F0%9F%98%80")
    }

    @Test func `a broken traceparent header is ignored, a broken attribute is not`() throws {
        let needed = [("ce-specversion", "1.0"), ("ce-type", "a"), ("ce-source", "/s"), ("ce-id", "1")]
        #expect(try binary(needed + [("traceparent", "nonsense")], "").traceparent == nil)
        #expect(refusal { () throws(EventError) in _ = try binary(needed + [("ce-traceparent", "nonsense")], "") } != nil)
        #expect(try binary(needed + [("content-type", "text/plain")], "").data == nil)
    }

    private func structured(_ text: String, strict: Bool = true) throws(EventError) -> Event {
        try text.withUTF8Bytes { bytes throws(EventError) in try CloudEvent.decode(structured: bytes, strict: strict) }
    }

    private func batch(_ text: String) throws(EventError) -> [Event] {
        try text.withUTF8Bytes { bytes throws(EventError) in try CloudEvent.decode(batch: bytes) }
    }

    private func binary(_ headers: [(String, String)], _ body: String) throws(EventError) -> Event {
        try body.withUTF8Bytes { bytes throws(EventError) in try CloudEvent.decode(headers: headers, body: bytes) }
    }
}
