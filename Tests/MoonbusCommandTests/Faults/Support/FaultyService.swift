import Foundation
import Glibc
import MoonbusEvents

/// `moonbus run` with a journal, made to be killed.
final class FaultyService: Sendable {
    let command: RunningCommand
    let port: Int

    /// Starts it and waits until it is ready.
    ///
    /// - Parameters:
    ///   - scratch: where its journal's folder lies.
    ///   - plugins: its plugins folder.
    ///   - disk: what to put between it and its disk.
    ///   - more: more arguments.
    init(in scratch: Scratch, plugins: URL = FaultyService.ledger, disk: Disk? = nil, _ more: [String] = []) async throws {
        command = try RunningCommand(Self.arguments(plugins: plugins) + more, in: scratch.url, environment: disk?.environment ?? [:])
        let ready = try await command.line("ready")
        guard let url = ready.value(at: ["url"])?.string, let port = url.split(separator: ":").last.flatMap({ Int($0) }) else {
            throw Loopback.Failure(description: "no address in \(ready)")
        }
        self.port = port
    }

    /// The plugin that counts.
    static let ledger = repository.appending(path: "Tests/Data/ledger")

    static func arguments(plugins: URL = ledger) -> [String] {
        ["run", "--port", "0", "--json", "--lanes", "2", "--plugins", plugins.path, "--journal", "journal", "--log-level", "critical"]
    }

    /// Kills it with its lanes, without a word, and waits until they are gone.
    func killAll() async {
        let lanes = lanes
        command.signal(SIGKILL)
        for lane in lanes { kill(lane, SIGKILL) }
        _ = await command.end()
    }

    /// The processes that its plugins run in.
    var lanes: [pid_t] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { Self.parent(of: $0) == command.processIdentifier }
    }

    private static func parent(of process: pid_t) -> pid_t? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8), let end = text.lastIndex(of: ")") else {
            return nil
        }
        // After the name in brackets: state, parent, ….
        return text[end...].split(separator: " ").dropFirst(2).first.flatMap { pid_t($0) }
    }

    /// Ends it in good order.
    ///
    /// - Returns: its exit status.
    func stop() async -> Int32 {
        command.signal(SIGTERM)
        return await command.end()
    }
}
