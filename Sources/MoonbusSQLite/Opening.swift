internal import GRDB
internal import GRDBSQLite
internal import Glibc
internal import MoonbusEvents
internal import MoonbusJournal

/// The steps from a folder to a journal that is ready. Each one refuses what the next could only make worse.
///
/// 1. Make the folder, lock it.
/// 2. Compare the write-ahead log with the high-water mark, before SQLite sees it: SQLite would drop what it cannot read.
/// 3. Open the connection: write-ahead log, synchronous=FULL.
/// 4. Check the file's structure, if it is small or was not closed in good order.
/// 5. Bring the tables up to date, read them, copy the log, and note that all is well.
struct Opening {
    let folder: String
    let options: SQLiteJournal.Options
    let clock: any WallClock

    private var path: String { "\(folder)/moonbus.db" }
    private var logPath: String { "\(folder)/moonbus.db-wal" }
    private static let smallSize = 64 << 20

    /// What somebody has agreed to give up.
    struct Loss {
        var reason: String
        var committed: UInt64
    }

    func writer() throws(JournalError) -> Writer {
        let lock = try lockedFolder()
        let isThere = Self.size(of: path) != nil
        var mark = try HighWaterMark(folder: folder)
        var isTaken = false
        defer { if !isTaken { mark.closeFile() } }
        let loss = loss(mark.isNew ? nil : mark.content, isThere: isThere)
        if let loss, !options.acceptsLoss { throw damaged(loss.reason) }
        do {
            if !isThere {
                // The mark before the file: a first opening that is cut short must not look like a file whose mark was lost.
                try mark.note { $0 = .init(end: $0.end) }
                try mark.sync()
                try create()
            }
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            let content = mark.content
            try queue.writeWithoutTransaction { try check($0, wasClosed: content.isClosed) }
            try Schema.migrator.migrate(queue)
            isTaken = true
            let log = CommitLog(mark: mark, path: logPath, end: content.end)
            let history = History(path: path)
            return try Writer(queue: queue, keeping: lock, history: history) { connection in
                try store(connection, log, history, content, loss)
            }
        } catch {
            throw StoreFailure(error).journalError(path: path)
        }
    }

    // MARK: Folder

    private func lockedFolder() throws(JournalError) -> FolderLock {
        if mkdir(folder, 0o700) != 0, errno != EEXIST {
            throw JournalError(
                .unavailable, "\(folder): cannot be made (\(String(cString: strerror(errno)))): check its parent")
        }
        return try FolderLock(folder: folder)
    }

