import MoonbusEvents
import MoonbusLane
import Testing

@Suite struct DeclarationTests {
    @Test func `a subscription is declared with all that it says`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            bus.subscribe("orders.*", {
              name = "collect", where = { data = { total = { { numeric = { ">", 100 } } } } }, key = "data.customer", concurrency = 4,
              retry = { attempts = 3, backoff = "250ms", max = 2 }, timeout = "5s", cpu = 0.25,
              batch = { count = 10, within = "1s" }, debounce = "2s", throttle = "1m",
            }, function(event) end)
            bus.subscribe("orders.>", function(event) end)
            """)
        try #require(declared.subscriptions.count == 2)
        let first = declared.subscriptions[0]
        #expect(first.name == "collect")
        #expect(first.pattern.text == "orders.*")
        #expect(first.filter?.value == ["data": ["total": [["numeric": [">", 100]]]]])
        #expect(first.key == "data.customer")
        #expect(first.concurrency == 4)
        #expect(first.retry.attempts == 3)
        #expect(first.retry.backoff == .milliseconds(250))
        #expect(first.retry.backoffMax == .seconds(2))
        #expect(first.timeout == .seconds(5))
        #expect(first.cpuLimit == .milliseconds(250))
        #expect(first.batch == Declarations.Batch(count: 10, within: .seconds(1)))
        #expect(first.debounce == .seconds(2))
        #expect(first.throttle == .seconds(60))
        #expect(first.place == .init(line: 1) || first.place == .init(line: 5))
        #expect(declared.subscriptions[1].name == "orders.>")
        #expect(declared.subscriptions[1].place == .init(line: 6))
        #expect(first.function != declared.subscriptions[1].function)
    }

    @Test func `sources and timers are declared with their schedules`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            bus.source({ name = "beat", every = "10s", missed = "skip", poll = function(cursor) end, result = function(result) end })
            bus.source({ name = "daily", cron = "@daily", tz = "Europe/Vienna", poll = function() end })
            bus.source({ name = "forever", run = function() end })
            bus.every("90s", function() end)
            bus.cron("0 7 * * *", { name = "morning", tz = "UTC", missed = "all" }, function() end)
            """)
        #expect(declared.sources.map(\.missed) == [.skip, .once, .once])
        #expect(declared.timers.map(\.missed) == [.once, .all])
        #expect(declared.sources.map(\.name) == ["beat", "daily", "forever"])
        #expect(declared.sources.map(\.schedule) == [.every(.seconds(10)), .cron("@daily", timezone: "Europe/Vienna"), .run])
        #expect(declared.sources.map { $0.result != nil } == [true, false, false])
        #expect(declared.timers.map(\.name) == ["every-1m30s", "morning"])
        #expect(declared.timers.map(\.schedule) == [.every(.seconds(90)), .cron("0 7 * * *", timezone: "UTC")])
        #expect(declared.timers.map(\.place.line) == [4, 5])
    }

    @Test func `a declaration's place is where the script made it: called by pcall, in a loop, or in a module`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            for _, when in ipairs({ "0 7 * * *", "0 8 * * *" }) do
              pcall(bus.cron, when, print)
            end
            require("rules")
            """, lib: ["rules": "\n\nbus.subscribe('a', print)\nbus.source({ name = 's', run = print })"])
        #expect(declared.timers.map(\.place) == [.init(line: 2), .init(line: 2)])
        #expect(declared.subscriptions.map(\.place) == [.init(file: "lib/rules.lua", line: 3)])
        #expect(declared.sources.map(\.place) == [.init(file: "lib/rules.lua", line: 4)])
    }

    @Test func `errors call main_lua what the host calls it`() throws {
        let host = try TestHost()
        let header: JSONValue = ["main": "hello.lua"]
        let declared = try host.load("bus.subscribe('a', function()\n  error('no')\nend)", header: header)
        #expect(declared.subscriptions[0].place == .init(line: 1))
        let outcome = try host.run(declared.subscriptions[0].function)
        #expect(outcome.json?["file"] == "hello.lua" && outcome.json?["line"] == 2, "\(outcome.text)")
        #expect(outcome.json?["traceback"]?.string?.contains("hello.lua:2: in function <line 1>") == true, "\(outcome.text)")
        let error = try host.refusal("\nerror('no')", header: header, context: 2)
        #expect(error["file"] == "hello.lua" && error["line"] == 2)
    }

    @Test func `declarations without names get different ones, the same each time`() throws {
        let host = try TestHost()
        let main = "for _ = 1, 3 do bus.subscribe('a', function() end) bus.every(1, function() end) end"
        let first = try host.load(main)
        #expect(first.subscriptions.map(\.name) == ["a", "a#2", "a#3"])
        #expect(first.timers.map(\.name) == ["every-1s", "every-1s#2", "every-1s#3"])
        #expect(try host.load(main, context: 2) == first)
    }

    @Test(
        arguments: [
            (#"bus.subscribe("a", { nme = "x" }, print)"#, #"bus.subscribe: unknown option "nme"; did you mean "name"?"#),
            (#"bus.subscribe("a", { timeout = "soon" }, print)"#, #"bus.subscribe: option "timeout": "soon" is not a duration"#),
            (#"bus.subscribe("a", { retry = { atempts = 1 } }, print)"#, #"retry: unknown option "atempts"; did you mean "attempts"?"#),
            (#"bus.subscribe("a", { concurrency = 0 }, print)"#, #"option "concurrency" must be a whole number, 1 to 10000"#),
            (#"bus.subscribe("a", { key = "customer" }, print)"#, #"option "key" must be "type", "subject", or a path"#),
            (#"bus.subscribe("a", { batch = { count = 1 } }, print)"#, #"batch: "within" is missing"#),
            (#"bus.subscribe("a", { where = 1 }, print)"#, #"option "where" must be a table"#),
            (#"bus.subscribe("a..b", print)"#, #"bus.subscribe: "a..b" is not a pattern"#),
            (#"bus.subscribe("a", { name = "x" })"#, "bad argument #3 to 'bus.subscribe' (function expected"),
            (#"bus.subscribe("a", "x", print)"#, "bad argument #2 to 'bus.subscribe' (table expected"),
            (#"bus.subscribe(nil, print)"#, "bad argument #1 to 'bus.subscribe' (string expected"),
            (#"bus.subscribe("a", { name = "no spaces" }, print)"#, #"the name "no spaces" is not 1 to 64"#),
            (#"bus.subscribe("a", { name = "x" }, print) bus.subscribe("b", { name = "x" }, print)"#, #"the name "x" is taken"#),
            (#"bus.every("soon", print)"#, "bad argument #1 to 'bus.every' (duration"),
            (#"bus.every(0, print)"#, "bus.every: the interval must be at least 1ms"),
            (#"bus.cron("", print)"#, "bus.cron: a schedule has 1 to 255 bytes"),
            (#"bus.source({ every = 1, poll = print })"#, "bus.source: a source needs a name"),
            (#"bus.source({ name = "s" })"#, "bus.source: a source has exactly one of"),
            (#"bus.source({ name = "s", every = 1, run = print })"#, "bus.source: a source has exactly one of"),
            (#"bus.source({ name = "s", every = 1 })"#, #"needs a function "poll""#),
            (#"bus.source({ name = "s", every = 1, tz = "UTC", poll = print })"#, #""tz" is for "cron" only"#),
            (#"bus.every(1, { missed = "none" }, print)"#, #"option "missed" must be "skip", "once" or "all""#),
            (#"bus.source({ name = "s", run = print, missed = "all" })"#, #""missed" is for "every" and "cron" only"#),
            (#"bus.source({ name = "s", every = 1, poll = 1 })"#, #"option "poll" must be a function"#),
        ])
    func `a wrong declaration is refused with its line, and what was probably meant`(main: String, message: String) throws {
        let error = try TestHost().refusal("\n\n" + main)
        #expect(error["message"]?.string?.contains(message) == true, "got: \(error["message"]?.string ?? "nothing")")
        #expect(error["line"] == 3)
        #expect(error["file"] == "main.lua")
        #expect(error["kind"] == "error")
    }

    @Test func `a plugin has at most 1,000 subscriptions`() throws {
        let host = try TestHost()
        let declared = try host.load("for i = 1, 1000 do bus.subscribe('a.' .. i, print) end")
        #expect(declared.subscriptions.count == 1_000)
        let error = try host.refusal("for i = 1, 1001 do bus.subscribe('a.' .. i, print) end", context: 2)
        #expect(error["message"]?.string?.contains("at most 1,000") == true)
    }

    @Test func `a plugin has at most 1,000 timers and sources`() throws {
        let host = try TestHost()
        let error = try host.refusal(
            """
            bus.source({ name = "s", run = print })
            for i = 1, 1000 do bus.every(i, print) end
            """)
        #expect(error["message"]?.string?.contains("at most 1,000") == true)
        #expect(error["line"] == 2)
    }

    @Test func `a flood of subscriptions whose errors are swallowed ends at the limit`() throws {
        let host = try TestHost()
        let declared = try host.load("for i = 1, 2000 do pcall(bus.subscribe, 'a.' .. i, print) end")
        #expect(declared.subscriptions.count == 1_000)
    }

    @Test func `what plugin.toml does not allow to subscribe to is refused`() throws {
        let host = try TestHost()
        let header: JSONValue = ["subscribe": ["orders.>"]]
        try host.load(#"bus.subscribe("orders.*.created", print)"#, header: header)
        let error = try host.refusal(#"bus.subscribe("payments.*", print)"#, header: header, context: 2)
        #expect(error["message"]?.string?.contains(#"does not allow to subscribe to "payments.*""#) == true)
    }

    @Test func `nothing is declared after loading`() throws {
        let host = try TestHost()
        let declared = try host.load(#"bus.subscribe("a", function() bus.subscribe("b", function() end) end)"#)
        let outcome = try host.run(declared.subscriptions[0].function)
        #expect(outcome.status == .failed)
        #expect(outcome.text.contains("only while main.lua loads"))
    }
}
