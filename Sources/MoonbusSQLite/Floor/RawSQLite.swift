internal import GRDBSQLite
internal import Glibc
package import MoonbusJournal

/// The floor under a journal in SQLite: rows in a write-ahead log with `synchronous=FULL`, and nothing else. For `moonbus bench` only.
///
/// No hashes, no duplicates, no progress, no mark: one prepared INSERT, so many times between BEGIN and COMMIT, by C calls. The same SQLite
/// as the journal's own, so that a ratio is about what the journal adds. Origin: `w4/sqlite.c` of the comparison with other servers.
package struct RawSQLite {
    /// What was done in the time.
    package struct Report {
        /// Rows that were committed.
        package var rows: Int
        /// Seconds.
        package var wall: Double
    }

    private let path: String

    /// - Parameter folder: where the file is made, and removed again.
    package init(folder: String) {
        path = "\(folder)/floor.db"
    }

    /// Commits groups of rows, one after the other.
    ///
    /// - Parameters:
    ///   - group: rows in a commit, 1 or more.
    ///   - size: bytes of each row's blob.
    ///   - seconds: how long.
    /// - Throws: ``JournalError`` `.unavailable` with SQLite's reason.
    package func run(group: Int, size: Int, seconds: Double) throws(JournalError) -> Report {
        var connection: OpaquePointer?
        guard sqlite3_open(path, &connection) == SQLITE_OK else { throw failure(connection) }
        defer {
            sqlite3_close(connection)
            for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) }
        }
        let schema = """
            PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
            CREATE TABLE ev (seq INTEGER PRIMARY KEY, type TEXT NOT NULL, ts INTEGER NOT NULL, body BLOB NOT NULL);
            """
        guard sqlite3_exec(connection, schema, nil, nil, nil) == SQLITE_OK else { throw failure(connection) }
        let begin = try prepare(connection, "BEGIN IMMEDIATE")
        let insert = try prepare(connection, "INSERT INTO ev (type, ts, body) VALUES (?1, ?2, ?3)")
        let commit = try prepare(connection, "COMMIT")
        defer { for statement in [begin, insert, commit] { sqlite3_finalize(statement) } }
        let body = [UInt8](repeating: 101, count: size)
        var rows = 0
        let start = Self.now()
        let isDone = body.withUnsafeBytes { body in
            "order.created".withCString { type in
                while Self.now() < start + seconds {
                    guard step(begin) else { return false }
                    for _ in 0..<group {
                        sqlite3_bind_text(insert, 1, type, 13, nil)
                        sqlite3_bind_int64(insert, 2, Int64(rows))
                        sqlite3_bind_blob(insert, 3, body.baseAddress, Int32(body.count), nil)
                        guard step(insert) else { return false }
                    }
                    guard step(commit) else { return false }
                    rows += group
                }
                return true
            }
        }
        guard isDone else { throw failure(connection) }
        return Report(rows: rows, wall: Self.now() - start)
    }

    private func prepare(_ connection: OpaquePointer?, _ sql: String) throws(JournalError) -> OpaquePointer? {
        var statement: OpaquePointer?
        guard sqlite3_prepare_v2(connection, sql, -1, &statement, nil) == SQLITE_OK else { throw failure(connection) }
        return statement
    }

    private func step(_ statement: OpaquePointer?) -> Bool {
        defer { sqlite3_reset(statement) }
        return sqlite3_step(statement) == SQLITE_DONE
    }

    private func failure(_ connection: OpaquePointer?) -> JournalError {
        JournalError(.unavailable, "\(path): \(String(cString: sqlite3_errmsg(connection))): check the disk, or name another folder")
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
