import Glibc
import MoonbusLane
import Testing

/// What a lane must not do, done for real in a lane of the built command: the kernel ends the process.
@Suite struct LaneProbeTests {
    @Test(arguments: LaneProbe.allCases.filter { $0 != .none })
    func `a lane that makes a forbidden call dies by SIGSYS`(probe: LaneProbe) async throws {
        let scratch = try Scratch()
        let outcome = try await Executable.run(["lane", "--probe", probe.rawValue], in: scratch.url)
        #expect(outcome.signal == SIGSYS, "status \(outcome.status): \(outcome.errors)")
    }

    @Test func `a lane that does nothing forbidden lives`() async throws {
        let scratch = try Scratch()
        let outcome = try await Executable.run(["lane", "--probe", "none"], in: scratch.url)
        #expect(outcome.signal == nil)
        #expect(outcome.status == 0, "\(outcome.errors)")
    }

    @Test(arguments: [["--probe"], ["--probe", "everything"], ["--probe", "open", "socket"]])
    func `a probe that there is not is refused with 64 and the list`(arguments: [String]) async throws {
        let scratch = try Scratch()
        let outcome = try await Executable.run(["lane"] + arguments, in: scratch.url)
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("open, socket, exec, fork, code, protect, kill, thread, remove, truncate"))
    }
}
