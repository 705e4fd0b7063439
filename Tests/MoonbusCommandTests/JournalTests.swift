import Foundation
import Glibc
import MoonbusEvents
import Testing

/// The journal that `moonbus run` keeps, from outside.
@Suite(.timeLimit(.minutes(2))) struct JournalTests {
    private static let counter = """
        bus.subscribe("count.asked", { name = "count" }, function(event)
          return { count = kv.incr("count") }
        end)
        """

    /// Emits one event and returns the count that the handler answers.
    private func count(_ scratch: Scratch, _ environment: [String: String]) async throws -> String {
        let outcome = try await Executable.run(["emit", "count.asked", "--wait", "--json"], in: scratch.url, environment: environment)
        #expect(outcome.status == 0)
        return outcome.output
    }

    @Test(arguments: [SIGTERM, SIGKILL])
    func `what was acknowledged is there after the end, a violent one too`(signal: Int32) async throws {
        let scratch = try Scratch()
        try scratch.write(Self.counter, to: "plugins/counter.lua")
        let (first, environment) = try await RunningCommand.service(in: scratch.url)
        #expect(try await first.line("ready").value(at: ["journal"])?.string == ".moonbus")
        #expect(try await count(scratch, environment).contains(#""count":1"#))
        first.signal(signal)
        _ = await first.end()
        let (second, again) = try await RunningCommand.service(in: scratch.url)
        #expect(try await count(scratch, again).contains(#""count":2"#))
        second.signal(SIGTERM)
        #expect(await second.end() == 0)
    }

    @Test func `in memory nothing survives, and no folder is made`() async throws {
        let scratch = try Scratch()
        try scratch.write(Self.counter, to: "plugins/counter.lua")
        for _ in 0..<2 {
            let (service, environment) = try await RunningCommand.service(in: scratch.url, ["--journal", "memory"])
            #expect(try await count(scratch, environment).contains(#""count":1"#))
            service.signal(SIGTERM)
            #expect(await service.end() == 0)
        }
        #expect(!FileManager.default.fileExists(atPath: scratch.url.appending(path: ".moonbus").path))
    }

    @Test func `a journal that another service has is refused with 75 and that one's process`() async throws {
        let scratch = try Scratch()
        try scratch.write(Self.counter, to: "plugins/counter.lua")
        let (service, _) = try await RunningCommand.service(in: scratch.url)
        let second = try await Executable.run(["run", "--port", "0"], in: scratch.url)
        #expect(second.status == 75)
        #expect(second.errors.contains("in use by process \(service.processIdentifier)"))
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    @Test func `a journal of which something is gone is refused with 74 until somebody accepts the loss`() async throws {
        let scratch = try Scratch()
        try scratch.write(Self.counter, to: "plugins/counter.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        _ = try await count(scratch, environment)
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
        try FileManager.default.removeItem(at: scratch.url.appending(path: ".moonbus/moonbus.db"))
        let refused = try await Executable.run(["run", "--port", "0"], in: scratch.url)
        #expect(refused.status == 74)
        #expect(refused.errors.contains("--accept-loss"))
        let (again, _) = try await RunningCommand.service(in: scratch.url, ["--accept-loss"])
        again.signal(SIGTERM)
        #expect(await again.end() == 0)
    }

    @Test func `a journal that can't be made is refused with 73`() async throws {
        let scratch = try Scratch()
        try scratch.write(Self.counter, to: "plugins/counter.lua")
        try scratch.write("", to: "file")
        let outcome = try await Executable.run(["run", "--port", "0", "--journal", "file"], in: scratch.url)
        #expect(outcome.status == 73)
        #expect(outcome.errors.contains("file/moonbus.lock"))
    }
}
