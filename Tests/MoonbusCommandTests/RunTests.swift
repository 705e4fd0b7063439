import Foundation
import MoonbusEvents
import Testing

@Suite(.timeLimit(.minutes(2))) struct RunTests {
    private static let hello = """
        bus.subscribe("hello.asked", { name = "greet" }, function(event)
          bus.emit("hello.greeted", { name = event.data.name })
          return { text = "Hello, " .. event.data.name }
        end)
        """
    private static let ask = ["emit", "hello.asked", #"{"name":"Ada"}"#, "--wait"]

    @Test func `events go in by emit, come out at tail, and SIGTERM ends it with 0`() async throws {
        let scratch = try Scratch()
        try scratch.write(Self.hello, to: "plugins/hello.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        let tail = try RunningCommand(["tail", "hello.greeted", "--json", "--count", "1"], in: scratch.url, environment: environment)
        // A tap shows what comes after it was opened: it is open once it has shown something.
        repeat {
            let outcome = try await Executable.run(Self.ask, in: scratch.url, environment: environment)
            #expect(outcome.status == 0)
            #expect(outcome.output.contains(#""text":"Hello, Ada""#))
        } while tail.lines.isEmpty
        let seen = try await tail.line { $0.value(at: ["type"])?.string == "hello.greeted" }
        #expect(seen.value(at: ["source"])?.string == "/plugins/hello")
        #expect(await tail.end() == 0)
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test func `a saved file is live, and a broken one leaves the old version serving and says why`() async throws {
        let scratch = try Scratch()
        try scratch.write(Self.hello, to: "plugins/hello.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        try scratch.write(Self.hello.replacingOccurrences(of: "Hello, ", with: "Servus, "), to: "plugins/hello.lua")
        _ = try await service.line("reloaded")
        var outcome = try await Executable.run(Self.ask, in: scratch.url, environment: environment)
        #expect(outcome.output.contains("Servus"))
        try scratch.write("bus.subscribe(", to: "plugins/hello.lua")
        let failed = try await service.line("failed")
        #expect(failed.value(at: ["error", "file"])?.string == "hello.lua")
        #expect(failed.value(at: ["error", "line"]) == 1)
        outcome = try await Executable.run(Self.ask, in: scratch.url, environment: environment)
        #expect(outcome.output.contains("Servus"))
        service.signal(SIGINT)
        #expect(await service.end() == 0)
    }

    @Test func `the first run that fails is said with its place, and so is the first one of the next version`() async throws {
        func plugin(_ fault: String) -> String { "\nbus.subscribe('hello.asked', function() error('\(fault)') end)" }
        let scratch = try Scratch()
        try scratch.write(plugin("one"), to: "plugins/hello.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        for fault in ["one", "two"] {
            if fault == "two" {
                try scratch.write(plugin(fault), to: "plugins/hello.lua")
                _ = try await service.line("reloaded")
            }
            let outcome = try await Executable.run(["emit", "hello.asked"], in: scratch.url, environment: environment)
            #expect(outcome.status == 0)
            let said = try await service.line { $0.value(at: ["fault"])?.string?.contains(fault) == true }
            #expect(said.value(at: ["text"])?.string?.contains(fault == "one" ? "attempt 1 of 5" : "of 5") == true)
            #expect(said.value(at: ["fault"])?.string?.contains("hello.lua:2") == true)
        }
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test func `what can't be loaded at the start is said with its place, and the others serve`() async throws {
        let scratch = try Scratch()
        try scratch.write(Self.hello, to: "plugins/hello.lua")
        try scratch.write("local x =\nbus.subscribe(", to: "plugins/broken.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        let failed = try await service.line("failed")
        #expect(failed.value(at: ["plugin"])?.string == "broken")
        #expect(failed.value(at: ["error", "file"])?.string == "broken.lua")
        #expect(failed.value(at: ["error", "line"]) == 2)
        let outcome = try await Executable.run(Self.ask, in: scratch.url, environment: environment)
        #expect(outcome.output.contains("Hello, Ada"))
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test func `a port that is taken is said so, with 73, and the other service goes on`() async throws {
        let scratch = try Scratch()
        try scratch.write(Self.hello, to: "plugins/hello.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        let port = try #require(environment["MOONBUS_URL"]?.split(separator: ":").last.map(String.init))
        let second = try await Executable.run(["run", "--port", port, "--journal", "memory"], in: scratch.url)
        #expect(second.status == 73)
        #expect(second.errors.contains("port \(port)"))
        #expect(second.errors.contains("--port"))
        let emitted = try await Executable.run(["emit", "x", "1"], in: scratch.url, environment: environment)
        #expect(emitted.status == 0)
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test(arguments: [["--host", "0.0.0.0"], ["--plugins", "nowhere"], ["--config", "nowhere.toml"]])
    func `settings that can't be are refused with 78`(arguments: [String]) async throws {
        let scratch = try Scratch()
        try scratch.write(Self.hello, to: "plugins/hello.lua")
        let outcome = try await Executable.run(["run", "--port", "0"] + arguments, in: scratch.url)
        #expect(outcome.status == 78)
        #expect(!outcome.errors.isEmpty)
    }

    @Test(arguments: [("MOONBUS_PORT", "MOONBUS_HTTP_PORT"), ("MOONBUS_LANE", "MOONBUS_LANES"), ("MOONBUS_QQQQ", "MOONBUS_ISOLATION")])
    func `a variable of the environment that is no setting is refused with 78 and the nearest one`(name: String, near: String) async throws
    {
        let scratch = try Scratch()
        let outcome = try await Executable.run(["run", "--port", "0"], in: scratch.url, environment: [name: "1"])
        #expect(outcome.status == 78)
        #expect(outcome.errors.contains("\(name) is not a setting"))
        #expect(outcome.errors.contains(near))
    }

    @Test func `variables that other verbs read, and empty ones, are no mistakes`() async throws {
        let scratch = try Scratch()
        let others = ["MOONBUS_URL": "x", "MOONBUS_PARTS": "x", "MOONBUS_TORTURE_CYCLES": "1", "MOONBUS_QQQQ": ""]
        let outcome = try await Executable.run(["run", "--lanes", "0"], in: scratch.url, environment: others)
        #expect(outcome.status == 64)
    }

    /// The system and the shell both send it when a terminal is closed: the second one must not cut the end short.
    @Test func `SIGHUP, even twice, ends it like SIGTERM`() async throws {
        let scratch = try Scratch()
        // Still at work when the second signal comes.
        try scratch.write(
            #"bus.subscribe("slow", function() log.info("begun") time.sleep("2s") log.info("over") end)"#, to: "plugins/slow.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        _ = try await Executable.run(["emit", "slow"], in: scratch.url, environment: environment)
        _ = try await service.line { $0.value(at: ["text"])?.string == "begun" }
        service.signal(SIGHUP)
        let stopping = try await service.line("stopping")
        #expect(stopping.value(at: ["reason"])?.string == "the terminal was closed")
        service.signal(SIGHUP)
        _ = try await service.line("stopped")
        #expect(service.lines.contains { $0.value(at: ["text"])?.string == "over" })
        #expect(await service.end() == 0)
    }

    @Test func `under nohup SIGHUP is nothing`() async throws {
        let scratch = try Scratch()
        try scratch.write(Self.hello, to: "plugins/hello.lua")
        let script = """
            coproc service { trap '' HUP; exec "$0" run --port 0 --json; }
            pid=$service_PID
            read -r ready <&"${service[0]}"
            kill -HUP "$pid"
            "$0" emit hello.asked '{"name":"Ada"}' --wait --url "$(grep -o 'http://[0-9.:]*' <<<"$ready")"
            kill -TERM "$pid"
            wait "$pid"
            echo "status $?"
            """
        let outcome = try await Executable.run(
            ["-c", script, Executable.url.path], of: URL(filePath: "/bin/bash"), in: scratch.url)
        #expect(outcome.output.contains("Hello, Ada"), "\(outcome.errors)")
        #expect(outcome.output.contains("status 0"))
    }

    @Test(arguments: ["info", "debug"])
    func `debug lines of plugins are shown only with --log-level debug`(level: String) async throws {
        let scratch = try Scratch()
        try scratch.write(
            #"bus.subscribe("a", { name = "say" }, function() log.debug("quiet") log.info("loud") end)"#, to: "plugins/p.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url, ["--log-level", level])
        _ = try await Executable.run(["emit", "a", "--wait"], in: scratch.url, environment: environment)
        _ = try await service.line { $0.value(at: ["text"])?.string == "loud" }
        #expect(service.lines.contains { $0.value(at: ["text"])?.string == "quiet" } == (level == "debug"))
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test func `what is ephemeral is said to be, and what failed of it to be lost`() async throws {
        let scratch = try Scratch()
        try scratch.write(
            #"bus.subscribe("raw.bad", { name = "no" }, function(event) bus.reject("no such thing") end)"#, to: "plugins/no.lua")
        try scratch.write("ephemeral = [\"raw.>\"]\n", to: "moonbus.toml")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        let good = try await Executable.run(["emit", "raw.good", "1", "--wait"], in: scratch.url, environment: environment)
        #expect(good.status == 0)
        #expect(good.output.contains("taken (ephemeral: not recorded); nobody wanted it"))
        let bad = try await Executable.run(["emit", "raw.bad", "1", "--wait"], in: scratch.url, environment: environment)
        #expect(bad.status == 1)
        #expect(bad.errors.contains("1 delivery of ephemeral events was not handled and is lost"))
        #expect(!bad.errors.contains("moonbus dead list"))
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test func `lines of a file are emitted in order, and a bad one is named`() async throws {
        let scratch = try Scratch()
        let list = """
            bus.subscribe("n", { key = "type" }, function(event)
              local list = (kv.get("list") or "") .. event.data.n .. ","
              kv.set("list", list)
              return list
            end)
            """
        try scratch.write(list, to: "plugins/list.lua")
        try scratch.write((1...600).map { "{\"n\": \($0)}\n" }.joined(), to: "good.jsonl")
        try scratch.write("{\"n\": 1}\n{\"n\": }\n", to: "bad.jsonl")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        let good = try await Executable.run(
            ["emit", "n", "--jsonl", "good.jsonl", "--wait", "--json"], in: scratch.url, environment: environment)
        #expect(good.status == 0)
        let last = try JSON(try #require(good.lines.last)).value.object?["results"]?.array?.first?.object?["result"]?.string
        #expect(last == (1...600).map { "\($0)," }.joined())
        let bad = try await Executable.run(["emit", "n", "--jsonl", "bad.jsonl"], in: scratch.url, environment: environment)
        #expect(bad.status == 65)
        #expect(bad.errors.contains("bad.jsonl:2"))
        let piped = try await Executable.run(
            ["emit", "n", "--jsonl", "-"], in: scratch.url, input: "{\"n\":1}\n\n{\"n\":2}", environment: environment)
        #expect(piped.errors.contains("2 events"))
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    /// A supervisor whose log reader ends must not take the service with it.
    @Test func `a service whose output nobody reads any more goes on`() async throws {
        let scratch = try Scratch()
        try scratch.write(#"bus.subscribe("a", { name = "say" }, function() log.info("said") return "served" end)"#, to: "plugins/p.lua")
        let script = """
            coproc service { exec "$0" run --plugins plugins --port 0 --json 2>errors.txt; }
            pid=$service_PID
            read -r ready <&"${service[0]}"
            eval "exec ${service[0]}<&-"
            url=$(grep -o 'http://[0-9.:]*' <<<"$ready")
            for _ in 1 2 3; do timeout 20 "$0" emit a 1 --wait --url "$url"; done
            kill -TERM "$pid"
            wait "$pid"
            echo "status $?"
            cat errors.txt
            """
        let outcome = try await Executable.run(
            ["-c", script, Executable.url.path], of: URL(filePath: "/bin/bash"), in: scratch.url)
        #expect(outcome.output.components(separatedBy: "served").count == 4, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.contains("status 0"))
        #expect(outcome.output.contains("nobody reads the output any more"))
    }

    /// A pager that waits for its user must not hold up handlers, nor the end.
    @Test func `a service whose output is not read goes on, ends in time, and says how many lines are missing`() async throws {
        let scratch = try Scratch()
        // Two megabytes of lines: more than a pipe and the service itself hold.
        try scratch.write(
            #"bus.subscribe("a", { name = "say" }, function(event) for n = 1, 20 do log.info(("x"):rep(1000)) end return event.data end)"#,
            to: "plugins/p.lua")
        let script = """
            mkfifo lines
            sleep 60 <lines & keeper=$!
            "$0" run --plugins plugins --port 0 --json --journal memory >lines 2>errors.txt & pid=$!
            exec 3<lines
            read -r ready <&3
            url=$(grep -o 'http://[0-9.:]*' <<<"$ready")
            seq 100 | timeout 60 "$0" emit a --jsonl - --wait --url "$url" --json | tail -n 1
            "$0" emit a 7 --wait --url "$url" --json
            kill -TERM "$pid"
            timeout 20 tail --pid="$pid" -f /dev/null && echo "ended"
            wait "$pid"
            echo "status $?"
            kill -KILL "$keeper"
            """
        let outcome = try await Executable.run(
            ["-c", script, Executable.url.path], of: URL(filePath: "/bin/bash"), in: scratch.url)
        #expect(outcome.output.contains(#""result":7"#), "\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.hasSuffix("ended\nstatus 0\n"), "\(outcome.output)\(outcome.errors)")
    }

    @Test func `a handler that fails for good makes emit --wait end with 1`() async throws {
        let scratch = try Scratch()
        try scratch.write(#"bus.subscribe("a", function(event) bus.reject("no such thing") end)"#, to: "plugins/no.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url, ["--isolation", "thread"])
        let outcome = try await Executable.run(["emit", "a", "1", "--wait"], in: scratch.url, environment: environment)
        #expect(outcome.status == 1)
        #expect(outcome.output.contains("no such thing"))
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }
}
