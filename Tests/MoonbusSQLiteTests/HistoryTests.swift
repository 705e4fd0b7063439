import Dispatch
import GRDBSQLite
import Glibc
import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite
import MoonbusTesting
import Synchronization
import Testing

/// Reads of history: in nobody's way, and never behind what was called before them.
@Suite(.timeLimit(.minutes(2))) struct HistoryTests {
    @Test func `an append is answered while a read is under way, and so is what is read quickly`() async throws {
        let rig = try Rig()
        try await rig.append(["e1"])
        let read = OpenRead(in: rig)
        await read.hasBegun()
        #expect(try await rig.append(["e2"]) == [Recorded(position: 2)])
        #expect(try await rig.end() == 2)
        let claimed = try await rig.claim("s")
        #expect(try await rig.settle([Settlement(claimed.number, .nothing, .done)]) == [.committed([])])
        read.end()
        #expect(try await rig.ids() == ["e1", "e2"])
    }

    @Test func `a completion that waits keeps back later reads, and no append`() async throws {
        let rig = try Rig()
        try await rig.append(["e1"])
        let gate = DispatchSemaphore(value: 0)
        rig.journal.read(.events(after: 0, limit: 1)) { _ in gate.wait() }
        #expect(try await rig.append(["e2"]) == [Recorded(position: 2)])
        gate.signal()
        #expect(try await rig.ids() == ["e1", "e2"])
    }

    @Test func `a read sees what was called before it, though neither was answered yet`() async throws {
        let rig = try Rig()
        for round in 0..<200 {
            let seen: [String] = try await withCheckedThrowingContinuation { continuation in
                // Posted one after the other from one thread, as a bus does.
                do {
                    rig.journal.append([try Rig.event("e\(round)")]) { _ in }
                } catch {
                    return continuation.resume(throwing: error)
                }
                rig.journal.read(.events(after: UInt64(round), limit: 10)) { answer in
                    continuation.resume(
                        with: answer.map { if case .events(let events) = $0 { events.map(\.event.id) } else { [] } })
                }
            }
            #expect(seen == ["e\(round)"])
        }
    }

    @Test func `under an open read the log grows, and is started over when the read has ended`() async throws {
        let rig = try Rig()
        let log = "\(rig.folder)/moonbus.db-wal"
        try await rig.append(["e1"])
        let read = OpenRead(in: rig)
        await read.hasBegun()
        // Ten pages each: past the length at which no further read may begin.
        for number in 0..<900 { try await rig.append(number, size: 40_000) }
        let long = Bytes.size(log)
        #expect(long > 32 << 20)
        async let later = rig.ids()
        read.end()
        #expect(try await later.count == 901, "reads begin again")
        for number in 900..<1_100 { try await rig.append(number, size: 40_000) }
        #expect(Bytes.size(log) <= long, "what comes next goes to the start of the log")
        rig.journal.close()
        #expect(try await Rig(rig.folder, in: rig.folders).ids().count == 1_101)
    }

    @Test func `reads that follow each other without a break keep the log from growing no longer than their bound`() async throws {
        let rig = try Rig()
        try await rig.append((1...500).map { "e\($0)" })
        let readers = EndlessReads(of: rig.journal)
        for _ in 0..<3 { readers.next() }
        // 64 MB in all.
        for number in 0..<1_600 { try await rig.append(number, size: 40_000) }
        readers.end()
        #expect(readers.count > 10, "they did read")
        #expect(Bytes.size("\(rig.folder)/moonbus.db-wal") < 40 << 20)
    }

    @Test func `a journal that is closed by the completion of a read is closed`() async throws {
        let rig = try Rig()
        try await rig.append(["e1"])
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            rig.journal.read(.events(after: 0, limit: 1)) { answer in
                rig.journal.close()
                continuation.resume(with: answer.map { _ in })
            }
        }
        #expect(try await Rig.failure { try await rig.append(["e2"]) }?.code == .unavailable)
    }

    // MARK: One event

    @Test func `the newest event with an id is found, whoever else used it`() async throws {
        let rig = try Rig()
        try await rig.append((1...500).map { "e\($0)" })
        try await rig.append(Event(type: EventType("test.happened"), id: "e7", source: "/other"))
        try await rig.append(["last"])
        #expect(try await rig.event("e7")?.position == 501)
        #expect(try await rig.event("e8")?.position == 8)
        #expect(try await rig.event("last")?.position == 502)
        #expect(try await rig.event("e501") == nil)
        rig.journal.close()
        let again = try Rig(rig.folder, in: rig.folders)
        #expect(try await again.event("e500")?.position == 500)
        again.journal.close()
        let reader = try SQLiteJournal.Reader(folder: rig.folder)
        #expect(try reader.answer(.event(id: "e7")) == reader.answer(.events(after: 500, limit: 1)))
    }

    @Test func `an event that is kept longer than its id is remembered is found by it`() async throws {
        let clock = ManualClock()
        let rig = try Rig(clock: clock) { $0.retention = .init(age: .seconds(7 * 86_400), size: .max, history: 0) }
        try await rig.append((1...100).map { "old\($0)" })
        try await rig.trim(through: 100)
        clock.advance(by: .seconds(2 * 86_400))
        for number in 1...10 { try await rig.append(["new\(number)"]) }
        #expect(try await rig.event("old50")?.position == 50)
    }

    @Test func `events that were recorded before there were tags are found by their ids`() async throws {
        let rig = try Rig()
        try await rig.append((1...100).map { "e\($0)" })
        rig.journal.close()
        // As an older version would have left it.
        try Self.run("UPDATE ids SET tags = NULL", in: rig.folder)
        let again = try Rig(rig.folder, in: rig.folders)
        try await again.append(["new"])
        #expect(try await again.event("e50")?.position == 50)
        #expect(try await again.event("new")?.position == 101)
        #expect(try await again.event("none") == nil)
    }

    private static func run(_ sql: String, in folder: String) throws {
        var connection: OpaquePointer?
        defer { sqlite3_close(connection) }
        try #require(sqlite3_open("\(folder)/moonbus.db", &connection) == SQLITE_OK)
        try #require(sqlite3_exec(connection, sql, nil, nil, nil) == SQLITE_OK)
    }
}

