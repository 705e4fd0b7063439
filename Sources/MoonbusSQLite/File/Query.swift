internal import GRDB
internal import GRDBSQLite
internal import MoonbusEvents

/// A prepared statement that is bound and read without copies.
///
/// GRDB prepares it and owns it; binding and stepping go to SQLite directly. GRDB's own `execute(arguments:)` wraps each argument into a
/// `DatabaseValue`, copies each blob and checks the arguments' names, for every row: that costs more than the insertion itself.
///
/// A blob or text that was bound is only looked at by the next `step()`: it has to live until then, and no longer.
/// Not thread-safe: whoever holds the connection uses it.
struct Query {
    private let statement: Statement
    private let handle: OpaquePointer

    init(_ connection: Database, _ sql: String) throws(StoreFailure) {
        do {
            statement = try connection.makeStatement(sql: sql)
        } catch {
            throw StoreFailure(error)
        }
        handle = statement.sqliteStatement
    }

    // MARK: Binding; parameters count from 1

    @inline(__always)
    func bind(_ value: Int64, at index: Int32) {
        sqlite3_bind_int64(handle, index, value)
    }

    @inline(__always)
    func bind(_ value: UInt64, at index: Int32) {
        sqlite3_bind_int64(handle, index, Int64(bitPattern: value))
    }

    @inline(__always)
    func bind(_ value: UInt32, at index: Int32) {
        sqlite3_bind_int64(handle, index, Int64(value))
    }

    func bind(_ time: Timestamp?, at index: Int32) {
        if let time { sqlite3_bind_int64(handle, index, time.microseconds) } else { sqlite3_bind_null(handle, index) }
    }

    /// A blob; must live until the statement has been stepped.
    @inline(__always)
    func bind(unsafe bytes: UnsafeRawBufferPointer, at index: Int32) {
        // An empty buffer has no address, and a null pointer would be bound as NULL.
        if bytes.isEmpty {
            sqlite3_bind_zeroblob(handle, index, 0)
        } else {
            sqlite3_bind_blob64(handle, index, bytes.baseAddress, UInt64(bytes.count), nil)
        }
    }

    /// A text; must live until the statement has been stepped.
    func bind(unsafeText bytes: UnsafeRawBufferPointer, at index: Int32) {
        let start = bytes.baseAddress.map { $0.assumingMemoryBound(to: CChar.self) }
        sqlite3_bind_text64(handle, index, start, UInt64(bytes.count), nil, UInt8(SQLITE_UTF8))
    }

    /// A text, copied.
    func bind(_ text: String, at index: Int32) {
        text.withUTF8Bytes { bytes in
            let start = bytes.baseAddress.map { $0.assumingMemoryBound(to: CChar.self) }
            sqlite3_bind_text64(handle, index, start, UInt64(bytes.count), Self.copied, UInt8(SQLITE_UTF8))
        }
    }

    func bindNull(at index: Int32) {
        sqlite3_bind_null(handle, index)
    }

    /// SQLITE_TRANSIENT, a macro that Swift does not see: SQLite makes its own copy.
    private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    // MARK: Running

    /// - Returns: true if there is a row.
    @inline(__always)
    func step() throws(StoreFailure) -> Bool {
        let status = sqlite3_step(handle)
        if status == SQLITE_ROW { return true }
        if status == SQLITE_DONE { return false }
        let failure = StoreFailure(connection: sqlite3_db_handle(handle))
        sqlite3_reset(handle)
        throw failure
    }

    /// Makes it ready for the next time. What was bound stays bound.
    @inline(__always)
    func reset() {
        sqlite3_reset(handle)
    }

    /// Steps to the end of a statement that gives no rows, and makes it ready for the next time.
    @inline(__always)
    func run() throws(StoreFailure) {
        _ = try step()
        sqlite3_reset(handle)
    }

    /// Calls `body` for each row, until it returns false.
    func forEachRow(_ body: () throws(StoreFailure) -> Bool) throws(StoreFailure) {
        defer { reset() }
        while try step() {
            guard try body() else { return }
        }
    }

    /// The first column of the first row; 0 if there is no row or it is NULL.
    func number() throws(StoreFailure) -> Int64 {
        defer { reset() }
        return try step() ? int(0) : 0
    }

    // MARK: Reading the row; columns count from 0

    @inline(__always)
    func int(_ column: Int32) -> Int64 {
        sqlite3_column_int64(handle, column)
    }

    func unsigned(_ column: Int32) -> UInt64 {
        UInt64(bitPattern: sqlite3_column_int64(handle, column))
    }

    func isNull(_ column: Int32) -> Bool {
        sqlite3_column_type(handle, column) == SQLITE_NULL
    }

    func time(_ column: Int32) -> Timestamp? {
        isNull(column) ? nil : Timestamp(microseconds: int(column))
    }

    func text(_ column: Int32) -> String {
        withBytes(column) { String(decoding: $0, as: UTF8.self) }
    }

    /// The bytes of a blob or text, in place.
    @inline(__always)
    func withBytes<Value, Failure: Error>(_ column: Int32, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value) throws(Failure)
        -> Value
    {
        let start = sqlite3_column_blob(handle, column)
        return try body(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
    }
}
