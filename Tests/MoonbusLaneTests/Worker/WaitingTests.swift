import MoonbusEvents
import MoonbusLane
import Testing

@Suite struct WaitingTests {
    @Test func `a handler that sleeps holds up nobody, and goes on with its effects`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            bus.subscribe("a", function(event)
              bus.emit("before")
              local before = time.now()
              time.sleep("1s")
              bus.emit("after")
              return { event.data, before == time.now() }
            end)
            bus.subscribe("b", function() return "quick" end)
            """)
        let id = try host.deliver(declared.subscriptions[0].function, ["slow"])[0]
        let call = try host.call()
        #expect(call.delivery == id)
        #expect(call.json == ["name": "sleep", "duration_us": 1_000_000])
        #expect(try host.run(declared.subscriptions[1].function).json == "quick")
        try host.reply(call.id, .null)
        let outcome = try host.outcome()
        #expect(outcome.delivery == id)
        #expect(
            outcome.effects == [.emit("before", "null"), .emit("after", "null")]
                || outcome.effects == [.emit("before", ""), .emit("after", "")])
        #expect(outcome.json == ["slow", true])
    }

    @Test func `a request carries type, data and options, and returns the answer`() throws {
        let host = try TestHost()
        let declared = try host.load(
            #"bus.subscribe("a", function() return bus.request("quote.requested", { sku = "A\n1" }, { timeout = "1s", key = "k" }).price end)"#
        )
        try host.deliver(declared.subscriptions[0].function)
        let call = try host.call()
        #expect(call.json == ["name": "request", "type": "quote.requested", "data": ["sku": "A\n1"], "timeout_us": 1_000_000, "key": "k"])
        try host.reply(call.id, ["price": 12])
        #expect(try host.outcome().json == 12)
    }

    @Test func `an error reply is raised in the script, which may catch it`() throws {
        let host = try TestHost()
        let declared = try host.load(
            #"bus.subscribe("a", function() local ok, problem = pcall(bus.request, "q") return { ok, problem } end)"#)
        try host.deliver(declared.subscriptions[0].function)
        host.output.appendReply(call: try host.call().id, error: "nobody is subscribed")
        try host.send()
        let outcome = try host.outcome()
        #expect(outcome.json?[0] == false)
        #expect(outcome.json?[1]?.string?.contains("nobody is subscribed") == true)
    }

    @Test func `a request for what may not be emitted is refused at once`() throws {
        let host = try TestHost()
        let declared = try host.load(#"bus.subscribe("a", function() bus.request("other") end)"#, header: ["emit": ["mine.>"]])
        let outcome = try host.run(declared.subscriptions[0].function)
        #expect(outcome.status == .failed)
        #expect(outcome.text.contains("does not allow to emit"))
    }

    @Test func `many handlers wait at once, and go on in whatever order the answers come`() throws {
        let host = try TestHost()
        let declared = try host.load(#"bus.subscribe("a", function(event) return event.data + bus.request("q", event.data) end)"#)
        try host.deliver(declared.subscriptions[0].function, (0..<100).map { .integer($0) })
        var calls: [(id: UInt64, delivery: UInt64, json: JSONValue)] = []
        for _ in 0..<100 { calls.append(try host.call()) }
        for call in calls.reversed() {
            try host.reply(call.id, call.json["data"] ?? .null)
            let outcome = try host.outcome()
            #expect(outcome.delivery == call.delivery)
            #expect(outcome.json?.integer == (call.json["data"]?.integer ?? 0) * 2)
        }
    }

    @Test func `a cancelled delivery is answered with the reason, and leaves nothing`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            bus.subscribe("a", function()
              bus.emit("never")
              kv.set("k", 1)
              while true do pcall(time.sleep, 60) end
            end)
            """)
        let id = try host.deliver(declared.subscriptions[0].function)[0]
        let call = try host.call()
        host.output.appendCancel(delivery: id, context: 1, reason: "ran 30 s, its limit")
        try host.send()
        let outcome = try host.outcome()
        #expect(outcome.delivery == id)
        #expect(outcome.status == .cancelled)
        #expect(outcome.effects.isEmpty)
        #expect(outcome.text == "ran 30 s, its limit")
        // The host may have answered meanwhile: too late, and no harm.
        try host.reply(call.id, .null)
        host.output.appendCancel(delivery: id, context: 1, reason: "again")
        #expect(try host.stop() == .stopped)
    }

    @Test func `unloading cancels what waits`() throws {
        let host = try TestHost()
        let declared = try host.load(#"bus.subscribe("a", function() time.sleep(60) end)"#)
        let ids = try host.deliver(declared.subscriptions[0].function, [.null, .null])
        _ = (try host.call(), try host.call())
        host.output.appendUnload(context: 1)
        try host.send()
        #expect(try [host.outcome(), host.outcome()].map { [$0.delivery: $0.status] } == ids.map { [$0: .cancelled] })
    }

    @Test func `nothing waits while a plugin loads`() throws {
        let error = try TestHost().refusal(#"time.sleep("1s")"#)
        #expect(error["message"]?.string?.contains("while the plugin loads") == true)
    }

    @Test func `a wait where Lua can't wait is an error, and nothing is asked of the host`() throws {
        let host = try TestHost()
        let declared = try host.load(
            #"bus.subscribe("a", function() return pcall(string.gsub, "x", "x", function() time.sleep(1) end) end)"#)
        let outcome = try host.run(declared.subscriptions[0].function)
        #expect(outcome.status == .done)
        #expect(outcome.json == false)
    }

    @Test func `a source that runs for ever commits its effects at each wait`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            bus.source({ name = "ticks", run = function()
              for n = 1, 2 do
                bus.emit("tick", n)
                kv.set("n", n)
                time.sleep(1)
              end
            end })
            """)
        try host.deliver(declared.sources[0].function)
        for n in 1...2 {
            let checkpoint = try host.outcome()
            #expect(checkpoint.status == .checkpoint)
            #expect(checkpoint.effects == [.emit("tick", "\(n)"), .set("n", "\(n)", expiry: 0)])
            try host.reply(try host.call().id, .null)
        }
        let end = try host.outcome()
        #expect(end.status == .done)
        #expect(end.effects.isEmpty)
    }
}
