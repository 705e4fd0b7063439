import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins
import Testing

/// Plugins on thread lanes, with the real worker.
@Suite(.timeLimit(.minutes(1))) struct PluginHostTests {
    private let files = TemporaryFolder()

    @Test func `filters are bounded together, because every event is held against all of them`() async throws {
        try await Rig.run { rig in
            let source = """
                local parts = {}
                for n = 1, 64 do parts[n] = { data = { ["k" .. n] = { n } } } end
                for n = 1, COUNT do bus.subscribe("a", { name = "s" .. n, where = { ["$or"] = parts } }, function() end) end
                """
            let error = await #expect(throws: PluginError.self) {
                try await rig.host.load("many", source: source.replacing("COUNT", with: "60"), manifest: "[limits]\ncpu = \"10s\"")
            }
            #expect(error?.code == .badDeclaration && error?.line == 3, "\(String(describing: error))")
            #expect(error?.message.contains("more than 65536 bytes of JSON together") == true, "\(String(describing: error))")
            try await rig.host.load("some", source: source.replacing("COUNT", with: "20"), manifest: "[limits]\ncpu = \"10s\"")
        }
    }

    @Test func `a plugin of one file handles an event and answers`() async throws {
        files.write(#"bus.subscribe("sum.asked", function(event) return event.data.a + event.data.b end)"#, to: "sum.lua")
        try await Rig.run(files: files) { rig in
            #expect(try await rig.answer("sum.asked", ["a": 2, "b": 40]) == 42)
            let status = try #require(await rig.status("sum"))
            #expect(status.state == .running)
            #expect(status.version == 1)
            #expect(status.subscriptions == ["sum.sum.asked"])
        }
    }

    @Test func `a folder with modules, limits and config is a plugin`() async throws {
        files.write(#"return { twice = function(x) return x * 2 end }"#, to: "double/lib/math2.lua")
        files.write("[config]\nbonus = 5\n", to: "double/plugin.toml")
        files.write(
            """
            local math2 = require("math2")
            bus.subscribe("double.asked", function(event) return math2.twice(event.data) + config.bonus end)
            """, to: "double/main.lua")
        try await Rig.run(files: files) { rig in
            let answer = try await rig.answer("double.asked", 4)
            #expect(answer == 13)
        }
    }

    @Test func `events that a handler emits go round, with cause and source`() async throws {
        try await Rig.run { rig in
            try await rig.host.load("first", source: #"bus.subscribe("a", function(event) bus.emit("b", { n = event.data.n + 1 }) end)"#)
            try await rig.host.load("second", source: #"bus.subscribe("b", function(event) bus.emit("c", { n = event.data.n + 1 }) end)"#)
            var ends = rig.bus.events(matching: try EventPattern("c")).makeAsyncIterator()
            try await rig.settle("a", ["n": 1])
            let last = try #require(await ends.next())
            #expect(last.data?.value == ["n": 3])
            #expect(last.source == "/plugins/second")
            #expect(last.hops == 2)
            #expect(last.causeid != nil)
        }
    }

    @Test func `a request is answered by another plugin's handler`() async throws {
        try await Rig.run { rig in
            try await rig.host.load(
                "prices", source: #"bus.subscribe("price.asked", function(event) return { cents = event.data.count * 250 } end)"#)
            try await rig.host.load(
                "orders", source: #"bus.subscribe("order", function(event) return bus.request("price.asked", { count = 3 }).cents end)"#)
            #expect(try await rig.answer("order") == 750)
        }
    }

    @Test func `a request may carry what an event may, down to the deepest value`() async throws {
        try await Rig.run { rig in
            try await rig.host.load("deep", source: #"bus.subscribe("deep.asked", function(event) return #event.data end)"#)
            let source = """
                bus.subscribe("ask", { retry = { attempts = 1 } }, function(event)
                  local deep = {}
                  for _ = 1, event.data - 1 do deep = { deep } end
                  return bus.request("deep.asked", deep)
                end)
                """
            try await rig.host.load("asks", source: source)
            #expect(try await rig.answer("ask", 64) == 1)
            let fault = try await rig.settle("ask", 65).results.first?.error
            #expect(fault?.message.hasSuffix("more than 64 levels: make it flatter, or give the inner part as json.encode(part)") == true)
            #expect(fault?.message.hasPrefix("argument 2[1][1]") == true && fault?.line == 4, "\(String(describing: fault))")
        }
    }

    @Test func `a request that nobody answers raises in the handler`() async throws {
        try await Rig.run { rig in
            try await rig.host.load(
                "alone",
                source:
                    #"bus.subscribe("ask", function() local ok, why = pcall(bus.request, "nobody.there") return { ok = ok, why = why } end)"#
            )
            let answer = try await rig.answer("ask")
            #expect(answer?["ok"] == false)
            #expect(answer?["why"]?.string?.contains("nobody is subscribed to 'nobody.there'") == true, "\(String(describing: answer))")
        }
    }

    @Test func `a request to a plugin that is switched off says so, without waiting`() async throws {
        try await Rig.run { rig in
            try await rig.host.load("price", source: #"bus.subscribe("price.asked", function() return 3 end)"#)
            let ask = #"bus.subscribe("ask", function() local _, why = pcall(bus.request, "price.asked") return why end)"#
            try await rig.host.load("asks", source: ask)
            try await rig.host.disable("price")
            let why = try await rig.answer("ask")?.string
            #expect(why?.contains("switched off or has not caught up yet") == true, "\(why ?? "nothing")")
        }
    }

    @Test func `a request is answered by the first result, while slower handlers of its event still run`() async throws {
        try await Rig.run { rig in
            try await rig.host.load("slow", source: #"bus.subscribe("price", function() time.sleep("1h") return "late" end)"#)
            try await rig.host.load("mute", source: #"bus.subscribe("price", function() end)"#)
            try await rig.host.load(
                "quick", source: #"bus.subscribe("price", function() time.sleep("50ms") return "first" end)"#)
            try await rig.host.load("asks", source: #"bus.subscribe("ask", function() return bus.request("price") end)"#)
            #expect(try await rig.answer("ask") == "first")
        }
    }

    @Test func `a sleeping handler keeps nobody waiting`() async throws {
        try await Rig.run(lanes: .threads(count: 1)) { rig in
            try await rig.host.load("sleeper", source: #"bus.subscribe("sleep", function() time.sleep("300ms") return "slept" end)"#)
            try await rig.host.load("quick", source: #"bus.subscribe("quick", function() return "quick" end)"#)
            async let slept = rig.answer("sleep")
            #expect(try await rig.answer("quick") == "quick")
            #expect(try await slept == "slept")
        }
    }

    @Test func `what the manifest doesn't permit can't be emitted or subscribed to`() async throws {
        try await Rig.run { rig in
            try await rig.host.load(
                "shy", source: #"bus.subscribe("in.x", function() bus.emit("secret", 1) end)"#,
                manifest: "[permissions]\nemit = [\"out.>\"]\nsubscribe = [\"in.*\"]")
            let result = try #require(try await rig.settle("in.x").results.first)
            #expect(result.status != .done)
            #expect(
                result.error?.message.contains("out") == true || result.error?.message.contains("secret") == true,
                "\(String(describing: result.error))")

            let error = await #expect(throws: PluginError.self) {
                try await rig.host.load(
                    "nosy", source: "\n" + #"bus.subscribe("elsewhere", function() end)"#, manifest: "[permissions]\nsubscribe = [\"in.*\"]"
                )
            }
            #expect(error?.file == "nosy/main.lua")
            #expect(error?.line == 2)
            #expect(error?.code == .denied, "\(String(describing: error))")
        }
    }

    @Test func `the host's own types can't be emitted by plugins`() async throws {
        try await Rig.run { rig in
            try await rig.host.load(
                "forger",
                source: #"bus.subscribe("go", { retry = { attempts = 1 } }, function() bus.emit("moonbus.plugin.loaded", {}) end)"#)
            let fault = try #require(try await rig.settle("go").results.first?.error)
            #expect(fault.message.contains("reserved for Moonbus itself: choose another first word") && fault.line == 1, "\(fault)")
        }
    }

    @Test func `a plugin can't take the id of an event that its publisher has still to send`() async throws {
        let thief = """
            bus.subscribe("go", { retry = { attempts = 1 } }, function()
              bus.emit("order", 0, { source = "/shop", id = "17" })
            end)
            """
        let counter = #"bus.subscribe("order", function(event) return event.data end)"#
        try await Rig.run { rig in
            try await rig.host.load("counter", source: counter)
            try await rig.host.load("thief", source: thief, manifest: "[permissions]\nsources = [\"urn:till:*\"]")
            let fault = try #require(try await rig.settle("go").results.first?.error)
            #expect(fault.message.contains(#"[permissions] sources = ["/shop"]"#) && fault.line == 2, "\(fault)")
            let order = try Event(type: EventType("order"), data: JSON(5), id: "17", source: "/shop")
            let receipt = try await rig.bus.emit(order, until: .settled, within: .seconds(20))
            #expect(receipt.results.first?.result?.value == 5)
            // Who permits it, has it.
            try await rig.host.load("thief", source: thief, manifest: "[permissions]\nsources = [\"/shop\"]")
            #expect(try await rig.settle("go").results.first?.status == .done)
        }
    }

    @Test func `limits that the manifest says are the most that a subscription may ask for`() async throws {
        try await Rig.run { rig in
            let source = "\n" + #"bus.subscribe("a", { name = "slow", cpu = "300ms", timeout = "20s" }, function() end)"#
            func refusal(_ limits: String) async -> PluginError? {
                await #expect(throws: PluginError.self) {
                    try await rig.host.load("bounded", source: source, manifest: "[limits]\n\(limits)")
                }
            }
            let cpu = await refusal("cpu = \"200ms\"")
            #expect(cpu?.message == "cpu of 'slow' is 300ms, but plugin.toml limits it to 200ms" && cpu?.line == 2)
            #expect(cpu?.hint?.contains("set cpu = \"300ms\" under [limits]") == true && cpu?.code == .denied)
            let wait = await refusal("wait = \"10s\"")
            #expect(wait?.message == "timeout of 'slow' is 20s, but plugin.toml limits it to 10s", "\(String(describing: wait))")
            #expect(wait?.hint?.contains("set wait = \"20s\"") == true)
            try await rig.host.load("bounded", source: source, manifest: "[limits]\ncpu = \"300ms\"\nwait = \"20s\"")
            try await rig.host.load("unbounded", source: source.replacing("20s", with: "2m").replacing("300ms", with: "2s"))
        }
    }

    @Test func `a misspelt name of the API is told with the one that was meant`() async throws {
        try await Rig.run { rig in
            let error = await #expect(throws: PluginError.self) { try await rig.host.load("typo", source: "\nbus.subscrbe('a', print)") }
            #expect(error?.hint == "did you mean bus.subscribe?" && error?.line == 2, "\(String(describing: error))")
            let source = #"bus.subscribe("go", { retry = { attempts = 1 } }, function() return kv.gett("a") end)"#
            try await rig.host.load("late", source: source)
            let fault = try await rig.settle("go").results.first?.error
            #expect(fault?.message == "attempt to call a nil value (field 'gett'); did you mean kv.get?", "\(String(describing: fault))")
        }
    }

    @Test func `a plugin of one file is called by its file's name, in tracebacks, too`() async throws {
        files.write(
            """
            local function inner() error("no") end
            bus.subscribe("go", { retry = { attempts = 1 } }, function() inner() end)
            bus.subscribe("ask", function() return select(2, pcall(inner)) end)
            """, to: "hello.lua")
        files.write("bus.sub(", to: "broken.lua")
        try await Rig.run(files: files) { rig in
            let fault = try #require(try await rig.settle("go").results.first?.error)
            #expect(fault.file == "hello.lua" && fault.line == 1)
            #expect(fault.traceback?.contains("hello.lua:1: in ") == true, "\(fault.traceback ?? "")")
            #expect(fault.traceback?.contains("main.lua") == false)
            #expect(try await rig.answer("ask") == "hello.lua:1: no")
            let error = try #require(await rig.status("broken")?.error)
            #expect(error.file == "broken.lua" && error.excerpt != nil && !error.message.contains("main.lua"), "\(error)")
        }
    }

    @Test func `a schedule or filter that can't be is named with its text and its line, in a loop and in a module`() async throws {
        try await Rig.run { rig in
            let loop = """
                for _, when in ipairs({ "0 7 * * *", "0 99 * * *" }) do
                  pcall(bus.cron, when, print)
                end
                """
            let cron = await #expect(throws: PluginError.self) { try await rig.host.load("loop", source: loop) }
            #expect(cron?.message.hasPrefix(#"schedule "0 99 * * *": '99' is not an hour"#) == true, "\(String(describing: cron))")
            #expect(cron?.line == 2 && cron?.excerpt?.line == 2)
            let module =
                "for _, test in ipairs({ 'prefix', 'prefixx' }) do\n"
                + "  bus.subscribe('a', { name = test, where = { data = { x = { { [test] = 'a' } } } } }, print)\nend"
            files.write("require('rules')", to: "filters/main.lua")
            files.write(module, to: "filters/lib/rules.lua")
            let filter = try #require(try await rig.host.check(folder: files.path).first?.error)
            #expect(filter.message.hasPrefix("where of 'prefixx': ") && filter.file == "filters/lib/rules.lua", "\(filter)")
            #expect(filter.line == 2 && filter.excerpt?.line == 2)
        }
    }

    @Test func `a handler that fails is told with file and line`() async throws {
        files.write(
            "bus.subscribe('go', { retry = { attempts = 1 } }, function(event)\n  return event.data.missing.field\nend)", to: "broken.lua")
        try await Rig.run(files: files) { rig in
            let fault = try #require(try await rig.settle("go", [:]).results.first?.error)
            #expect(fault.file == "broken.lua")
            #expect(fault.line == 2)
            #expect(fault.message.contains("missing"))
        }
    }

    @Test func `a handler that runs for ever is stopped, and gets a lane of its own`() async throws {
        try await Rig.run(lanes: .threads(count: 1)) { rig in
            try await rig.host.load("neighbour", source: #"bus.subscribe("hello", function() return "hello" end)"#)
            try await rig.host.load(
                "hog", source: #"bus.subscribe("hog", { retry = { attempts = 1 } }, function() while true do end end)"#,
                manifest: "[limits]\ncpu = \"50ms\"")
            #expect(try await rig.settle("hog").results.first?.error?.kind == .timeout)
            _ = await rig.notice { if case .restarted = $0.kind { $0.plugin == "hog" } else { false } }
            let (hog, neighbour) = (await rig.status("hog"), await rig.status("neighbour"))
            #expect(hog?.lanes != neighbour?.lanes)
            #expect(try await rig.answer("hello") == "hello")
            #expect(try await rig.settle("hog").results.first?.error?.kind == .timeout)
        }
    }

    @Test func `declarations that the host can't use name their line`() async throws {
        try await Rig.run { rig in
            for (source, part) in [
                ("\nbus.cron('61 * * * *', function() end)", "61"),
                ("\nbus.subscribe('a', { where = { data = { x = { { nummeric = { '>', 1 } } } } } }, function() end)", "nummeric"),
                ("\nbus.cron('0 7 * * *', { tz = 'Mars/Olympus' }, function() end)", "Mars/Olympus"),
            ] {
                let error = await #expect(throws: PluginError.self) { try await rig.host.load("odd", source: source) }
                #expect(error?.line == 2, "\(String(describing: error))")
                #expect(error?.message.contains(part) == true, "\(String(describing: error))")
            }
            #expect(await rig.status("odd")?.state == .failed)
        }
    }

    @Test func `a disabled plugin keeps what it is owed`() async throws {
        try await Rig.run { rig in
            try await rig.host.load("lamp", source: #"bus.subscribe("switch", function(event) return kv.incr("n") end)"#)
            try await rig.host.disable("lamp")
            #expect(await rig.status("lamp")?.state == .disabled)
            for _ in 0..<3 { _ = try await rig.bus.emit(Event(type: EventType("switch"))) }
            try await rig.host.enable("lamp")
            #expect(try await rig.answer("switch") == 4)
        }
    }

    @Test func `names that are none and plugins that aren't there are errors`() async throws {
        try await Rig.run { rig in
            let badName = await #expect(throws: PluginError.self) { try await rig.host.load("Bad Name", source: "return 1") }
            #expect(badName?.code == .badName)
            for call in [rig.host.reload, rig.host.disable, rig.host.unload, rig.host.enable] as [(String) async throws -> Void] {
                let error = await #expect(throws: PluginError.self) { try await call("nobody") }
                #expect(error?.code == .notFound)
            }
        }
    }

    @Test func `a host on a folder that isn't there can't be started`() async throws {
        await #expect(throws: PluginError.self) {
            let files = TemporaryFolder()
            files.makeFolder("gone")
            files.delete("gone")
            try await Rig.run(files: files.below("gone")) { _ in }
        }
    }

    @Test func `an event for the year 9999 waits, and the next one is handled`() async throws {
        try await Rig.run { rig in
            try await rig.host.load(
                "late", source: "bus.subscribe('late', function() bus.emit('later', 1, { at = '9999-12-31T23:59:59Z' }) return 'kept' end)")
            for _ in 1...2 { #expect(try await rig.answer("late") == "kept") }
            #expect(await rig.bus.statistics().delayed == 2)
        }
    }

    /// 100 MB of events: more than any frame may have.
    @Test func `a batch of large events is handed over in parts that fit into a frame`() async throws {
        try await Rig.run { rig in
            let source = """
                bus.subscribe('large', { name = 'large', batch = { count = 1000, within = '1ms' } }, function(events) kv.incr('n', #events) end)
                bus.subscribe('count', function() return kv.get('n') end)
                """
            try await rig.host.load("batches", source: source, manifest: "[limits]\nmemory = \"64MB\"")
            let text = JSON(.string(String(repeating: "x", count: 1_000_000)))
            for _ in 0..<99 { _ = try await rig.bus.emit(Event(type: EventType("large"), data: text)) }
            let last = try await rig.bus.emit(Event(type: EventType("large"), data: text), until: .settled, within: .seconds(20))
            #expect(last.results.map(\.status) == [.done])
            var count: JSONValue?
            repeat { count = try await rig.answer("count") } while (count?.integer ?? 0) < 100
            #expect(count == 100)
        }
    }
}
