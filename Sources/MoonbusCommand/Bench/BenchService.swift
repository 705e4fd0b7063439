import Glibc
import MoonbusEvents
import NIOCore
import NIOHTTP1

/// `moonbus run` as a process of its own, as a user starts it: its plugins and its journal lie in a folder of the benchmark's.
///
/// Nothing of the environment's or the working folder's settings counts: a figure must not depend on a `moonbus.toml` that happens to be there.
final class BenchService {
    let port: Int
    private let pid: pid_t
    /// What it says. Nobody reads it after the line that says that it is ready: the few lines of a benchmark fit into the pipe.
    private let output: Int32

    /// Starts the service and waits until it is ready.
    ///
    /// - Parameters:
    ///   - folder: `plugins` and `journal` in it are the service's.
    ///   - journal: the name of the journal's folder in it.
    /// - Throws: ``CommandError`` when it can't be started, or ends before it is ready.
    init(in folder: String, journal: String = "journal") throws {
        var pipe: [Int32] = [-1, -1]
        guard Glibc.pipe(&pipe) == 0 else { throw CommandError(.internal, "no pipe: \(systemReason())") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, pipe[1], 1)
        posix_spawn_file_actions_addclose(&actions, pipe[0])
        posix_spawn_file_actions_addclose(&actions, pipe[1])
        let settings = "\(folder)/moonbus.toml"
        try write("# of a benchmark: all defaults\n", to: settings)
        let arguments = [
            "moonbus", "run", "--plugins", "\(folder)/plugins", "--journal", "\(folder)/\(journal)", "--config", settings, "--port", "0",
            "--json",
        ]
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var environment: [UnsafeMutablePointer<CChar>?] = []
        for name in ["PATH", "LD_LIBRARY_PATH", "TMPDIR"] {
            if let value = getenv(name) { environment.append(strdup("\(name)=\(String(cString: value))")) }
        }
        environment.append(nil)
        defer { for variable in environment { free(variable) } }
        var started = pid_t()
        let status = posix_spawn(&started, try ownExecutable(), &actions, nil, &pointers, &environment)
        close(pipe[1])
        do {
            guard status == 0 else { throw CommandError(.internal, "`moonbus run` can't be started: \(String(cString: strerror(status)))") }
            port = try Self.port(from: pipe[0])
        } catch {
            close(pipe[0])
            throw error
        }
        (pid, output) = (started, pipe[0])
    }

    /// Its resident memory in bytes, and that of its lanes.
    var residentBytes: (service: Int, lanes: Int) {
        (CPUTime.residentBytes(of: [pid]), CPUTime.residentBytes(of: CPUTime.children(of: pid)))
    }

    /// Transactions that its journal has committed so far.
    func commitCount() async throws -> Int {
        try await ServiceClient.connect(to: ServiceAddress("http://127.0.0.1:\(port)")) { client in
            let answer = try await client.send(.GET, "/statistics")
            let text = String(decoding: answer.body.readableBytesView, as: UTF8.self)
            guard let count = (try? JSON(text))?.value(at: ["journal", "commits"])?.integer else {
                throw CommandError(.internal, "the service answered \(text)")
            }
            return Int(count)
        }
    }

    /// Ends it and waits for its end.
    func stop() {
        kill(pid, SIGTERM)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        close(output)
    }

    /// The port of the line that says that it is ready.
    private static func port(from pipe: Int32) throws -> Int {
        var text: [UInt8] = []
        var byte: UInt8 = 0
        while read(pipe, &byte, 1) == 1 {
            guard byte == UInt8(ascii: "\n") else {
                text.append(byte)
                continue
            }
            let line = try? JSON(String(decoding: text, as: UTF8.self))
            text.removeAll(keepingCapacity: true)
            guard line?.value(at: ["event"])?.string == "ready", let url = line?.value(at: ["url"])?.string else { continue }
            return try ServiceAddress(url).port
        }
        throw CommandError(.internal, "`moonbus run` ended before it was ready")
    }
}

/// Writes a text file anew.
func write(_ text: String, to path: String) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw CommandError(.cannotCreate, "\(path) can't be made: \(systemReason())") }
    defer { close(file) }
    let bytes = Array(text.utf8)
    guard Glibc.write(file, bytes, bytes.count) == bytes.count else {
        throw CommandError(.cannotCreate, "\(path) can't be written: \(systemReason())")
    }
}
