import Foundation
import Glibc
import MoonbusEvents

/// A disk that fails when it is told to, and forgets what was not synced when the power is cut: `Tests/Data/power`, built with `cc`.
///
/// It stands between one process and one folder, by preloading; the folder may be used again by the next process.
struct Disk: Sendable {
    /// What goes wrong; numbers as in `power.h`.
    enum Fault: UInt32, CaseIterable, Sendable {
        case none = 0
        case full
        case writeErrors
        case syncErrors
        case readOnly
        /// Syncs of the write-ahead log do nothing and are said to have worked.
        case lyingSyncs
    }

    private static let sources = repository.appending(path: "Tests/Data/power")
    private let folder: URL
    private let side: URL
    private let tools: URL

    /// Builds it for the journal in `scratch`.
    init(in scratch: Scratch) throws {
        folder = scratch.url.appending(path: "journal")
        side = scratch.url.appending(path: "side")
        tools = scratch.url
        try FileManager.default.createDirectory(at: side, withIntermediateDirectories: true)
        try Self.run("/usr/bin/cc", ["-O1", "-shared", "-fPIC", "-o", library, Self.sources.appending(path: "disk.c").path, "-ldl"])
        try Self.run("/usr/bin/cc", ["-O1", "-o", tools.appending(path: "cut").path, Self.sources.appending(path: "cut.c").path])
        try set(.none)
    }

    private var library: String { tools.appending(path: "disk.so").path }

    /// What the process must be started with.
    var environment: [String: String] { ["LD_PRELOAD": library, "DISK_FOLDER": folder.path, "DISK_SIDE": side.path] }

    /// Lets something go wrong, from now on.
    func set(_ fault: Fault) throws {
        // The file is mapped by the service: it must not be replaced or cut short.
        let file = open(side.appending(path: "control").path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        var value = fault.rawValue
        guard pwrite(file, &value, 4, 0) == 4 else { throw Loopback.Failure(description: "control: \(String(cString: strerror(errno)))") }
    }

    /// Takes back what the process, which is dead, had not synced.
    ///
    /// - Parameter seed: which of it had reached the disk all the same; 0: nothing.
    /// - Returns: how many changes there were, and how many of them have stayed.
    @discardableResult
    func cutPower(seed: UInt64) throws -> (changes: Int, remade: Int) {
        let output = try Self.run(tools.appending(path: "cut").path, [folder.path, side.path, "\(seed)"])
        let counts = try JSON(output).value
        return (Int(counts["changes"]?.integer ?? -1), Int(counts["remade"]?.integer ?? -1))
    }

    @discardableResult
    private static func run(_ tool: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: tool)
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Loopback.Failure(description: "\(tool) ended with \(process.terminationStatus)") }
        return String(decoding: text, as: UTF8.self)
    }
}
