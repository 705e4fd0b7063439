internal import GRDB
internal import GRDBSQLite
internal import MoonbusJournal

/// The write-ahead log from outside: how full it is, and the ``HighWaterMark`` that is kept of it.
///
/// Confined to the writer thread.
final class CommitLog {
    private var mark: HighWaterMark
    private let path: String
    /// Frames in the log after the last commit, and whether that has been noted; SQLite's hook writes both.
    private let frames: UnsafeMutablePointer<Int32>
    private var isNoted: Bool {
        get { frames[1] == 0 }
        set { frames[1] = newValue ? 0 : 1 }
    }
    /// Which filling of the log it is; nil: it may have been started over since we looked.
    private var salts: WriteAheadLog.Salts?
    private var end: UInt64
    /// Frames at the start of this filling that are in the database file, too.
    private var copied: Int32 = 0
    /// The length at which copying is tried again after a read was in the way.
    private var retryLength: Int32 = 0
    /// Copying has failed since the last commit.
    private var isPostponed = false
    /// Why the mark of the last commit could not be written. The next commit has to wait until it can: it would not be watched over.
    private var failure: JournalError?
    private let clock: () -> ContinuousClock.Instant = { ContinuousClock.now }
    private var synced = ContinuousClock.now

    /// Frames after which the log is copied into the database file even if calls wait: 8 MiB, some 10 ms.
    static let framesMax: Int32 = 2_048
    /// The length from which on reads are kept back until the log can be started over: 32 MiB.
    private static let overlong: Int32 = 8_192
    /// Frames that are worth copying when nothing else is to be done.
    static let framesWorthwhile: Int32 = 512
    /// The greatest age of a mark that is not synced.
    private static let syncEvery = Duration.milliseconds(100)

    /// - Parameter path: of the write-ahead log.
    init(mark: HighWaterMark, path: String, end: UInt64) {
        self.mark = mark
        self.path = path
        self.end = end
        frames = .allocate(capacity: 2)
        frames.initialize(repeating: 0, count: 2)
    }

    deinit {
        frames.deallocate()
        mark.closeFile()
    }

    /// Frames in the log that are not in the database file yet, and can be copied now as far as we know.
    var behindCount: Int32 { isPostponed ? 0 : max(0, frames.pointee - copied) }
    /// It is time to copy, whoever waits.
    var isFull: Bool { behindCount >= Self.framesMax && frames.pointee >= retryLength }
    /// Reads have kept it from being started over for too long.
    var isOverlong: Bool { behindCount > 0 && frames.pointee >= Self.overlong }
    /// A mark was written and is not synced.
    var isMarkDirty: Bool { mark.isDirty }
    /// Something in the log is not in the database file yet.
    var isBehind: Bool { !mark.content.isCheckpointed }

    /// Hears of each commit on a connection. With a hook of ours SQLite does not copy the log by itself: that is ``checkpoint(_:)``'s.
    func watch(_ connection: Database) {
        sqlite3_wal_hook(
            connection.sqliteConnection,
            { frames, _, _, count in
                guard let frames = frames?.assumingMemoryBound(to: Int32.self) else { return SQLITE_OK }
                frames[0] = count
                frames[1] = 1
                return SQLITE_OK
            }, frames)
    }

    /// Notes that a commit has been synced. It cannot fail: what is committed is committed. See ``retryIfFailed()``.
    ///
    /// - Parameter end: the last position given.
    func committed(end: UInt64) {
        self.end = end
        // A transaction that changed nothing has written nothing to the log.
        if isNoted { return }
        isNoted = true
        isPostponed = false
        // It was started over: as long as nothing is copied of it, every commit makes it longer.
        if frames.pointee < copied { (copied, retryLength) = (0, 0) }
        do throws(JournalError) {
            try note()
            if clock() - synced > Self.syncEvery { try sync() }
        } catch {
            failure = error
        }
    }

    /// Writes the mark that could not be written, if there is one: before anything else is committed.
    func retryIfFailed() throws(JournalError) {
        guard failure != nil else { return }
        try note()
        try sync()
        failure = nil
    }

    func sync() throws(JournalError) {
        try mark.sync()
        synced = clock()
    }

    /// Copies the log into the database file, as far as no read is in the way. Once all of it is copied the next commit starts it over,
    /// unless a read began before that.
    func checkpoint(_ connection: Database) throws(StoreFailure) {
        var (total, copied): (Int32, Int32) = (0, 0)
        let status = sqlite3_wal_checkpoint_v2(connection.sqliteConnection, nil, SQLITE_CHECKPOINT_PASSIVE, &total, &copied)
        guard status == SQLITE_OK else { throw StoreFailure(connection: connection.sqliteConnection) }
        self.copied = max(0, copied)
        guard total == copied else {
            retryLength = total + Self.framesWorthwhile
            return
        }
        salts = nil
        do throws(JournalError) {
            try mark.note { [end] in
                $0.isCheckpointed = true
                $0.end = end
            }
            // Before the log is written over: a mark that still spoke of the old filling would call that a loss.
            try sync()
        } catch {
            failure = error
        }
    }

    /// Tries again only after another commit.
    func postponeCheckpoint() {
        isPostponed = true
    }

    /// Notes that the journal is closed in good order: after the last checkpoint.
    func closed() throws(JournalError) {
        try retryIfFailed()
        try mark.note { $0.isClosed = true }
        try sync()
    }

    private func note() throws(JournalError) {
        if salts == nil { salts = WriteAheadLog.salts(path: path) }
        guard let salts else {
            throw JournalError(.unavailable, "\(path): the write-ahead log cannot be read: check the disk, then try again")
        }
        try mark.note { [end, frames] in
            $0.salts = salts
            $0.frames = UInt32(max(0, frames.pointee))
            $0.isCheckpointed = false
            $0.isClosed = false
            $0.end = end
        }
    }
}
