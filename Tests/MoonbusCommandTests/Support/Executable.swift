import Foundation
import Synchronization
import Glibc

/// The built `moonbus`, which lies beside the test bundle.
enum Executable {
    static var url: URL {
        get throws {
            var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
            let count = readlink("/proc/self/exe", &path, path.count - 1)
            let own = URL(filePath: String(decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self))
            let url = own.deletingLastPathComponent().appending(path: "moonbus")
            guard FileManager.default.isExecutableFile(atPath: url.path) else { throw Missing(path: url.path) }
            return url
        }
    }

    struct Missing: Error, CustomStringConvertible {
        let path: String
        var description: String { "\(path) is not there: swift build makes it" }
    }

    /// How a command ended.
    struct Outcome: Sendable {
        var status: Int32
        /// The signal that it died by; nil when it ended by itself.
        var signal: Int32?
        var output: String
        var errors: String
        /// The output's lines.
        var lines: [String] { output.split(separator: "\n").map(String.init) }
    }

    /// Runs the command, or another program, to its end.
    static func run(
        _ arguments: [String], of program: URL? = nil, in folder: URL, input: String = "", environment: [String: String] = [:]
    ) async throws -> Outcome {
        try await withCheckedThrowingContinuation { continuation in
            // Threads, not tasks: each of these blocks.
            Thread.detachNewThread {
                continuation.resume(
                    with: Result { try runBlocking(arguments, of: program, in: folder, input: input, environment: environment) })
            }
        }
    }

    private static func runBlocking(
        _ arguments: [String], of program: URL?, in folder: URL, input: String, environment: [String: String]
    ) throws -> Outcome {
        let process = try process(arguments, in: folder, environment: environment)
        if let program { process.executableURL = program }
        let (stdin, stdout, stderr) = (Pipe(), Pipe(), Pipe())
        (process.standardInput, process.standardOutput, process.standardError) = (stdin, stdout, stderr)
        try process.run()
        let (output, errors) = (Reading(stdout), Reading(stderr))
        // A command that ends without reading its input must not end the tests.
        signal(SIGPIPE, SIG_IGN)
        try? stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try? stdin.fileHandleForWriting.close()
        let texts = (output.text(), errors.text())
        process.waitUntilExit()
        let signal = process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil
        return Outcome(status: process.terminationStatus, signal: signal, output: texts.0, errors: texts.1)
    }

    static func process(_ arguments: [String], in folder: URL, environment: [String: String]) throws -> Process {
        let process = Process()
        process.executableURL = try url
        process.arguments = arguments
        process.currentDirectoryURL = folder
        // Nothing of the tester's own settings gets in, but where a toolchain's libraries lie may be there only.
        var own = ["PATH": "/usr/bin:/bin"]
        own["LD_LIBRARY_PATH"] = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"]
        process.environment = own.merging(environment) { $1 }
        return process
    }

    /// Reads a pipe to its end on a thread.
    private final class Reading: @unchecked Sendable {
        private var data = Data()
        private let done = DispatchSemaphore(value: 0)

        init(_ pipe: Pipe) {
            Thread.detachNewThread {
                self.data = pipe.fileHandleForReading.readDataToEndOfFile()
                self.done.signal()
            }
        }

        func text() -> String {
            done.wait()
            return String(decoding: data, as: UTF8.self)
        }
    }
}

/// A folder that is gone after the tests.
final class Scratch: Sendable {
    let url: URL
    // Not by `deinit`: a test's last mention of its folder may come before the last use that a service makes of it.
    private static let folders = Mutex<[URL]>([])

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "moonbus-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        Self.folders.withLock { folders in
            if folders.isEmpty { atexit { Scratch.removeAll() } }
            folders.append(url)
        }
    }

    private static func removeAll() {
        for folder in folders.withLock({ $0 }) { try? FileManager.default.removeItem(at: folder) }
    }

    /// Writes a file, with the folders above it.
    func write(_ text: String, to path: String) throws {
        let file = url.appending(path: path)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try text.write(to: file, atomically: true, encoding: .utf8)
    }
}

/// The repository, for the plugins and records that it ships.
let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
