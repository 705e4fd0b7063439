import Foundation
import Glibc
import MoonbusEvents
import Testing

/// `moonbus events`, `dead` and `kv`, against a running service and against the folder of a stopped one.
@Suite(.timeLimit(.minutes(3))) struct RecordsTests {
    private static let plugin = """
        bus.subscribe("n.given", { name = "take", retry = { attempts = 1 } }, function(event)
          if event.data.n < 0 then error("n is negative") end
          kv.set("last", event.data.n)
          return { last = kv.get("last") }
        end)
        """

    /// A service with one good event, one dead letter and one value.
    private func filled() async throws -> (scratch: Scratch, service: RunningCommand, environment: [String: String]) {
        let scratch = try Scratch()
        try scratch.write(Self.plugin, to: "plugins/numbers.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        for data in [#"{"n":1}"#, #"{"n":-1}"#] {
            _ = try await Executable.run(["emit", "n.given", data, "--wait"], in: scratch.url, environment: environment)
        }
        return (scratch, service, environment)
    }

    private func moonbus(_ words: String..., in scratch: Scratch, _ environment: [String: String] = [:], input: String = "") async throws
        -> Executable.Outcome
    {
        try await Executable.run(words, in: scratch.url, input: input, environment: environment)
    }

    @Test func `data nested as deep as it may be is listed like any other`() async throws {
        let scratch = try Scratch()
        try scratch.write(
            #"bus.subscribe("deep.>", { name = "fail", retry = { attempts = 1 } }, function() error("no") end)"#, to: "plugins/p.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        defer { service.signal(SIGKILL) }
        let deepest = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        _ = try await Executable.run(["emit", "deep.given", deepest, "--wait"], in: scratch.url, environment: environment)
        for look in [["events", "list"], ["dead", "list"], ["dead", "show", "1"], ["replay", "--plugin", "p", "--dry-run"]] {
            let shown = try await Executable.run(look + ["--json"], in: scratch.url, environment: environment)
            #expect(shown.output.contains("deep.given"), "\(look): \(shown.errors)")
        }
    }

    @Test func `a stopped service's folder shows what the running one showed, and is left as it was`() async throws {
        let (scratch, service, environment) = try await filled()
        let looks = [
            ["events", "list", "--json"], ["events", "list", "n.*", "--after", "1", "--json"], ["dead", "list", "--json"],
            ["dead", "show", "1", "--json"], ["kv", "list", "numbers", "--json"], ["kv", "get", "numbers", "last", "--json"],
            ["kv", "get", "numbers", "last"], ["dead", "list"], ["events", "list"],
        ]
        var running: [Executable.Outcome] = []
        for look in looks { running.append(try await Executable.run(look, in: scratch.url, environment: environment)) }
        // Without a clean end: what was committed is in the write-ahead log only.
        service.signal(SIGKILL)
        _ = await service.end()
        for (look, shown) in zip(looks, running) {
            let stopped = try await Executable.run(look + ["--journal", ".moonbus"], in: scratch.url)
            #expect(shown.status == 0)
            #expect(!shown.output.isEmpty)
            #expect(stopped.status == 0)
            #expect(stopped.output == shown.output)
        }
        let (again, _) = try await RunningCommand.service(in: scratch.url)
        again.signal(SIGTERM)
        #expect(await again.end() == 0)
        let files = try FileManager.default.contentsOfDirectory(atPath: scratch.url.appending(path: ".moonbus").path).sorted()
        let clean = try await Executable.run(looks[0] + ["--journal", ".moonbus"], in: scratch.url)
        #expect(clean.output == running[0].output)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.url.appending(path: ".moonbus").path).sorted() == files)
    }

    @Test func `a list may be longer than any event is`() async throws {
        let scratch = try Scratch()
        try FileManager.default.createDirectory(at: scratch.url.appending(path: "plugins"), withIntermediateDirectories: true)
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        let data = #""\#(String(repeating: "x", count: 600 << 10))""#
        for _ in 0..<3 { #expect(try await moonbus("emit", "n.long", "-", in: scratch, environment, input: data).status == 0) }
        #expect(try await moonbus("events", "list", "--json", in: scratch, environment).lines.count == 3)
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
        #expect(try await moonbus("events", "list", "--json", "--journal", ".moonbus", in: scratch).lines.count == 3)
    }

    @Test func `the folder of a running service is refused with 75 and its address`() async throws {
        let (scratch, service, environment) = try await filled()
        let outcome = try await moonbus("dead", "list", "--journal", ".moonbus", in: scratch)
        #expect(outcome.status == 75)
        #expect(outcome.errors.contains("--url \(environment["MOONBUS_URL"] ?? "")"))
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test(arguments: [["dead", "retry", "1"], ["dead", "drop", "1", "--yes"], ["kv", "set", "p", "k", "1"], ["kv", "delete", "p", "k"]])
    func `what would write is refused on a folder, with 64 and what to do`(words: [String]) async throws {
        let scratch = try Scratch()
        let outcome = try await Executable.run(words + ["--journal", ".moonbus"], in: scratch.url)
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("moonbus run --journal .moonbus"))
    }

    @Test func `a folder without a journal is said so, with 65`() async throws {
        let scratch = try Scratch()
        try scratch.write("", to: "empty/notes.txt")
        for folder in ["nowhere", "empty"] {
            for look in [["events", "list"], ["dead", "list"], ["kv", "list", "p"]] {
                let outcome = try await Executable.run(look + ["--journal", folder], in: scratch.url)
                #expect(outcome.status == 65, "\(look) \(folder)")
                #expect(outcome.errors.contains("\(folder): there is no journal in it: name the folder that `moonbus run` shows"))
            }
        }
    }

    @Test func `a journal that lacks commits is shown, with a warning`() async throws {
        let (scratch, service, _) = try await filled()
        service.signal(SIGKILL)
        _ = await service.end()
        let look = ["events", "list", "--json", "--journal", ".moonbus"]
        let whole = try await Executable.run(look, in: scratch.url)
        #expect(whole.status == 0 && whole.errors == "" && !whole.lines.isEmpty)
        try FileManager.default.removeItem(at: scratch.url.appending(path: ".moonbus/moonbus.db-wal"))
        let rest = try await Executable.run(look, in: scratch.url)
        #expect(rest.status == 0, "\(rest.errors)")
        #expect(rest.errors.contains("something that had been committed is missing, what is shown is the rest"), "\(rest.errors)")
        #expect(rest.errors.contains("moonbus.db-wal is missing"), "\(rest.errors)")
    }

    @Test func `a replay of a plugin that is not there ends with 1, as everywhere`() async throws {
        let (scratch, service, environment) = try await filled()
        for mode in ["--dry-run", "--compare", "--live"] {
            let outcome = try await Executable.run(["replay", "--plugin", "nope", mode], in: scratch.url, environment: environment)
            #expect(outcome.status == 1, "\(mode): \(outcome.errors)")
            #expect(outcome.errors.contains("nope"))
        }
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test func `a dead letter is tried again with its data put right, and another one is given up`() async throws {
        let (scratch, service, environment) = try await filled()
        let shown = try await moonbus("dead", "show", "1", in: scratch, environment)
        #expect(shown.output.contains("n is negative"))
        #expect(shown.output.contains("numbers.lua:2"))
        let retried = try await moonbus("dead", "retry", "1", "--edit", "-", in: scratch, environment, input: #"{"n":5}"#)
        #expect(retried.status == 0)
        #expect(try await moonbus("dead", "show", "1", in: scratch, environment).status == 1)
        _ = try await moonbus("emit", "n.given", #"{"n":-2}"#, "--wait", in: scratch, environment)
        // What is due again goes first, so the edited event was handled before this one.
        #expect(try await moonbus("kv", "get", "numbers", "last", in: scratch, environment).output == "5\n")
        let unasked = try await moonbus("dead", "drop", "2", in: scratch, environment)
        #expect(unasked.status == 64)
        #expect(unasked.errors.contains("--yes"))
        #expect(try await moonbus("dead", "drop", "2", "--yes", in: scratch, environment).status == 0)
        #expect(try await moonbus("dead", "list", "--json", in: scratch, environment).output.isEmpty)
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test func `of several letters each is tried, and the first that fails is the exit code`() async throws {
        let (scratch, service, environment) = try await filled()
        // Tried again it fails again, and is then another letter.
        for (verb, id) in [(["retry"], "1"), (["drop", "--yes"], "2")] {
            let outcome = try await Executable.run(["dead"] + verb + ["998", id, "999"], in: scratch.url, environment: environment)
            #expect(outcome.status == 1)
            #expect(outcome.errors.contains("998") && outcome.errors.contains("999"))
            #expect(outcome.output.contains("dead letter \(id) is "), "\(verb): \(outcome.errors)")
            // What is due again goes first.
            _ = try await moonbus("emit", "n.given", #"{"n":3}"#, "--wait", in: scratch, environment)
        }
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test func `an event with the id stream is shown`() async throws {
        let scratch = try Scratch()
        try FileManager.default.createDirectory(at: scratch.url.appending(path: "plugins"), withIntermediateDirectories: true)
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        let url = try #require(environment["MOONBUS_URL"])
        _ = try await Executable.run(
            ["-s", "\(url)/events/n.given?id=stream", "-H", "Content-Type: application/json", "-d", "7"],
            of: URL(filePath: "/usr/bin/curl"),
            in: scratch.url)
        let shown = try await moonbus("events", "show", "stream", "--json", in: scratch, environment)
        #expect(shown.status == 0)
        #expect(shown.output.contains(#""id":"stream""#))
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    /// One search of the service looks at 50,000 events.
    @Test func `what lies behind more events than one search looks at is found`() async throws {
        let scratch = try Scratch()
        try FileManager.default.createDirectory(at: scratch.url.appending(path: "plugins"), withIntermediateDirectories: true)
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        func emit(_ words: String...) async throws {
            let outcome = try await Executable.run(["emit"] + words, in: scratch.url, environment: environment)
            #expect(outcome.status == 0, "\(outcome.errors)")
        }
        try await emit("rare.first", "1")
        try await emit("often", "--count", "51000")
        try await emit("rare.last", "2")
        let looks = [["rare.*"], ["rare.*", "--after", "0"], ["rare.*", "--limit", "1"], ["rare.first", "--since", "1h"], ["rare.none"]]
        let types = [["rare.first", "rare.last"], ["rare.first", "rare.last"], ["rare.last"], ["rare.first"], []]
        func found(_ look: [String], _ environment: [String: String]) async throws -> [String] {
            try await Executable.run(["events", "list", "--json"] + look, in: scratch.url, environment: environment).lines
                .map { try JSON($0).value(at: ["event", "type"])?.string ?? "" }
        }
        for (look, types) in zip(looks, types) { #expect(try await found(look, environment) == types, "\(look)") }
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
        for (look, types) in zip(looks, types) {
            #expect(try await found(look + ["--journal", ".moonbus"], [:]) == types, "\(look)")
        }
    }

    @Test func `a value that an operator changes is what the next handler reads`() async throws {
        let scratch = try Scratch()
        let counter = """
            bus.subscribe("count.asked", { name = "count" }, function() return { count = kv.incr("count") } end)
            """
        try scratch.write(counter, to: "plugins/counter.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        func count() async throws -> String {
            try await moonbus("emit", "count.asked", "--wait", "--json", in: scratch, environment).output
        }
        // The lane has a copy of the value from here on.
        #expect(try await count().contains(#""count":1"#))
        #expect(try await moonbus("kv", "set", "counter", "count", "41", in: scratch, environment).status == 0)
        #expect(try await count().contains(#""count":42"#))
        #expect(try await moonbus("kv", "delete", "counter", "count", in: scratch, environment).status == 0)
        #expect(try await count().contains(#""count":1"#))
        let late = try await moonbus("kv", "set", "counter", "count", "7", "--if-version", "0", in: scratch, environment)
        #expect(late.status == 75)
        #expect(try await moonbus("kv", "set", "nobody", "k", "1", in: scratch, environment).status == 1)
        #expect(try await moonbus("kv", "set", "counter", "k", "{", in: scratch, environment).status == 65)
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }
}
