import MoonbusEvents
import Testing

@Suite struct EventTests {
    @Test func `an event has what it was made with`() throws {
        let event = try Event(
            type: EventType("orders.eu.created"), data: JSON(#"{"amount":12}"#), id: "id-1", source: "/shop", subject: "order-7",
            key: "customer-3",
            time: Timestamp(microseconds: 42), traceparent: trace, causeid: "id-0", hops: 3,
            extensions: JSON(#"{"dataschema":"s","sampled":true,"n":5}"#))
        #expect(event.type.text == "orders.eu.created")
        #expect(event.typeText == "orders.eu.created")
        #expect(event.data?.text == #"{"amount":12}"#)
        #expect(event.id == "id-1")
        #expect(event.source == "/shop")
        #expect(event.subject == "order-7")
        #expect(event.key == "customer-3")
        #expect(event.orderingKey == "customer-3")
        #expect(event.time == Timestamp(microseconds: 42))
        #expect(event.traceparent == trace)
        #expect(event.causeid == "id-0")
        #expect(event.hops == 3)
        #expect(event.extensions?.text == #"{"dataschema":"s","sampled":true,"n":5}"#)
        #expect(event.recordSize % 8 == 0)
        #expect(event.withUnsafeSubject { String(decoding: $0, as: UTF8.self) } == "order-7")
        #expect(event.withUnsafeKey { String(decoding: $0, as: UTF8.self) } == "customer-3")
        #expect(event.withUnsafeType { String(decoding: $0, as: UTF8.self) } == "orders.eu.created")
        #expect(event.withUnsafeData { $0.count } == 13)
    }

    @Test func `what is left out is absent or made`() throws {
        let before = Timestamp.now()
        let event = try Event(type: EventType("a"))
        #expect(event.data == nil && event.subject == nil && event.key == nil && event.orderingKey == nil)
        #expect(event.traceparent == nil && event.causeid == nil && event.extensions == nil)
        #expect(event.hops == 0)
        #expect(event.source == "/moonbus")
        #expect(event.id.utf8.count == 26)
        #expect(event.time >= before && event.time <= Timestamp.now())
        #expect(try Event(type: EventType("a"), subject: "s").orderingKey == "s")
    }

    @Test func `the record is laid out as docs-frames says`() throws {
        let event = try Event(
            type: EventType("t.y"), data: JSON("[1]"), id: "ID", source: "SRC", subject: "SUBJ", key: "KEYKE",
            time: Timestamp(microseconds: 0x0102_0304_0506_0708),
            traceparent: trace, causeid: "CAUSE", hops: 0x0A0B, extensions: JSON(#"{"a":"b"}"#)
        ).withUnsafeRecord { Array($0) }
        let header: [UInt8] = [
            136, 0, 0, 0, 0x0B, 0x0A, 3, 0, 8, 7, 6, 5, 4, 3, 2, 1, 2, 0, 3, 0, 4, 0, 5, 0, 55, 0, 5, 0, 9, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
        ]
        #expect(Array(event[..<40]) == header)
        let body = "t.yIDSRCSUBJKEYKE" + trace + "CAUSE" + #"{"a":"b"}"# + "[1]"
        #expect(String(decoding: event[40..<40 + body.utf8.count], as: UTF8.self) == body)
        #expect(event[(40 + body.utf8.count)...].allSatisfy { $0 == 0 } && event.count == 136)
    }

    @Test(arguments: 0..<16)
    func `a record of any length is padded with zeros`(length: Int) throws {
        let event = try Event(type: EventType("a"), data: JSON("\"" + String(repeating: "x", count: length) + "\""), id: "i", source: "s")
        event.withUnsafeRecord { record in
            #expect(record.count % 8 == 0)
            #expect(record[(45 + length)...].allSatisfy { $0 == 0 } && record.count - 45 - length < 8)
        }
        #expect(try event.withUnsafeRecord { try Event(record: $0) }.data == event.data)
    }

    @Test func `fresh ids are different, ordered and Crockford`() async throws {
        let ids = await withTaskGroup(of: [String].self) { group in
            for _ in 0..<4 { group.addTask { (0..<2_000).compactMap { _ in try? Event(type: EventType("a")).id } } }
            return await group.reduce(into: [[String]]()) { $0.append($1) }
        }
        for each in ids { #expect(each == each.sorted()) }
        let all = Set(ids.joined())
        #expect(all.count == 8_000)
        #expect(all.allSatisfy { $0.utf8.count == 26 && $0.allSatisfy { "0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains($0) } })
    }

    @Test func `events are the same when id and source are`() throws {
        let event = try Event(type: EventType("a"), id: "1", source: "/x")
        #expect(try event == Event(type: EventType("b"), data: .null, id: "1", source: "/x"))
        #expect(try event != Event(type: EventType("a"), id: "2", source: "/x"))
        #expect(try event != Event(type: EventType("a"), id: "1", source: "/y"))
        #expect(try event != Event(type: EventType("a"), id: "1/", source: "x"))
        #expect(try Set([event, Event(type: EventType("b"), id: "1", source: "/x")]).count == 1)
    }

    @Test func `attributes end at their limits`() throws {
        let type = try EventType("a")
        func text(_ count: Int) -> String { String(repeating: "x", count: count) }
        #expect(throws: Never.self) {
            try Event(
                type: type, id: text(255), source: text(1_024), subject: text(1_024), key: text(255), causeid: text(255), hops: 65_535)
        }
        let tooLong: [(String, () throws(EventError) -> Event)] = [
            ("id has 256", { () throws(EventError) in try Event(type: type, id: text(256)) }),
            ("source has 1025", { () throws(EventError) in try Event(type: type, source: text(1_025)) }),
            ("subject has 1025", { () throws(EventError) in try Event(type: type, subject: text(1_025)) }),
            ("partitionkey has 256", { () throws(EventError) in try Event(type: type, key: text(256)) }),
            ("causeid has 256", { () throws(EventError) in try Event(type: type, causeid: text(256)) }),
        ]
        for (reason, make) in tooLong {
            let error = try #require(refusal { () throws(EventError) in _ = try make() })
            #expect(error.code == .tooLarge && error.message.hasPrefix(reason), "\(error)")
        }
        let refused: [(String, () throws(EventError) -> Event)] = [
            ("id is empty", { () throws(EventError) in try Event(type: type, id: "") }),
            ("source is empty", { () throws(EventError) in try Event(type: type, source: "") }),
            ("hops is -1", { () throws(EventError) in try Event(type: type, hops: -1) }),
            ("hops is 65536", { () throws(EventError) in try Event(type: type, hops: 65_536) }),
            ("id holds a control", { () throws(EventError) in try Event(type: type, id: "a\n") }),
            ("subject holds a control", { () throws(EventError) in try Event(type: type, subject: "\u{85}") }),
            ("traceparent", { () throws(EventError) in try Event(type: type, traceparent: "00-abc") }),
            ("time is", { () throws(EventError) in try Event(type: type, time: Timestamp(microseconds: .max)) }),
            ("extensions are", { () throws(EventError) in try Event(type: type, extensions: JSON("[]")) }),
            ("\"Ab\" is not an attribute name", { () throws(EventError) in try Event(type: type, extensions: JSON(#"{"Ab":1}"#)) }),
            ("\"\" is not an attribute name", { () throws(EventError) in try Event(type: type, extensions: JSON(#"{"":1}"#)) }),
            (
                "\"aaaaaaaaaaaaaaaaaaaaa\" is not",
                { () throws(EventError) in try Event(type: type, extensions: JSON(#"{"aaaaaaaaaaaaaaaaaaaaa":1}"#)) }
            ),
            (
                "attribute \"subject\" is not an extension",
                { () throws(EventError) in try Event(type: type, extensions: JSON(#"{"subject":"x"}"#)) }
            ),
            ("attribute \"a\" is an object", { () throws(EventError) in try Event(type: type, extensions: JSON(#"{"a":{}}"#)) }),
            ("attribute \"a\" is a number", { () throws(EventError) in try Event(type: type, extensions: JSON(#"{"a":2147483648}"#)) }),
            ("a holds a control", { () throws(EventError) in try Event(type: type, extensions: JSON(#"{"a":"\u0007"}"#)) }),
        ]
        for (reason, make) in refused {
            let error = try #require(refusal { () throws(EventError) in _ = try make() })
            #expect(error.code == .badAttribute && error.message.hasPrefix(reason), "\(error)")
        }
    }

    @Test func `a stamped copy differs only in what was changed`() throws {
        let event = try Event(type: EventType("a.b"), data: JSON("{}"), id: "1", source: "/x", subject: "s", traceparent: trace)
        let stamped = event.withUnsafeFields { original in
            var fields = original
            fields.hops += 1
            fields.causeid = original.id
            return Event.make(fields)
        }
        #expect(stamped == event)
        #expect(
            stamped.hops == 1 && stamped.causeid == "1" && stamped.subject == "s" && stamped.traceparent == trace
                && stamped.time == event.time)
    }

    @Test func `data taken out of an event outlives it`() throws {
        var event: Event? = try Event(type: EventType("a"), data: JSON(#"{"k":[1,2]}"#))
        let data = try #require(event?.data)
        event = nil
        #expect(data.text == #"{"k":[1,2]}"#)
        #expect(data.value(at: ["k", "1"]) == 2)
    }

    private let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
}

// A lane is hostile: whatever bytes it sends, the host either gets a right event or an error.
@Suite struct EventRecordTests {
    @Test func `a record survives the copy, at any alignment`() throws {
        let event = try sample()
        for shift in 0..<8 {
            let copy = try event.withUnsafeRecord { record in
                let bytes = [UInt8](repeating: 0xEE, count: shift) + Array(record)
                return try bytes.withUnsafeBytes { try Event(record: UnsafeRawBufferPointer(rebasing: $0[shift...])) }
            }
            #expect(copy.withUnsafeRecord { Array($0) } == event.withUnsafeRecord { Array($0) })
        }
    }

    @Test(
        arguments: [
            (0, 0xFF, "says that it has"), (36, 1, "padding"), (6, 0, "fields of"), (16, 0, "fields of"), (28, 0xFF, "fields of"),
            (35, 0xFF, "fields of"),
            (40, 0x20, "a space"), (40, 0xFF, "not UTF-8"), (42, 0x2E, "empty token"), (15, 0x7F, "time is"),
            (45, 0x07, "id holds a control"),
            (49, 0xFF, "source is not UTF-8"),
        ] as [(Int, UInt8, String)])
    func `a damaged record is refused with the field that is wrong`(place: Int, byte: UInt8, reason: String) throws {
        // 40: type "a.b.c" · 45: id "id-1" · 49: source "/s"
        var bytes = try sample().withUnsafeRecord { Array($0) }
        bytes[place] = byte
        let error = try #require(refusal { () throws(EventError) in _ = try event(bytes) })
        #expect(error.message.contains(reason), "\(error)")
    }

    @Test func `a record of the wrong length is refused`() throws {
        let bytes = try sample().withUnsafeRecord { Array($0) }
        for count in 0..<bytes.count {
            #expect(refusal { () throws(EventError) in _ = try event(Array(bytes[..<count])) } != nil)
        }
        #expect(refusal { () throws(EventError) in _ = try event(bytes + [0, 0, 0, 0, 0, 0, 0, 0]) } != nil)
    }

    @Test(arguments: ["{\"a\":1,\"a\":2}", "[1", "01", " 1", "1 ", "\"\u{1}\""])
    func `data that is not strict JSON is refused`(data: String) throws {
        let bytes = data.withUTF8Bytes { data in
            "a".withUTF8Bytes { type in
                var fields = EventFields()
                fields.type = type
                fields.data = data
                return Event.make(fields).withUnsafeRecord { Array($0) }
            }
        }
        let error = try #require(refusal { () throws(EventError) in _ = try event(bytes) })
        #expect(error.code == .badJSON && error.message.hasPrefix("data"), "\(error)")
    }

    @Test func `random damage is refused or gives an event whose every field can be read`() throws {
        let bytes = try sample().withUnsafeRecord { Array($0) }
        var random = SeededRandom(seed: 5)
        var accepted = 0
        for _ in 0..<20_000 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                damaged[Int.random(in: 0..<damaged.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            guard let event = try? event(damaged) else { continue }
            accepted += 1
            #expect(throws: Never.self) { try EventType(event.typeText) }
            _ = (
                event.id, event.source, event.subject, event.key, event.traceparent, event.causeid, event.extensions?.value,
                event.data?.value
            )
            #expect(!CloudEvent.encode(event).isEmpty)
        }
        #expect(accepted > 100)
    }

    private func event(_ bytes: [UInt8]) throws(EventError) -> Event {
        try bytes.withUnsafeBufferPointer { bytes throws(EventError) in try Event(record: UnsafeRawBufferPointer(bytes)) }
    }

    private func sample() throws -> Event {
        try Event(
            type: EventType("a.b.c"), data: JSON(#"{"k":[1,"x"]}"#), id: "id-1", source: "/s", subject: "sub", key: "key",
            time: Timestamp(microseconds: 1),
            causeid: "id-0", hops: 1, extensions: JSON(#"{"x":"y"}"#))
    }
}
