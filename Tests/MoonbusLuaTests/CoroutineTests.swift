import MoonbusLua
import Testing

@Suite struct CoroutineTests {
    @Test(arguments: [
        (
            "(function() local make = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return {make(1), make(5)} end)()",
            "[2,10]"
        ),
        ("{coroutine.resume(coroutine.create(function(...) return select('#', ...), ... end), 1, nil, 3)}", "[true,3,1,null,3]".sparse),
        ("(select(2, coroutine.resume(coroutine.create(function() error('x', 0) end))))", "\"x\""),
        (
            "(function() local co = coroutine.create(print) coroutine.resume(co) return {coroutine.resume(co)} end)()",
            #"[false,"cannot resume dead coroutine"]"#
        ),
        (
            "(function() local co co = coroutine.create(function() return coroutine.resume(co) end) return {coroutine.resume(co)} end)()",
            #"[true,false,"cannot resume non-suspended coroutine"]"#
        ),
        (
            "(function() local outer = coroutine.running() return coroutine.wrap(function() return {coroutine.resume(outer)} end)() end)()",
            #"[false,"cannot resume non-suspended coroutine"]"#
        ),
        ("(function() local a, b = coroutine.running() return {type(a), b} end)()", #"["thread",true]"#),
        ("{coroutine.isyieldable(), coroutine.wrap(function() return coroutine.isyieldable() end)()}", "[false,true]"),
        ("(select(2, pcall(coroutine.yield)))", "\"attempt to yield from outside a coroutine\""),
        (
            "(function() local co = coroutine.create(coroutine.yield) local seen = {coroutine.status(co)} coroutine.resume(co) seen[2] = coroutine.status(co) seen[3] = coroutine.close(co) seen[4] = coroutine.status(co) return seen end)()",
            #"["suspended","suspended",true,"dead"]"#
        ),
        (
            "(function() local log = {} local co = coroutine.create(function() local c <close> = setmetatable({}, {__close = function() log[#log + 1] = 'closed' end}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co) return log end)()",
            #"["closed"]"#
        ),
        (
            "(function() local co = coroutine.create(function() local c <close> = setmetatable({}, {__close = function() error('late', 0) end}) coroutine.yield() end) coroutine.resume(co) return {coroutine.close(co)} end)()",
            #"[false,"late"]"#
        ),
        ("(select(2, pcall(coroutine.wrap(function() error({code = 7}) end)))).code", "7"),
        (
            "(function() local t = {} for w in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do t[#t + 1] = w end return t end)()",
            "[1,2,3]"
        ),
        ("{pcall(function(...) return coroutine.yield and ... end, 1)}", "[true,1]"),
    ])
    func `coroutines behave as Lua's`(expression: String, expected: String) throws {
        #expect(try evaluate(expression) == expected)
    }

    @Test(arguments: [
        "host.wait()",
        "coroutine.wrap(function() return host.wait() end)()",
        "select(2, coroutine.resume(coroutine.create(function() return coroutine.wrap(function() return (host.wait()) end)() end)))",
        "select(2, pcall(host.wait))",
        "select(2, xpcall(function() return coroutine.wrap(host.wait)() end, print))",
        "setmetatable({}, {__index = function() return (host.wait()) end}).field",
        "(function() for value in function(_, before) if not before then return (host.wait()) end end do return value end end)()",
    ])
    func `a handler waits for the host and goes on with its answer, in`(place: String) throws {
        try onLane { lane in
            let script = try Script(on: lane, "host.on(function() local got = \(place) return {got, 'after'} end)")
            #expect(script.send() == nil)
            #expect(script.status == .waiting && script.context.waiting == [1])
            #expect(script.resume(.string("answer"))?.text == #"["answer","after"]"#)
            #expect(script.status == .done && script.context.waiting.isEmpty)
        }
    }

    @Test(arguments: ["table.sort({3, 2, 1}, function() return host.wait() end)", "('x'):gsub('x', function() return host.wait() end)"])
    func `waiting inside a callback of a C function raises, in`(place: String) throws {
        try onLane { lane in
            let script = try Script(on: lane, "host.on(function() \(place) end)")
            #expect(try #require(script.send()).message.contains(text: "cannot wait here"))
        }
    }

    @Test func `a call that could not wait is given up, and never answered with nothing`() throws {
        try onLane { lane in
            let script = try Script(
                on: lane,
                """
                host.on(function()
                  local co = coroutine.create(function() return 'answered', (host.wait()) end)
                  pcall(table.sort, {2, 1}, function() coroutine.resume(co) return false end)
                  local ok, why = coroutine.resume(co)
                  return {ok, tostring(why)}
                end)
                """)
            let text = try #require(script.send()).text
            #expect(text.contains("false") && text.contains("could not wait where it was made"), "\(text)")
        }
    }

    @Test func `what handlers have emitted before they wait counts towards the memory limit`() throws {
        try onLane { lane in
            var limits = LuaLimits.quick
            limits.memoryBytes = 4 << 20
            let script = try Script(
                on: lane, limits: limits,
                "host.on(function() for n = 1, 4 do bus.emit('a', ('x'):rep(200000)) end host.wait() end)")
            var last: LuaOutcome?
            for delivery in 1...8 where last == nil { last = script.send(delivery: UInt64(delivery)) }
            #expect(try #require(last).status == .memory, "\(String(describing: last?.message)) \(String(describing: last?.text))")
            #expect(try #require(last).message.contains(text: "emitted before they wait"))
        }
    }

    @Test func `waiting while the plugin loads is refused`() throws {
        let fault = try onLane { lane in #expect(throws: LuaFault.self) { _ = try Script(on: lane, "host.wait()") } }
        #expect(try #require(fault).json.contains(text: "cannot wait while the plugin loads"))
    }

    @Test func `an answer that is an error is raised where the handler waited, and may be caught there`() throws {
        try onLane { lane in
            let script = try Script(
                on: lane, "host.on(function() local ok, text = pcall(host.wait) if ok then return 'no' end return text end)")
            script.send()
            #expect(script.resume(throwing: "nobody answered")?.text == #""nobody answered""#)
            let bare = try Script(on: lane, "host.on(function() host.wait() end)")
            bare.send()
            let outcome = try #require(bare.resume(throwing: "nobody answered"))
            #expect(outcome.status == .failed && outcome.message == "nobody answered" && outcome.member("line") == "1")
        }
    }

    @Test func `many handlers wait at once and end in any order, each with its own effects`() throws {
        try onLane { lane in
            let script = try Script(
                on: lane,
                "host.on(function(event) bus.emit('before', event.data) local got = host.wait() bus.emit('after', got) return event.data + got end)"
            )
            for delivery in 1...100 { script.send("\(delivery)", delivery: UInt64(delivery)) }
            #expect(Set(script.context.waiting) == Set(1...100))
            for delivery in (1...100).reversed() {
                let outcome = try #require(script.resume(.integer(1000), delivery: UInt64(delivery)))
                #expect(outcome.delivery == UInt64(delivery) && outcome.text == "\(delivery + 1000)")
                let effects = String(decoding: outcome.effects, as: UTF8.self)
                #expect(effects.contains(text: "before\(delivery)") && effects.contains(text: "after1000"))
            }
        }
    }

    @Test func `a late or repeated answer is refused`() throws {
        try onLane { lane in
            let script = try Script(on: lane, "host.on(function() return host.wait() end)")
            script.send(delivery: 7)
            #expect(script.resume(.integer(1), delivery: 8) == nil && script.status == .stale)
            #expect(script.resume(.integer(1), delivery: 7)?.text == "1")
            #expect(script.resume(.integer(1), delivery: 7) == nil && script.status == .stale)
        }
    }

    @Test func `cancelling unwinds a waiting handler: close handlers run, pcall does not stop it, effects are gone`() throws {
        try onLane { lane in
            let source = """
                host.on(function()
                  bus.emit('lost')
                  local guard <close> = setmetatable({}, {__close = function() host.note('closed') end})
                  coroutine.wrap(function() pcall(host.wait) host.note('went on') end)()
                  host.note('went on')
                end)
                """
            let script = try Script(on: lane, source)
            script.send()
            let outcome = try #require(script.cancel("the plugin is unloaded"))
            #expect(outcome.status == .cancelled && outcome.text == "the plugin is unloaded" && outcome.effects.isEmpty)
            #expect(script.notes == ["closed"])
            #expect(script.status == .cancelled && script.cancel("again") == nil && script.status == .stale)
            script.send()
            #expect(script.status == .waiting)
        }
    }

    @Test func `a checkpoint sends what a long run has staged so far, and the run goes on`() throws {
        try onLane { lane in
            let source = "host.on(function() bus.emit('one') host.wait() bus.emit('two') return 'end' end)"
            let script = try Script(on: lane, source)
            script.send()
            #expect(script.status == .waiting)
            let outcome = try #require(script.resume())
            #expect(outcome.effects.count == 26 && outcome.text == #""end""#)
        }
    }
}

extension String {
    /// `{f()}` with a nil inside is no JSON array: the error says so.
    fileprivate var sparse: String { "result: the array is sparse: element 4 is missing: put json.null there" }
}
