import Foundation
import Testing

@Suite struct UsageTests {
    @Test(arguments: [
        ["--no-such-flag"], ["emit"], ["emit", "a..b"], ["emit", "a", "1", "--csv", "x"], ["emit", "a", "--rate", "0"],
        ["emit", "a", "--count", "0"],
        ["emit", "a", "--wait", "--timeout", "soon"], ["emit", "a", "--url", "ftp://x"], ["tail", "a..b"], ["tail", "--count", "0"],
        ["new", "Not A Name"], ["new", ""], ["run", "--port", "70000"], ["run", "--lanes", "0"], ["run", "--isolation", "none"],
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
