import Foundation
import Glibc
import MoonbusEvents
import Synchronization

/// `moonbus run` (or `tail`) while it runs: its output line by line.
final class RunningCommand: Sendable {
    struct Failure: Error, CustomStringConvertible { let description: String }

    private let process: Process
    private let state = Lines()

    /// What came, and who waits for what will come.
    private final class Lines: Sendable {
        struct State {
            var lines: [JSON] = []
            var isOver = false
            var waiting: [Waiting] = []
        }

        struct Waiting: Sendable {
            var matches: @Sendable (JSON) -> Bool
            var continuation: CheckedContinuation<JSON, any Error>
        }

        let state = Mutex(State())

        func came(_ line: JSON) {
            let answered = state.withLock { state in
                state.lines.append(line)
                let answered = state.waiting.filter { $0.matches(line) }
                state.waiting.removeAll { $0.matches(line) }
                return answered
            }
            for waiting in answered { waiting.continuation.resume(returning: line) }
        }

        func ended() {
            let waiting = state.withLock { state in
                state.isOver = true
                defer { state.waiting = [] }
                return state.waiting
            }
            for waiting in waiting {
                waiting.continuation.resume(throwing: Failure(description: "the command ended before that line came"))
            }
        }
    }

    /// Starts the command; its output must be JSON lines.
    init(_ arguments: [String], in folder: URL, environment: [String: String] = [:]) throws {
        process = try Executable.process(arguments, in: folder, environment: environment)
        let stdout = Pipe()
        (process.standardOutput, process.standardInput) = (stdout, FileHandle.nullDevice)
        try process.run()
        let state = self.state
        Thread.detachNewThread {
            var rest = Data()
            while case let more = stdout.fileHandleForReading.availableData, !more.isEmpty {
                rest += more
                while let end = rest.firstIndex(of: 0x0A) {
                    if let line = try? JSON(String(decoding: rest[..<end], as: UTF8.self)) { state.came(line) }
                    rest = Data(rest[rest.index(after: end)...])
                }
            }
            state.ended()
        }
    }

    deinit { if process.isRunning { process.terminate() } }

    /// The first line that matches, of those that came and those to come.
    func line(where matches: @escaping @Sendable (JSON) -> Bool) async throws -> JSON {
        try await withCheckedThrowingContinuation { continuation in
            let answer: Result<JSON, any Error>? = state.state.withLock { state in
                if let line = state.lines.first(where: matches) { return .success(line) }
                if state.isOver { return .failure(Failure(description: "the command ended; it had said: \(state.lines)")) }
                state.waiting.append(Lines.Waiting(matches: matches, continuation: continuation))
                return nil
            }
            if let answer { continuation.resume(with: answer) }
        }
    }

    /// The first line of an event: `ready`, `reloaded`, ….
    func line(_ event: String) async throws -> JSON { try await line { $0.value(at: ["event"])?.string == event } }

    /// Everything that came by now.
    var lines: [JSON] { state.state.withLock { $0.lines } }

    /// Its process, while it runs.
    var processIdentifier: pid_t { process.processIdentifier }

    /// Sends a signal.
    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits for the end.
    ///
    /// - Returns: the exit status.
    func end() async -> Int32 {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                self.process.waitUntilExit()
                continuation.resume(returning: self.process.terminationStatus)
            }
        }
    }

    /// Starts `moonbus run` on a free port and waits until it is ready.
    ///
    /// - Returns: the service and its address.
    static func service(in folder: URL, _ arguments: [String] = []) async throws -> (service: RunningCommand, environment: [String: String])
    {
        let service = try RunningCommand(["run", "--port", "0", "--json"] + arguments, in: folder)
        let ready = try await service.line("ready")
        guard let url = ready.value(at: ["url"])?.string else { throw Failure(description: "no address in \(ready)") }
        return (service, ["MOONBUS_URL": url])
    }
}
