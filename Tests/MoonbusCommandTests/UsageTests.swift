import Foundation
import Testing

@Suite struct UsageTests {
    @Test(arguments: [
        ["--no-such-flag"], ["emit"], ["emit", "a..b"], ["emit", "a", "1", "--csv", "x"], ["emit", "a", "--rate", "0"],
        ["emit", "a", "--count", "0"],
        ["emit", "a", "--wait", "--timeout", "soon"], ["emit", "a", "--url", "ftp://x"], ["tail", "a..b"], ["tail", "--count", "0"],
        ["new", "Not A Name"], ["new", ""], ["run", "--port", "70000"], ["run", "--lanes", "0"], ["run", "--isolation", "none"],
        ["events", "show", ""], ["kv", "list", ""], ["kv", "get", "p", ""], ["kv", "get", "", "k"], ["kv", "set", "p", "", "1"],
        ["kv", "delete", "p", ""], ["kv", "delete", "p", String(repeating: "k", count: 513)], ["dead", "show", ""], ["dead", "retry"],
        ["dead", "retry", ""], ["dead", "drop", ""], ["replay", "--plugin", "", "--dry-run"], ["new", "-x"], ["new", "--", "-x"],
        ["bench", "nothing"], ["bench", "http", "--lane", "swift"], ["bench", "--count", "0"],
    ])
    func `a command line that can't be is refused with 64 and a reason on standard error`(arguments: [String]) async throws {
        let scratch = try Scratch()
        let outcome = try await Executable.run(arguments, in: scratch.url)
        #expect(outcome.status == 64)
        #expect(outcome.output == "")
        #expect(!outcome.errors.isEmpty)
        #expect(!outcome.errors.contains("\u{1B}"))
    }

    /// Swift would put U+FFFD in their place, and that would be recorded.
    @Test func `an argument that is not UTF-8 is refused with 64 and its number`() async throws {
        let scratch = try Scratch()
        let outcome = try await Executable.run(
            ["-c", #""$0" emit a $'"\xff"' --url http://127.0.0.1:1"#, Executable.url.path], of: URL(filePath: "/bin/bash"), in: scratch.url
        )
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("argument 3 is not UTF-8"))
    }

    @Test(arguments: ["check plugins", "new greeter", "--help", "emit --help"])
    func `output that can't be written ends with 74 and a reason`(words: String) async throws {
        let scratch = try Scratch()
        try scratch.write("", to: "plugins/p.lua")
        let outcome = try await Executable.run(
            ["-c", "\"$0\" \(words) >/dev/full", Executable.url.path], of: URL(filePath: "/bin/bash"), in: scratch.url)
        #expect(outcome.status == 74)
        #expect(outcome.errors.contains("the output can't be written: No space left on device"))
        #expect(outcome.errors.split(separator: "\n").count == 1)
    }

    @Test(arguments: [("--help >>out", 74), ("emit --help >>out", 74), ("lane --probe nothing >>out 2>&1", 64)] as [(String, Int32)])
    func `output past the largest size that a file may have ends with a status, not with a signal`(words: String, status: Int32)
        async throws
    {
        let scratch = try Scratch()
        try scratch.write(String(repeating: "x", count: 1_024), to: "out")
        let outcome = try await Executable.run(
            ["-c", "ulimit -f 1; \"$0\" \(words)", Executable.url.path], of: URL(filePath: "/bin/bash"), in: scratch.url)
        #expect(outcome.signal == nil && outcome.status == status, "\(outcome)")
        if status == 74 { #expect(outcome.errors.contains("the output can't be written: File too large")) }
    }

    @Test(arguments: [
        ["emit", "a", "{"], ["emit", "a", "@missing.json"], ["emit", "a", "--csv", "missing.csv"], ["emit", "a", "--csv", "."],
        ["check", "nowhere"],
    ])
    func `bad data is refused with 65`(arguments: [String]) async throws {
        let scratch = try Scratch()
        let outcome = try await Executable.run(arguments, in: scratch.url)
        #expect(outcome.status == 65)
    }

    @Test(arguments: [["emit", "a", "1"], ["tail"]])
    func `where no service answers the status is 69 and the remedy is said`(arguments: [String]) async throws {
        let scratch = try Scratch()
        let outcome = try await Executable.run(arguments, in: scratch.url, environment: ["MOONBUS_URL": "http://127.0.0.1:1"])
        #expect(outcome.status == 69)
        #expect(outcome.errors.contains("moonbus run"))
    }

    @Test func `with --json an error is a JSON line`() async throws {
        let scratch = try Scratch()
        let outcome = try await Executable.run(["emit", "a", "1", "--json", "--url", "http://127.0.0.1:1"], in: scratch.url)
        #expect(outcome.errors.hasPrefix(#"{"error":{"code":69,"#))
    }

    @Test(arguments: [["--help"], ["--version"], ["help", "run"], ["emit", "--help"]])
    func `help and version end with 0`(arguments: [String]) async throws {
        let scratch = try Scratch()
        let outcome = try await Executable.run(arguments, in: scratch.url)
        #expect(outcome.status == 0)
        #expect(!outcome.output.isEmpty)
    }
}