    /// Makes the file before SQLite does: nobody else may read it, and the log takes over its mode.
    private func create() throws(JournalError) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw JournalError(
                .unavailable, "\(path): cannot be created (\(String(cString: strerror(errno)))): check the folder's mount and permissions")
        }
        Glibc.close(file)
        // The names of the new files are synced here; SQLite does so for its own log.
        let directory = open(folder, O_RDONLY | O_CLOEXEC)
        if directory >= 0 {
            fsync(directory)
            Glibc.close(directory)
        }
    }

    private static func size(of path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    // MARK: What was committed, and what is there

    /// Compares the mark (nil: there is none that can be read) with the files.
    func loss(_ mark: HighWaterMark.Content?, isThere: Bool) -> Loss? {
        guard let content = mark else {
            guard isThere, Self.size(of: path) ?? 0 > 0 else { return nil }
            return Loss(reason: "\(folder)/moonbus.mark is missing or unreadable, so nobody can say whether all is there", committed: 0)
        }
        guard isThere else {
            // Nothing was ever committed: the first opening was cut short.
            if content.turn == 0 || content.end == 0 && content.frames == 0 { return nil }
            return Loss(reason: "the file is gone; events up to position \(content.end) had been committed", committed: content.end)
        }
        guard !content.isCheckpointed, content.frames > 0 else { return nil }
        let extent = WriteAheadLog.extent(path: logPath)
        if let extent, extent.salts == content.salts {
            guard extent.frames < content.frames else { return nil }
            return Loss(
                reason: "\(logPath) is readable up to page \(extent.frames), but \(content.frames) had been committed, "
                    + "with events up to position \(content.end)", committed: content.end)
        }
        // Started over after the mark was written: SQLite does so only when all of the log is in the file.
        if let extent, extent.salts.first == content.salts.first &+ 1 { return nil }
        return Loss(
            reason: "\(logPath) is missing or is not the one in which \(content.frames) pages had been committed, "
                + "with events up to position \(content.end)", committed: content.end)
    }

    private func damaged(_ reason: String) -> JournalError {
        JournalError(
            .damaged,
            "\(path): \(reason). Copy the folder; then restore a backup, or accept the loss (acceptsLoss)")
    }

    // MARK: Connection

    private var configuration: Configuration {
        var configuration = Configuration()
        configuration.label = "moonbus journal"
        configuration.foreignKeysEnabled = false
        let sizeMax = options.limits.size
        configuration.prepareDatabase { connection in
            // Not in exclusive locking mode, which would spare four lock calls a transaction, about a hundredth of a commit: a second
            // connection reads, see ``History``.
            try connection.execute(
                sql: """
                    PRAGMA journal_mode = WAL;
                    PRAGMA synchronous = FULL;
                    PRAGMA secure_delete = OFF;
                    PRAGMA cache_size = -16384;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA journal_size_limit = 67108864;
                    """)
            if let sizeMax {
                let pageSize = try Int.fetchOne(connection, sql: "PRAGMA page_size") ?? 4_096
                try connection.execute(sql: "PRAGMA max_page_count = \(max(1, sizeMax / pageSize))")
            }
        }
        return configuration
    }

    /// On the connection as it will be used: what was asked for must be what is there.
    private func check(_ connection: Database, wasClosed: Bool) throws {
        guard try String.fetchOne(connection, sql: "PRAGMA journal_mode") == "wal",
            try Int.fetchOne(connection, sql: "PRAGMA synchronous") == 2
        else {
            throw JournalError(.unavailable, "\(path): SQLite did not take up write-ahead log and synchronous=FULL: check its file system")
        }
        try checkStructure(connection, wasClosed: wasClosed)
        if try Schema.migrator.hasBeenSuperseded(connection) {
            throw JournalError(.incompatible, "\(path): a newer version of Moonbus has written this file: run that version")
        }
    }

    private func store(
        _ connection: Database, _ log: CommitLog, _ history: History, _ content: HighWaterMark.Content, _ loss: Loss?
    ) throws -> Store {
        log.watch(connection)
        let store = try Store.open(connection, path: path, options: options, clock: clock, log: log, history: history, end: content.end)
        try verify(store, connection, content, loss)
        try log.checkpoint(connection)
        return store
    }

    private func checkStructure(_ connection: Database, wasClosed: Bool) throws {
        let isDue =
            switch options.check {
            case .automatic: !wasClosed || (Self.size(of: path) ?? 0) <= Self.smallSize
            case .always: true
            case .never: false
            }
        guard isDue else { return }
        let found = try String.fetchAll(connection, sql: "PRAGMA quick_check(3)")
        if found != ["ok"] { throw StoreFailure.failed(code: SQLITE_CORRUPT, text: found.joined(separator: "; ")) }
    }

    /// The file itself may be older than the mark: a copy that was put back without it.
    private func verify(_ store: Store, _ connection: Database, _ content: HighWaterMark.Content, _ loss: Loss?) throws {
        var loss = loss
        if loss == nil, store.lastFound < content.end {
            loss = Loss(
                reason: "the last event is \(store.lastFound), but events up to position \(content.end) had been committed: "
                    + "the file is older than its mark", committed: content.end)
        }
        guard let loss else { return }
        guard options.acceptsLoss else { throw damaged(loss.reason) }
        try connection.execute(
            sql: "INSERT INTO losses (time, committed, found, reason) VALUES (?, ?, ?, ?)",
            arguments: [clock.now().microseconds, Int64(bitPattern: loss.committed), Int64(bitPattern: store.lastFound), loss.reason])
    }
}
