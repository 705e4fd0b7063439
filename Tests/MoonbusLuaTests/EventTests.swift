import CLuaShim
import MoonbusLua
import Testing

@Suite struct EventTests {
    private func run(_ body: String, _ record: EventRecord, change: (inout moonbus_delivery) -> Void = { _ in }) throws -> LuaOutcome {
        try onLane { lane in
            try #require(try Script(on: lane, "host.on(function(event) \(body) end)").deliver([record], change: change))
        }
    }

    private var full: EventRecord {
        var record = EventRecord(type: "orders.eu.created", data: #"{"amount":150,"items":[],"note":null}"#)
        record.subject = "order-7"
        record.key = "customer-1"
        record.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        record.causeid = "cause"
        record.extensions = #"{"tenant":"acme","shard":3}"#
        record.hops = 2
        return record
    }

    @Test(arguments: [
        ("type", #""orders.eu.created""#), ("id", #""id-1""#), ("source", #""/tests""#), ("subject", #""order-7""#),
        ("time", #""2023-11-14T22:13:20.123456Z""#), ("key", #""customer-1""#), ("partitionkey", #""customer-1""#),
        ("traceparent", #""00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01""#), ("causeid", #""cause""#), ("hops", "2"),
        ("attempt", "3"),
        ("tenant", #""acme""#), ("shard", "3"), ("data.amount", "150"), ("absent", ""), ("data.absent", ""),
    ])
    func `a handler reads the event's`(field: String, expected: String) throws {
        #expect(try run("return event.\(field)", full, change: { $0.attempt = 3 }).text == expected)
    }

    @Test func `an event without the optional attributes has nil there`() throws {
        #expect(
            try run("return {event.subject == nil, event.key == nil, event.data == nil, event.causeid == nil}", EventRecord()).text
                == "[true,true,true,true]")
    }

    @Test func `data that is null alone is nil, so that a poller's first cursor is`() throws {
        #expect(try run("return event.data == nil", EventRecord(data: "null")).text == "true")
    }

    @Test func `data is a plain table of the handler's own, the same on each touch`() throws {
        let body =
            "event.data.amount = 7 return {type(event.data), getmetatable(event.data) == nil, event.data == event.data, event.data.amount, #event.data.items, event.data.note == json.null}"
        #expect(try run(body, full).text == #"["table",true,true,7,0,true]"#)
    }

    @Test func `what a handler does to an event does not reach the next delivery`() throws {
        try onLane { lane in
            let script = try Script(
                on: lane, "host.on(function(event) local seen = event.data.list[1] event.data.list[1] = 'forged' return seen end)")
            for _ in 0..<2 { #expect(script.send(#"{"list":["first"]}"#)?.text == #""first""#) }
        }
    }

    @Test(arguments: ["event.type = 'x'", "event.data = {}", "event.new = 1", "rawset(event, 'type', 1)", "setmetatable(event, {})"])
    func `an event is read-only`(statement: String) throws {
        #expect(try run("return pcall(function() \(statement) end)", full).text == "false")
    }

    @Test func `pairs walks all that is there, json.encode gives the CloudEvent as it came`() throws {
        let names = try run(
            "local names = {} for name in pairs(event) do names[#names + 1] = name end table.sort(names) return names", full
        ).text
        #expect(
            names
                == #"["attempt","causeid","data","hops","id","key","partitionkey","shard","source","subject","tenant","time","traceparent","type"]"#
        )
        let encoded = try run("event.data.amount = 1 return event", full).text
        #expect(
            encoded
                == #"{"specversion":"1.0","id":"id-1","source":"/tests","type":"orders.eu.created","subject":"order-7","time":"2023-11-14T22:13:20.123456Z","partitionkey":"customer-1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","causeid":"cause","hops":2,"tenant":"acme","shard":3,"data":{"amount":150,"items":[],"note":null}}"#
        )
    }

    @Test func `a batch is an array of events, a data argument the data alone`() throws {
        try onLane { lane in
            let script = try Script(
                on: lane, "host.on(function(given) return type(given) == 'table' and #given == 2 and given[2].data or given end)")
            let batch = [EventRecord(data: "1"), EventRecord(data: "2")]
            #expect(script.deliver(batch, change: { $0.kind = UInt16(MOONBUS_ARGUMENT_EVENTS) })?.text == "2")
            #expect(
                script.deliver([EventRecord(data: #"{"cursor":5}"#)], change: { $0.kind = UInt16(MOONBUS_ARGUMENT_DATA) })?.text
                    == #"{"cursor":5}"#)
            #expect(script.deliver([EventRecord(data: "null")], change: { $0.kind = UInt16(MOONBUS_ARGUMENT_DATA) })?.text == "")
        }
    }

    @Test func `time stands still during a delivery`() throws {
        #expect(
            try run("local before = time.now() for _ = 1, 100000 do end return {before, time.now() == before}", full).text
                == "[1700000000.123456,true]")
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59.999999Z"), (951_782_400_000_000, "2000-02-29T00:00:00Z"),
            (4_102_444_800_000_500, "2100-01-01T00:00:00.000500Z"), (1_000, "1970-01-01T00:00:00.001Z"),
        ] as [(Int64, String)])
    func `instants are written in RFC 3339`(time: Int64, expected: String) throws {
        var record = EventRecord()
        record.time = time
        #expect(try run("return event.time", record).text == "\"\(expected)\"")
    }
}
