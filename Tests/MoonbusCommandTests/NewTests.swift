import Foundation
import Testing

@testable import MoonbusCommand

@Suite struct NewTests {
    @Test(arguments: [[], ["--folder"]])
    func `a new plugin can be checked, and says what to do next`(flags: [String]) async throws {
        let scratch = try Scratch()
        let made = try await Executable.run(["new", "greeter"] + flags, in: scratch.url)
        #expect(made.status == 0)
        #expect(made.output.contains("moonbus run"))
        #expect(made.output.contains("moonbus check\n"))
        #expect(!made.output.contains("\u{1B}"))
        #expect(FileManager.default.fileExists(atPath: scratch.url.appending(path: "plugins/.luals/moonbus.lua").path))
        let checked = try await Executable.run(["check"], in: scratch.url)
        #expect(checked.status == 0)
        #expect(checked.output.contains("greeter"))
    }

    @Test(arguments: [[], ["--folder"]])
    func `nothing is ever overwritten`(flags: [String]) async throws {
        let scratch = try Scratch()
        try scratch.write("-- mine", to: "plugins/greeter.lua")
        let outcome = try await Executable.run(["new", "greeter"] + flags, in: scratch.url)
        #expect(outcome.status == 73)
        #expect(outcome.errors.contains("greeter.lua"))
        #expect(try String(contentsOf: scratch.url.appending(path: "plugins/greeter.lua"), encoding: .utf8) == "-- mine")
        #expect(!FileManager.default.fileExists(atPath: scratch.url.appending(path: "plugins/greeter").path))
    }

    @Test func `where no folder can be made the status is 73`() async throws {
        let scratch = try Scratch()
        try scratch.write("a file", to: "plugins")
        let outcome = try await Executable.run(["new", "greeter"], in: scratch.url)
        #expect(outcome.status == 73)
        #expect(outcome.errors.contains("plugins"))
    }

    @Test func `the annotations in the binary are those of the plugins folder`() throws {
        let shipped = try String(contentsOf: repository.appending(path: "plugins/.luals/moonbus.lua"), encoding: .utf8)
        #expect(annotations == shipped, "run scripts/annotations")
    }
}
