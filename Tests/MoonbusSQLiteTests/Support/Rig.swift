import Glibc
import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite

/// A journal in a temporary folder, with its calls as async functions.
struct Rig: Sendable {
    let folders: TemporaryFolders
    let folder: String
    let journal: SQLiteJournal

    /// Opens a new journal, or the one in `folder`.
    init(
        _ folder: String? = nil, in folders: TemporaryFolders = TemporaryFolders(), clock: any WallClock = SystemClock(),
        _ change: (inout SQLiteJournal.Options) -> Void = { _ in }
    ) throws(JournalError) {
        var options = SQLiteJournal.Options()
        change(&options)
        self.folders = folders
        self.folder = folder ?? folders.next()
        journal = try SQLiteJournal(folder: self.folder, options: options, clock: clock)
    }

    @discardableResult
    func append(_ ids: [String]) async throws -> [Recorded] {
        let events = try ids.map { try Rig.event($0) }
        return try await withCheckedThrowingContinuation { continuation in journal.append(events) { continuation.resume(with: $0) } }
    }

    func claim(_ name: String) async throws -> Claimed {
        try await withCheckedThrowingContinuation { continuation in
            journal.claim([Claim(name: name)]) { continuation.resume(with: $0.map { $0[0] }) }
        }
    }

    @discardableResult
    func settle(_ settlements: [Settlement]) async throws -> [Settled] {
        try await withCheckedThrowingContinuation { continuation in journal.settle(settlements) { continuation.resume(with: $0) } }
    }

    func read(_ question: JournalQuestion) async throws -> JournalAnswer {
        try await withCheckedThrowingContinuation { continuation in journal.read(question) { continuation.resume(with: $0) } }
    }

    @discardableResult
    func trim(through position: UInt64, owing: [SubscriptionNumber] = []) async throws -> UInt64 {
        try await withCheckedThrowingContinuation { continuation in
            journal.trim(through: position, owing: owing) { continuation.resume(with: $0) }
        }
    }

    @discardableResult
    func pragma(_ text: String) async throws -> Int64 {
        try await withCheckedThrowingContinuation { continuation in journal.pragma(text) { continuation.resume(with: $0) } }
    }

    /// The ids of the events that are there.
    func ids() async throws -> [String] {
        if case .events(let events) = try await read(.events(after: 0, limit: .max)) { events.map(\.event.id) } else { [] }
    }

    func end() async throws -> UInt64 {
        if case .position(let position) = try await read(.end) { position } else { 0 }
    }

    /// The folder as it is now, copied as a crash would leave it.
    func crashed() throws -> String {
        let copy = folders.next()
        precondition(mkdir(copy, 0o700) == 0)
        for name in ["moonbus.db", "moonbus.db-wal", "moonbus.mark"] {
            try Bytes.write(Bytes.read("\(folder)/\(name)"), to: "\(copy)/\(name)")
        }
        return copy
    }

    static func event(_ id: String, size: Int = 100) throws -> Event {
        try Event(
            type: EventType("test.happened"), data: JSON("\"\(String(repeating: "x", count: size))\""), id: id, source: "/test")
    }

    /// The error of a call that must fail.
    static func failure(_ body: () async throws -> Void) async throws -> JournalError? {
        do {
            try await body()
            return nil
        } catch let error as JournalError {
            return error
        }
    }
}

/// Whole files as bytes.
enum Bytes {
    static func read(_ path: String) throws -> [UInt8] {
        let file = open(path, O_RDONLY)
        defer { close(file) }
        var status = stat()
        guard file >= 0, fstat(file, &status) == 0 else { throw FileFailure(path: path) }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        guard pread(file, &bytes, bytes.count, 0) == bytes.count else { throw FileFailure(path: path) }
        return bytes
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(file) }
        guard file >= 0, pwrite(file, bytes, bytes.count, 0) == bytes.count else { throw FileFailure(path: path) }
    }

    static func change(_ path: String, _ change: (inout [UInt8]) -> Void) throws {
        var bytes = try read(path)
        change(&bytes)
        try write(bytes, to: path)
    }

    static func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    struct FileFailure: Error {
        let path: String
    }
}