/// A read that lasts as long as a test wants.
private final class OpenRead: Sendable {
    private let begun = AsyncStream.makeStream(of: Void.self)
    private let gate = DispatchSemaphore(value: 0)

    init(in rig: Rig) {
        rig.journal.whileReading { [begun, gate] in
            begun.continuation.finish()
            gate.wait()
        }
    }

    deinit { gate.signal() }

    func hasBegun() async {
        for await _ in begun.stream {}
    }

    func end() { gate.signal() }
}

/// Reads that each ask for the next one.
private final class EndlessReads: Sendable {
    private let journal: SQLiteJournal
    private let state = Mutex((count: 0, isOver: false))

    init(of journal: SQLiteJournal) { self.journal = journal }

    var count: Int { state.withLock { $0.count } }

    func next() {
        journal.read(.events(after: 0, limit: 500)) { _ in
            let isOver = self.state.withLock { state in
                state.count += 1
                return state.isOver
            }
            if !isOver { self.next() }
        }
    }

    func end() { state.withLock { $0.isOver = true } }
}

extension Rig {
    fileprivate func append(_ number: Int, size: Int) async throws {
        try await append(Rig.event("n\(number)", size: size))
    }

    fileprivate func append(_ event: Event) async throws {
        _ = try await withCheckedThrowingContinuation { continuation in journal.append([event]) { continuation.resume(with: $0) } }
    }

    fileprivate func event(_ id: String) async throws -> RecordedEvent? {
        if case .events(let events) = try await read(.event(id: id)) { events.first } else { nil }
    }
}

extension Bytes {
    fileprivate static func size(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }
}
