import Foundation
import Glibc
import MoonbusEvents
import Testing

/// `moonbus replay --live` against a running service.
@Suite(.timeLimit(.minutes(3))) struct LiveReplayTests {
    private static let plugin = """
        bus.subscribe("n.given", { name = "take", retry = { attempts = 2, backoff = "1ms" } }, function(event)
          if event.data.n < 0 and kv.get("strict") then error("n is negative") end
          kv.incr("total", event.data.n)
          bus.emit("n.taken", { n = event.data.n })
        end)
        bus.every("1h", { name = "hourly" }, function() end)
        """

    /// A service that has handled 1, 2 and -3.
    private func filled(_ body: (_ folder: URL, _ environment: [String: String]) async throws -> Void) async throws {
        let scratch = try Scratch()
        try scratch.write(Self.plugin, to: "plugins/numbers.lua")
        try scratch.write(
            #"bus.subscribe("n.taken", { name = "note" }, function(event) kv.set(event.id, event.data.n) end)"#, to: "plugins/notes.lua")
        try scratch.write("ephemeral = [\"raw.>\"]\n", to: "moonbus.toml")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        for data in [#"{"n":1}"#, #"{"n":2}"#, #"{"n":-3}"#] {
            _ = try await Executable.run(["emit", "n.given", data, "--wait"], in: scratch.url, environment: environment)
        }
        try await body(scratch.url, environment)
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test func `it has effects, says what it does, and ends with 0`() async throws {
        try await filled { folder, environment in
            let live = try await Executable.run(
                ["replay", "--plugin", "numbers", "--type", "n.>", "--from", "1h", "--live"], in: folder, environment: environment)
            #expect(live.status == 0, "\(live.errors)")
            #expect(live.lines.first?.contains("3 events once more for numbers.take") == true, "\(live.output)")
            #expect(live.lines.last?.contains("is done: 3 done") == true, "\(live.output)")
            let total = try await Executable.run(["kv", "get", "numbers", "total"], in: folder, environment: environment)
            #expect(total.output == "0\n")
            let notes = try await Executable.run(["kv", "list", "notes", "--json"], in: folder, environment: environment)
            #expect(notes.lines.count == 6, "what it emitted is noted under ids of its own: \(notes.output)")
        }
    }

    @Test func `dead letters end it with 1`() async throws {
        try await filled { folder, environment in
            _ = try await Executable.run(["kv", "set", "numbers", "strict", "true"], in: folder, environment: environment)
            let live = try await Executable.run(
                ["replay", "--plugin", "numbers", "--type", "n.given", "--live", "--json"], in: folder, environment: environment)
            #expect(live.status == 1)
            let end = try JSON(try #require(live.lines.last)).value
            #expect(end["state"] == "done")
            #expect(end["dead"] == 1)
            let number = try #require(end["number"]?.integer)
            let letters = try await Executable.run(["dead", "list", "--json"], in: folder, environment: environment)
            #expect(letters.output.contains("numbers.take@replay-\(number)"))
        }
    }

    @Test func `detached it goes on by itself`() async throws {
        try await filled { folder, environment in
            let live = try await Executable.run(
                ["replay", "--plugin", "numbers", "--live", "--detach", "--json"], in: folder, environment: environment)
            #expect(live.status == 0)
            #expect(live.lines.count == 1)
            let begun = try JSON(try #require(live.lines.first)).value
            let number = try #require(begun["number"]?.integer)
            let url = try #require(environment["MOONBUS_URL"])
            var text = ""
            for _ in 0..<200 where !text.contains(#""state":"done""#) {
                text = try await Executable.run(
                    ["-s", "\(url)/plugins/numbers/replays/\(number)"], of: URL(filePath: "/usr/bin/curl"), in: folder
                ).output
            }
            #expect(text.contains(#""done":3"#), "\(text)")
        }
    }

    @Test func `what it cannot do it refuses, and says what to do`() async throws {
        try await filled { folder, environment in
            for (words, status, hint) in [
                ([], 64, ["--dry-run", "--compare", "--live"]), (["--live", "--compare"], 64, ["--dry-run", "--compare", "--live"]),
                (["--live", "--fresh"], 64, ["--fresh"]), (["--live", "--limit", "5"], 64, ["--limit"]),
                (["--dry-run", "--detach"], 64, ["--detach"]), (["--live", "--type", "a..b"], 64, ["not a pattern"]),
                (["--live", "--from", "1h", "--to", "2h"], 64, ["is after"]),
                (["--live", "--type", "raw.x"], 75, ["no subscription for 'raw.x'"]),
                (["--live", "--type", "n.given", "--to", "1h"], 1, ["no event of 'n.given'"]),
            ] as [([String], Int32, [String])] {
                let outcome = try await Executable.run(["replay", "--plugin", "numbers"] + words, in: folder, environment: environment)
                #expect(outcome.status == status, "\(words): \(outcome.errors)")
                for word in hint { #expect(outcome.errors.contains(word), "\(words): \(outcome.errors)") }
            }
            let nobody = try await Executable.run(["replay", "--plugin", "nobody", "--live"], in: folder, environment: environment)
            #expect(nobody.status == 1)
            #expect(nobody.errors.contains("'nobody'"))
            let whole = try await Executable.run(["replay", "--live"], in: folder, environment: environment)
            #expect(whole.status == 64, "the plugin is named: \(whole.errors)")
        }
    }

    @Test func `a plugin that was deleted while the service was down ends its replay`() async throws {
        let scratch = try Scratch()
        try scratch.write(
            #"bus.subscribe("n.given", { name = "take", retry = { attempts = 9, backoff = "1h" } }, function() error("no") end)"#,
            to: "plugins/numbers.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        _ = try await Executable.run(["emit", "n.given"], in: scratch.url, environment: environment)
        let live = try await Executable.run(
            ["replay", "--plugin", "numbers", "--live", "--detach"], in: scratch.url, environment: environment)
        #expect(live.status == 0, "\(live.errors)")
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
        try FileManager.default.removeItem(at: scratch.url.appending(path: "plugins/numbers.lua"))
        let (again, place) = try await RunningCommand.service(in: scratch.url)
        let url = try #require(place["MOONBUS_URL"])
        let list = try await Executable.run(["-s", "\(url)/plugins/numbers/replays"], of: URL(filePath: "/usr/bin/curl"), in: scratch.url)
        #expect(list.output == "[]")
        again.signal(SIGTERM)
        #expect(await again.end() == 0)
    }
}
