import CLuaShim
import MoonbusLua
import Testing

@Suite struct FaultTests {
    private func fail(_ body: String, limits: LuaLimits = .quick) throws -> LuaOutcome {
        try onLane { lane in try #require(try Script(on: lane, limits: limits, "host.on(function(event)\n\(body)\nend)").send()) }
    }

    @Test func `an error carries message, file, line and traceback`() throws {
        let outcome = try fail("local function inner() error('broken') end\ninner()\nreturn 1")
        #expect(outcome.status == .failed)
        #expect(outcome.member("kind") == "error" && outcome.message == "broken")
        #expect(outcome.member("file") == "main.lua" && outcome.member("line") == "2")
        let traceback = try #require(outcome.member("traceback"))
        #expect(traceback.contains(text: "main.lua:2: in function 'inner'") && traceback.contains(text: "main.lua:3: in function <line 1>"))
    }

    @Test func `a syntax error has its place and kind`() throws {
        let fault = try onLane { lane in #expect(throws: LuaFault.self) { _ = try Script(on: lane, "local x = 1\nlocal = 2") } }
        let json = try #require(fault).json
        #expect(json.member("kind") == "syntax" && json.member("line") == "2" && json.member("file") == "main.lua")
        #expect(json.member("message") == "<name> expected near '='")
    }

    @Test func `compile checks without running`() throws {
        try onLane { lane in
            let script = try Script(on: lane, "")
            try script.context.compile("error('not run')")
            #expect(throws: LuaFault.self) { try script.context.compile("x =") }
        }
    }

    @Test(arguments: [
        ("error()", "nil"), ("error(nil)", "nil"), ("error({code = 1})", "table"), ("error(print)", "function"),
        ("error(coroutine.create(print))", "thread"), ("error(5)", "5"),
        ("error(setmetatable({}, {__tostring = function() return 'mine' end}))", "mine"),
        ("error(setmetatable({}, {__tostring = function() return {} end}))", "error value without a text"),
        ("error(setmetatable({}, {__tostring = function() error('again') end}))", "error value without a text"),
        ("error(setmetatable({}, {__name = {}}))", "table"), ("error('<script>alert(1)</script>', 0)", "<script>alert(1)</script>"),
        ("error('\\27[2J\\27]0;title\\7 log\\nlevel=fatal', 0)", "\\\\x1b[2J\\\\x1b]0;title\\\\x07 log\\\\nlevel=fatal"),
        ("error('\\xff\\xc2\\x9b bad', 0)", "\\\\xff\\\\xc2\\\\x9b bad"),
        ("return nil + 1", "attempt to perform arithmetic on a nil value"),
    ])
    func `any error value becomes a printable text`(body: String, expected: String) throws {
        let outcome = try fail(body)
        #expect(outcome.status == .failed && outcome.message == expected, "\(outcome.text)")
    }

    @Test(arguments: [
        "error(('e'):rep(20 * 1024 * 1024), 0)", "error(setmetatable({}, {__name = ('n'):rep(1 << 20)}))", "error(('\\27'):rep(5000), 0)",
    ])
    func `a text is cut at 4 KiB`(body: String) throws {
        var limits = LuaLimits.quick
        limits.memoryBytes = 64 << 20
        let outcome = try fail(body, limits: limits)
        #expect(outcome.status == .failed && outcome.text.utf8.count < 14_000)
        #expect(outcome.message.hasSuffix("…"))
    }

    @Test func `a __tostring that loops is stopped by the limit, and the error stays an error`() throws {
        let outcome = try fail(
            "error(setmetatable({}, {__tostring = function() while true do end end}))", limits: .quick(cpu: .milliseconds(20)))
        #expect(outcome.status == .failed && outcome.message.contains(text: "__tostring ran past the CPU limit"), "\(outcome.text)")
    }

    @Test func `endless recursion is an error, not a crash`() throws {
        let outcome = try fail("local function r() return 1 + r() end r()", limits: .quick(cpu: .seconds(5), memory: 64 << 20))
        #expect(outcome.status == .failed && outcome.message.contains(text: "stack overflow"), "\(outcome.text)")
    }

    @Test func `a result that JSON cannot hold fails the handler, with the path`() throws {
        let outcome = try fail("bus.emit('a') return {list = {1, print}}")
        #expect(outcome.status == .failed && outcome.effects.isEmpty)
        #expect(outcome.message == "result.list[2]: a function is not JSON: leave it out, or give what it returns")
    }

    @Test func `a delivery for a function that is not there is an error`() throws {
        try onLane { lane in
            let script = try Script(on: lane, "host.on(print)")
            let outcome = try #require(script.send(change: { $0.function = 4711 }))
            #expect(outcome.status == .failed && outcome.message == "no function 4711 in this plugin")
        }
    }
}
