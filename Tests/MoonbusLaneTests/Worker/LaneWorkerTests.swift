import MoonbusEvents
import MoonbusLane
import Testing

@Suite struct LaneWorkerTests {
    @Test func `an event is handled, and its effects and result come back`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            bus.subscribe("a", function(event)
              bus.emit("b.c", { n = event.data.n + 1 })
              return { twice = event.data.n * 2 }
            end)
            """)
        let outcome = try host.run(declared.subscriptions[0].function, ["n": 21])
        #expect(outcome.status == .done)
        #expect(outcome.effects == [.emit("b.c", #"{"n":22}"#)])
        #expect(outcome.json == ["twice": 42])
    }

    @Test func `a batch of deliveries is answered in order, one outcome each`() throws {
        let host = try TestHost()
        let declared = try host.load(
            #"bus.subscribe("a", function(event) if event.data % 3 == 0 then error("three") end return event.data end)"#)
        let ids = try host.deliver(declared.subscriptions[0].function, (1...1_000).map { .integer($0) })
        for (index, id) in ids.enumerated() {
            let outcome = try host.outcome()
            #expect(outcome.delivery == id)
            #expect(outcome.status == ((index + 1) % 3 == 0 ? .failed : .done))
        }
    }

    @Test func `an error has its message, line and traceback, and leaves no effects`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            local function deep() error("broken") end
            bus.subscribe("a", function(event)
              bus.emit("b")
              kv.set("k", 1)
              deep()
            end)
            """)
        let outcome = try host.run(declared.subscriptions[0].function)
        #expect(outcome.status == .failed)
        #expect(outcome.effects.isEmpty)
        #expect(outcome.json?["message"]?.string?.contains("broken") == true)
        #expect(outcome.json?["line"] == 1)
        #expect(outcome.json?["kind"] == "error")
        #expect(outcome.json?["traceback"]?.string?.contains("main.lua:5") == true)
    }

    @Test func `reject and retry are outcomes of their own`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            bus.subscribe("a", function() bus.reject("no price") end)
            bus.subscribe("b", function() bus.retry("250ms") end)
            """)
        let rejected = try host.run(declared.subscriptions[0].function)
        #expect(rejected.status == .rejected)
        #expect(rejected.text == "no price")
        let retried = try host.run(declared.subscriptions[1].function)
        #expect(retried.status == .retry)
        #expect(retried.detail == withUnsafeBytes(of: Int64(250_000).littleEndian) { Array($0) })
    }

    @Test func `a handler that overruns its CPU limit is interrupted, and its context goes on`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            local count = 0
            bus.subscribe("a", function(event) count = count + 1 if event.data then while true do pcall(function() while true do end end) end end return count end)
            """, header: ["cpu_us": 30_000])
        let function = declared.subscriptions[0].function
        let outcome = try host.run(function, true)
        #expect(outcome.status == .timeout)
        #expect(outcome.json?["kind"] == "timeout")
        #expect(try host.run(function, false).json == 2)
    }

    @Test func `a handler that wants more memory than it may have fails, and its context goes on`() throws {
        let host = try TestHost()
        let declared = try host.load(
            #"bus.subscribe("a", function(event) if event.data then local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end end return 1 end)"#,
            header: ["memory_bytes": 4_000_000])
        let function = declared.subscriptions[0].function
        #expect(try host.run(function, true).status == .memory)
        #expect(try host.run(function, false).status == .done)
    }

    @Test func `a plugin that cannot be compiled is refused with its line`() throws {
        let error = try TestHost().refusal("local x = 1\nlocal y = = 2")
        #expect(error["kind"] == "syntax")
        #expect(error["line"] == 2)
        #expect(error["file"] == "main.lua")
    }

    @Test func `modules of lib are required by name, and their errors name their file`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            local a = require("a")
            local c = require("b.c")
            bus.subscribe("a", function() return a.one + c.two end)
            """, lib: ["a": "return { one = 1 }", "b/c": "return { two = 2 }"])
        #expect(try host.run(declared.subscriptions[0].function).json == 3)
        let error = try host.refusal(#"require("bad")"#, lib: ["bad": "\n\nerror('in here')"], context: 2)
        #expect(error["file"] == "lib/bad.lua")
        #expect(error["line"] == 3)
    }

    @Test func `a check finds mistakes in modules that nobody requires, and leaves no context`() throws {
        let host = try TestHost()
        let error = try host.refusal("", lib: ["unused": "= 1"], header: ["check": true])
        #expect(error["file"] == "lib/unused.lua")
        #expect(error["kind"] == "syntax")
        try host.load(#"bus.subscribe("a", print)"#, header: ["check": true], context: 2)
        #expect(throws: TestHost.Unexpected.self) { try host.run(1, context: 2) }
    }

    @Test func `config is what the host says, and read-only`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            local at = config.cold.at
            bus.subscribe("a", function() return { at, pcall(function() config.cold.at = 1 end) } end)
            """, header: ["config": ["cold": ["at": 40.5]]])
        let outcome = try host.run(declared.subscriptions[0].function)
        #expect(outcome.json?[0] == 40.5)
        #expect(outcome.json?[1] == false)
    }

    @Test func `a plugin emits only what plugin.toml allows`() throws {
        let host = try TestHost()
        let declared = try host.load(
            #"bus.subscribe("a", function(event) bus.emit(event.data) end)"#, header: ["emit": ["orders.>", "audit"]])
        let function = declared.subscriptions[0].function
        #expect(try host.run(function, "orders.eu.created").status == .done)
        #expect(try host.run(function, "audit").status == .done)
        let denied = try host.run(function, "payments.made")
        #expect(denied.status == .failed)
        #expect(denied.text.contains("payments.made"))
    }

    @Test func `contexts see nothing of one another`() throws {
        let host = try TestHost()
        let first = try host.load("shared = 1 string.upper = nil bus.subscribe('a', function() return shared end)", context: 1)
        let second = try host.load("bus.subscribe('a', function() return { type(shared), ('x'):upper() } end)", context: 2)
        #expect(try host.run(first.subscriptions[0].function, context: 1).json == 1)
        #expect(try host.run(second.subscriptions[0].function, context: 2).json == ["nil", "X"])
    }

    @Test func `a delivery to a context that is not there is due again`() throws {
        let host = try TestHost()
        let ids = try host.deliver(1, [.null, .null], context: 9)
        #expect(try host.next() == .lost([ids[0]]))
        #expect(try host.next() == .lost([ids[1]]))
    }

    @Test func `after unload a context is gone, and its number can be used again`() throws {
        let host = try TestHost()
        let declared = try host.load("bus.subscribe('a', function() return 1 end)")
        #expect(try host.run(declared.subscriptions[0].function).json == 1)
        host.output.appendUnload(context: 1)
        let ids = try host.deliver(declared.subscriptions[0].function)
        #expect(try host.next() == .lost(ids))
        let again = try host.load("bus.subscribe('a', function() return 2 end)")
        #expect(try host.run(again.subscriptions[0].function).json == 2)
    }

    @Test func `the lane ends after stop, once its output is sent`() throws {
        let host = try TestHost()
        let declared = try host.load("bus.subscribe('a', function() return 1 end)")
        let ids = try host.deliver(declared.subscriptions[0].function, Array(repeating: .null, count: 200))
        #expect(try host.stop() == .stopped)
        for id in ids { #expect(try host.outcome().delivery == id) }
    }

    @Test func `the lane ends when it is sent something else than frames`() throws {
        let host = try TestHost()
        host.output.append(UInt64.max)
        try host.send()
        #expect(host.lane.join().map { if case .garbled = $0 { true } else { false } } == true)
    }

    @Test func `ten thousand contexts come and go`() throws {
        let host = try TestHost()
        for context in UInt32(1)...10_000 {
            host.output.appendUnload(context: context - 1)
            _ = try host.load("bus.subscribe('a', function() end)", header: ["memory_bytes": 1_048_576], context: context)
        }
    }
}
