internal import GRDB
internal import GRDBSQLite
internal import MoonbusJournal

/// Why the store did not do what it was asked.
enum StoreFailure: Error {
    /// The journal's own answer to one call: nothing of that call was written, and the transaction goes on.
    case refused(JournalError)
    /// SQLite failed: the whole transaction is over. An extended result code (the primary one is its low byte), and SQLite's own words.
    case failed(code: Int32, text: String)

    /// What went wrong last on a connection.
    init(connection: OpaquePointer?) {
        self = .failed(code: sqlite3_extended_errcode(connection), text: String(cString: sqlite3_errmsg(connection)))
    }

    /// What a call of GRDB's threw.
    init(_ error: any Error) {
        switch error {
        case let failure as StoreFailure: self = failure
        case let error as JournalError: self = .refused(error)
        case let error as DatabaseError:
            self = .failed(code: error.extendedResultCode.rawValue, text: error.message ?? error.extendedResultCode.description)
        default: self = .failed(code: SQLITE_ERROR, text: "\(error)")
        }
    }

    /// There is no room, on the disk or in the file.
    var isFull: Bool {
        if case .failed(let code, _) = self { code & 0xFF == SQLITE_FULL } else { false }
    }

    /// The failure as the journal's callers see it.
    ///
    /// - Parameter path: the database file.
    func journalError(path: String) -> JournalError {
        switch self {
        case .refused(let error): error
        case .failed(let code, let text): Self.journalError(code: code, text: text, path: path)
        }
    }

    private static func journalError(code: Int32, text: String, path: String) -> JournalError {
        switch code & 0xFF {
        case SQLITE_FULL:
            JournalError(
                .full, "\(path): no room on the disk, or the file may not grow any more (\(text)): make room; no restart is needed")
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            JournalError(
                .damaged,
                "\(path): the file contradicts itself (\(text)): copy the folder, restore a backup or try `sqlite3 \(path) .recover`")
        case SQLITE_READONLY:
            JournalError(
                .unavailable, "\(path): the file cannot be written (\(text)): check mount and permissions; reading goes on")
        case SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_MISUSE, SQLITE_RANGE, SQLITE_SCHEMA:
            JournalError(.misuse, "\(path): the journal's own statement was refused (\(text)): this is a bug, report it")
        default:
            JournalError(
                .unavailable, "\(path): SQLite cannot read or write now (\(text), code \(code)): check the disk; no restart is needed")
        }
    }
}
