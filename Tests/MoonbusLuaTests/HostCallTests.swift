import CLuaShim
import MoonbusLua
import Testing

@Suite struct HostCallTests {
    @Test(arguments: [
        ("host.add1(41)", "42"), ("host.add1(math.maxinteger) == math.mininteger", "true"), ("host.optional('a')", #""a""#),
        ("select('#', host.optional('a', nil))", "2"),
        ("host.json({a = {1, 2}})", #"{"a":[1,2]}"#), ("host.duration('2s')", "2000000"), ("host.duration(1.5)", "1500000"),
        (
            "(function() local t = host.table({on = print, list = {1, function() end}}) return t.on['$function'] > 0 and type(t.list[2]['$function']) end)()",
            #""number""#
        ),
    ])
    func `values cross both ways`(expression: String, expected: String) throws {
        #expect(try evaluate(expression) == expected)
    }

    @Test(arguments: [
        ("host.add1('1')", "bad argument #1 to 'host.add1' (integer expected, got string)"),
        ("host.add1(1.5)", "integer expected, got number"),
        ("host.add1()", "integer expected, got no value"), ("host.add1(1, 2)", "too many arguments to 'host.add1' (2, it takes 1)"),
        ("host.on(5)", "bad argument #1 to 'host.on' (function expected, got number)"), ("host.optional({})", "string expected, got table"),
        ("host.optional('a', 5)", "bad argument #2 to 'host.optional' (string expected, got number)"),
        ("host.table(1)", "table expected, got number"),
        ("host.json(print)", "argument 1: a function is not JSON"), ("host.json({x = {0/0}})", "argument 1.x[1]: NaN is not JSON"),
        ("host.json()", "value expected, got no value"),
        ("host.fail('the host says no')", "the host says no"),
    ])
    func `a wrong call raises, with the argument and what it should be`(call: String, expected: String) throws {
        #expect(try evaluate(call).contains(text: expected))
    }

    @Test func `an error of the host is raised where the script called, and may be caught`() throws {
        #expect(try evaluate("(select(2, pcall(function() host.fail('no') end)))") == #""main.lua:1: no""#)
    }

    @Test func `print takes anything, and shows tables and functions as text`() throws {
        try onLane { lane in
            let script = try Script(
                on: lane,
                "print('a', 1, 2.5, nil, true, {}) print(setmetatable({}, {__tostring = function() return 'mine' end})) print() print(1, 2, 3, 4, 5, 6, 7)"
            )
            #expect(script.notes == ["a 1 2.5 nil true table", "mine", "", "1 2 3 4 5 6"])
        }
    }

    @Test func `a function that a script hands over can be called later`() throws {
        try onLane { lane in
            let script = try Script(on: lane, "host.on(function() return 'first' end) host.on(function() return 'second' end)")
            #expect(script.send(to: 0)?.text == #""first""#)
            #expect(script.send(to: 1)?.text == #""second""#)
        }
    }

    @Test func `what a host function stages and what the script emits keep their order`() throws {
        final class Box { var context: LuaContext?; var handler: Int32 = 0 }
        try onLane { lane in
            let box = Box(), kv: [UInt8] = [4, 0, 1, 0, UInt8(ascii: "k")]
            let context = try LuaContext(on: lane, limits: .quick) { call in
                if case .function(let reference)? = call.arguments.first { box.handler = reference }
                guard let context = box.context else { return .error("early") }
                switch call.name {
                case "kv.delete": return context.stage(kv) ? .values([]) : .error("full")
                case "checkpoint": return context.checkpoint() ? .values([]) : .error("full")
                default: return .values([])
                }
            }
            context.register("kv.delete", signature: "")
            context.register("checkpoint", signature: "")
            context.register("on", signature: "f")
            box.context = context
            defer { box.context = nil }
            try context.load("on(function() bus.emit('a') kv.delete() checkpoint() kv.delete() return 1 end)")
            var delivery = moonbus_delivery()
            (delivery.delivery, delivery.function, delivery.event_count) = (9, box.handler, 1)
            #expect(EventRecord.withPointers([EventRecord()]) { context.deliver(delivery, records: $0) } == .done)
            let outcomes = lane.takeOutcomes()
            #expect(outcomes.map(\.status) == [.waiting, .done] && outcomes.map(\.delivery) == [9, 9])
            #expect(outcomes[0].effects == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, UInt8(ascii: "a")] + kv)
            #expect(outcomes[1].effects == kv && outcomes[1].text == "1")
        }
    }
}
