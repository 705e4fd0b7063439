import CLuaShim
import MoonbusLua
import Testing

@Suite struct SandboxTests {
    @Test(arguments: [
        "io", "os", "package", "debug", "dofile", "loadfile", "collectgarbage", "warn", "require", "string.dump", "module",
    ])
    func `a plugin does not see`(name: String) throws {
        #expect(try evaluate("\(name) == nil") == "true")
    }

    @Test func `the globals are exactly the allow-list and what the host furnished`() throws {
        let names = try evaluate(
            "(function() local names = {} for name in pairs(_G) do names[#names + 1] = name end table.sort(names) return table.concat(names, ' ') end)()"
        )
        #expect(
            names
                == "\"_G _VERSION assert bus coroutine error getmetatable host ipairs json load math next pairs pcall print rawequal rawget rawlen rawset select setmetatable string table time tonumber tostring type utf8 xpcall\""
        )
    }

    @Test(arguments: ["{}", "print", "coroutine.create(print)", "json.null", "setmetatable({}, {__name = {}})"])
    func `tostring shows no address of`(value: String) throws {
        let text = try evaluate("tostring(\(value)) .. string.format('%s', \(value))")
        #expect(!text.contains(text: "0x"), "\(text)")
    }

    @Test(arguments: [
        ("tostring(setmetatable({}, {__tostring = function() return 'mine' end}))", "\"mine\""),
        ("tostring(setmetatable({}, {__name = 'point'}))", "\"point\""),
        ("string.format('%5.1f|%d|%s|%q|%%', 2.25, 3, true, 'x')", #""  2.2|3|true|\"x\"|%""#),
        ("select('#', pcall(error))", "2"),
        ("tostring(select(2, pcall(string.format, '\\0%p', {})))", "\"invalid conversion '%p' to 'format'\""),
        ("('\\0%s'):format({}):find('0x') == nil", "true"),
        ("tostring(select(2, pcall(string.format, '%p', {})))", "\"invalid conversion '%p' to 'format'\""),
    ])
    func `text is made as Lua makes it`(expression: String, expected: String) throws {
        #expect(try evaluate(expression) == expected)
    }

    @Test(arguments: [
        ("getmetatable('')", "false"),
        ("pcall(function() getmetatable('').__index = nil end)", "false"),
        ("('abc'):upper()", "\"ABC\""),
        ("pcall(setmetatable, {}, {__gc = function() end})", "false"),
        ("pcall(setmetatable, bus, {})", "false"),
        ("getmetatable(bus)", "false"),
        ("pcall(rawset, bus, 'emit', 1)", "false"),
        ("pcall(function() bus.emit = 1 end)", "false"),
        ("pcall(table.insert, bus, 1)", "false"),
        ("type(rawget(bus, 'emit'))", "\"function\""),
        ("(next(bus)) ~= nil", "true"),
        ("load('\\27Lua') == nil", "true"),
        ("load('return 1', '=x', 'b') == nil", "true"),
        ("load('return x', '=x', 't', {x = 7})()", "7"),
        ("load((function() local n = 0 return function() n = n + 1 return ({'return ', '4', '2'})[n] end end)())()", "42"),
        ("load(('x'):rep(1024 * 1024 + 1)) == nil", "true"),
        ("(''):rep(1 << 62)", "\"\""),
        ("pcall(table.move, {}, 1, math.maxinteger - 1, 2)", "false"),
        ("#table.move({1, 2, 3}, 1, 3, 2)", "4"),
        ("table.concat({pcall(function() return 1, 2 end)} and {1, 2}, ',')", "\"1,2\""),
    ])
    func `the library keeps its bounds`(expression: String, expected: String) throws {
        #expect(try evaluate("(\(expression))") == expected)
    }

    @Test(arguments: [
        ("(function() math.floor = nil return math.floor == nil and math.ceil(0.5) end)()", "1"),
        ("(function() local kept = math.floor math.floor = nil return math.floor == nil and kept(1.5) end)()", "1"),
        ("(function() print = nil return print == nil and rawget(_G, 'print') == nil end)()", "true"),
        ("(function() utf8 = nil return utf8 == nil and type(table) end)()", "\"table\""),
        ("(function() string.trim = function(text) return text:match('%w+') end return (' x '):trim() end)()", "\"x\""),
        ("(function() string.upper = function() return 'mine' end return ('x'):upper() end)()", "\"mine\""),
        ("rawget(math, 'pi') == math.pi and rawget(_G, 'math') == math", "true"),
        ("(next(utf8)) ~= nil and getmetatable(_G) == nil and getmetatable(math) == nil", "true"),
        ("(function() local count = 0 for _ in pairs(coroutine) do count = count + 1 end return count end)()", "8"),
        ("pcall(json.encode, math)", "false"),
        (
            "(function() local n = 0 setmetatable(_G, {__index = function() n = n + 1 end}) return absent == nil and type(math) == 'table' and n end)()",
            "1"
        ),
        ("load('local m = math return m.floor(2.5), absent', '=x', 't', setmetatable({}, {__index = _G}))()", "2"),
        ("select(2, pcall(string.rep))", "\"bad argument #1 to 'string.rep' (string expected, got no value)\""),
        ("select(2, pcall(type))", "\"bad argument #1 to 'type' (value expected)\""),
        ("'10' + 1", "11"),
    ])
    func `a library is as if all of it were there from the start`(expression: String, expected: String) throws {
        #expect(try evaluate("(\(expression))") == expected)
    }

    @Test func `randomness comes from the delivery's seed, and math.randomseed does not change it`() throws {
        try onLane { lane in
            let script = try Script(
                on: lane, "host.on(function() math.randomseed(1) return {math.random(1, 1000000), math.random(6), math.random()} end)")
            let first = try #require(script.send())
            let again = try #require(script.send())
            let other = try #require(script.send(change: { $0.seed = 43 }))
            #expect(first.detail == again.detail)
            #expect(first.detail != other.detail)
        }
    }

    @Test func `read-only values read like tables: fields, length, pairs, ipairs, next, JSON`() throws {
        try onLane { lane in
            let source = """
                host.on(function()
                  local keys = {}
                  for key in pairs(config) do keys[#keys + 1] = key end
                  table.sort(keys)
                  local sum = 0
                  for _, value in ipairs(config.list) do sum = sum + value end
                  return { keys = keys, length = #config.list, sum = sum, unpacked = table.unpack(config.list), same = json.encode(config.list),
                    write = pcall(function() config.list[1] = 9 end), add = pcall(table.insert, config.list, 4), raw = pcall(rawset, config.list, 1, 9) }
                end)
                """
            let script = try Script(on: lane, prelude: { $0.set("config", json: #"{"list":[1,2,3],"name":"x"}"#) }, source)
            let outcome = try #require(script.send())
            for part in [
                #""keys":["list","name"]"#, #""length":3"#, #""sum":6"#, #""same":"[1,2,3]""#, #""write":false"#, #""add":false"#,
                #""raw":false"#,
            ] {
                #expect(outcome.text.contains(text: part), "\(outcome.text)")
            }
        }
    }

    @Test func `require runs a module once, finds nothing else, and names a circle`() throws {
        try onLane { lane in
            let source = """
                local first, again = require("prices"), require("prices")
                host.note(first == again, first.unit, pcall(require, "absent"))
                host.note(pcall(require, "ring"))
                """
            let script = try Script(
                on: lane,
                prelude: {
                    $0.addModule("prices", chunk: "lib/prices.lua", source: "host.note('loading') return {unit = 7}")
                    $0.addModule("ring", chunk: "lib/ring.lua", source: "return require('ring')")
                }, source)
            #expect(script.notes[0] == "loading")
            #expect(script.notes[1].hasPrefix("true 7 false"))
            #expect(script.notes[1].contains(text: "module 'absent' not found; this plugin has: ring, prices"))
            #expect(script.notes[2].contains(text: "require one another in a circle"))
            #expect(script.notes.count == 3)
        }
    }

    @Test func `an error in a module names the module's file and line`() throws {
        let fault = try onLane { lane in
            #expect(throws: LuaFault.self) {
                _ = try Script(
                    on: lane, prelude: { $0.addModule("bad", chunk: "lib/bad.lua", source: "\n\nerror('no')") }, "require('bad')")
            }
        }
        let json = try #require(fault).json
        #expect(json.member("file") == "lib/bad.lua")
        #expect(json.member("line") == "3")
        #expect(json.member("message") == "no")
    }
}
