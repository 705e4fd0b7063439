import CLuaShim
import Glibc
import MoonbusLua
import Testing

/// CPU limits are real time that passes: the tests share two cores with others, so limits are short and serial.
@Suite(.serialized) struct LimitTests {
    private func run(
        _ body: String, limits: LuaLimits = .quick(cpu: .milliseconds(20)), _ check: (Script, LuaOutcome) throws -> Void = { _, _ in }
    ) throws -> LuaOutcome {
        try onLane { lane in
            let script = try Script(on: lane, limits: limits, "host.on(function(event) \(body) end) host.on(function() return 'alive' end)")
            let outcome = try #require(script.send(to: 0))
            try check(script, outcome)
            return outcome
        }
    }

    @Test(arguments: [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() local x = nil return x.y end, function() while true do end end) end",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "while true do coroutine.resume(coroutine.create(function() pcall(function() while true do end end) end)) end",
        "local function spin(n) local co = coroutine.wrap(function() for _ = 1, 1000 do coroutine.yield() end return true end) while true do if not pcall(co) then return spin(n + 1) end end end while true do pcall(spin, 1) end",
        "local mt = {__close = function() while true do pcall(function() while true do end end) end end} local a <close> = setmetatable({}, mt) local b <close> = setmetatable({}, mt) while true do end",
        "local co = coroutine.create(function() local c <close> = setmetatable({}, {__close = function() while true do end end}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
        "table.sort({3, 1, 2}, function() while true do end end)",
        "string.gsub('x', 'x', function() while true do end end)",
        "local t = setmetatable({}, {__index = function(_, k) while true do end end}) return t.x",
        "load(function() while true do end end)",
        "while true do pcall(bus.emit, 'storm', {n = 1}) end",
        "local t = setmetatable({}, {__index = function(self, k) return self[k .. 'x'] end}) while true do pcall(function() return t.a end) end",
        "while true do host.add1(1) end",
        "while true do pcall(host.fail, 'no') end",
    ])
    func `a handler that overruns its CPU limit is interrupted whatever it catches, and its context lives on`(body: String) throws {
        let outcome = try run(body) { script, outcome in
            #expect(script.send(to: 1)?.text == #""alive""#)
            #expect(script.context.waiting.isEmpty)
        }
        #expect(outcome.status == .timeout, "\(outcome.text)")
        #expect(outcome.member("kind") == "timeout" && outcome.message == "ran past its CPU limit of 20 ms" && outcome.effects.isEmpty)
    }

    @Test func `the traceback of an interrupt says where the script was`() throws {
        let outcome = try run("local function busy() while true do end end\nbusy()")
        #expect(outcome.member("line") == "1" && outcome.member("file") == "main.lua")
        #expect(try #require(outcome.member("traceback")).contains(text: "in function 'busy'"))
    }

    @Test func `loading is limited, too`() throws {
        let fault = try onLane { lane in
            #expect(throws: LuaFault.self) { _ = try Script(on: lane, limits: .quick(cpu: .milliseconds(20)), "while true do end") }
        }
        #expect(try #require(fault).status == .timeout)
    }

    @Test func `the limit counts CPU time: waiting is free, and each stretch between waits starts anew`() throws {
        try onLane { lane in
            let source =
                "host.on(function() for _ = 1, 3 do local n = 0 for i = 1, 200000 do n = n + i end host.wait() end return 'end' end)"
            let script = try Script(on: lane, limits: .quick(cpu: .milliseconds(60)), source)
            script.send()
            for _ in 0..<2 {
                usleep(70_000)
                #expect(script.resume() == nil && script.status == .waiting)
            }
            #expect(script.resume()?.text == #""end""#)
        }
    }

    @Test func `a delivery may have a limit of its own`() throws {
        try onLane { lane in
            let script = try Script(on: lane, limits: .quick(cpu: .seconds(30)), "host.on(function() while true do end end)")
            #expect(script.send(cpu: .milliseconds(20))?.message == "ran past its CPU limit of 20 ms")
        }
    }

    @Test(arguments: [
        "local s = ('a'):rep(4000) return s:find(('.-'):rep(20) .. 'b')", "return (('a'):rep(60)):gsub(('a-'):rep(40) .. 'b', '')",
        "return tonumber(('9'):rep(8000000)) .. tonumber(('9'):rep(8000000)) .. string.rep('x', 3):rep(2000000):find(('.-'):rep(9) .. 'y')",
    ])
    func `a handler stuck inside a C function is cut with its context, and the lane goes on`(body: String) throws {
        try onLane { lane in
            let limits = LuaLimits.quick(cpu: .milliseconds(10), grace: .milliseconds(5), memory: 32 << 20)
            let sibling = try Script(
                on: lane, "host.on(function() local sum = 0 for i = 1, 100 do sum = sum + #(('k' .. i):rep(3)) end return sum end)")
            let script = try Script(on: lane, limits: limits, "host.on(function() host.wait() end) host.on(function() \(body) end)")
            script.send(to: 0, delivery: 77)
            let outcome = try #require(script.send(to: 1, delivery: 78))
            #expect(outcome.status == .killed && outcome.member("kind") == "killed" && outcome.delivery == 78, "\(outcome.text)")
            #expect(outcome.message.hasPrefix("it did not stop at its CPU limit"), "the kind says already that it was killed")
            #expect(script.context.usage.dead && script.context.waiting == [77])
            #expect(script.send(to: 0) == nil && script.status == .stale)
            #expect(script.resume(delivery: 77) == nil && script.status == .stale)
            #expect(sibling.send()?.text == "876")
        }
    }

    @Test(arguments: [
        "local s = '0123456789abcdef' while true do s = s .. s end", "return ('x'):rep(1 << 36)",
        "local t = {} for i = 1, 1e9 do t[i] = {i} end",
        "local parts = {} for i = 1, 200 do parts[i] = 'p' end table.concat(parts, ('s'):rep(1 << 20))",
        "local all = {} while true do local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) all[#all + 1] = co end",
        "if not pcall(string.rep, 'x', 1 << 36) then error('not enough memory') end",
    ])
    func `memory past the cap is refused and reported, and the context lives on`(body: String) throws {
        let outcome = try run(body, limits: .quick(cpu: .seconds(20), memory: 4 << 20)) { script, _ in
            #expect(script.context.usage.peak_bytes <= 4 << 20)
            #expect(script.send(to: 1)?.text == #""alive""#)
        }
        #expect(outcome.status == .memory && outcome.member("kind") == "memory", "\(outcome.text)")
    }

    @Test func `a script that only says so has not run out of memory`() throws {
        #expect(try run("error('claims: not enough memory', 0)").status == .failed)
    }

    @Test func `the page shows what runs, and counts what the watchdog did`() throws {
        try onThread {
            let page = UnsafeMutablePointer<moonbus_page>.allocate(capacity: 1)
            page.initialize(to: moonbus_page())
            defer { page.deallocate() }
            let lane = try unwrap(LuaLane(page: page), "no lane")
            nonisolated(unsafe) let shared = page
            var seen: [UInt64] = []
            let context = try LuaContext(on: lane, limits: .quick(cpu: .milliseconds(20)), identifier: 99) { _ in
                seen = [shared.pointee.sequence & 1, shared.pointee.context, shared.pointee.task, shared.pointee.limit_us]
                return .values([])
            }
            context.register("look", signature: "")
            try context.load("look()", task: 12)
            #expect(seen == [1, 99, 12, 20_000] && page.pointee.sequence == 2 && page.pointee.started_us > 0)
            #expect(throws: LuaFault.self) { try context.load("while true do end") }
            #expect(page.pointee.soft_count == 1 && page.pointee.hard_count == 0)
            #expect(throws: LuaFault.self) { try context.load("(('a'):rep(4000)):find(('.-'):rep(20) .. 'b')") }
            #expect(page.pointee.hard_count == 1 && page.pointee.sequence == 6)
        }
    }
}
