public import MoonbusEvents
public import MoonbusJournal

/// The journal in one SQLite file: what was answered survives `kill -9` and power loss.
///
///     let journal = try SQLiteJournal(folder: "/var/lib/moonbus")
///     defer { journal.close() }
///
/// **Durable.** Write-ahead log, `synchronous=FULL`: a call is answered when its commit has been synced to the disk, and not before. Calls that
/// come while a commit is synced are committed together (``Writer``). What does not depend on events (a settlement's floor, cursors, state,
/// delayed events, dead letters) lies in the same file and is committed with it: see ``Schema``.
///
/// **One owner.** One process opens a folder (``FolderLock``), one thread has the one connection that writes and copies the log. That also
/// keeps away a bug of SQLite 3.7.0 to 3.51.2 which can lose commits when one connection starts the log over while another copies it.
///
/// **Reads are in nobody's way.** What may take long, history above all, is read by a second connection on a thread of its own
/// (``History``): no append waits for it. A read begins after the commit of what was called before it, and may see what came later.
///
/// **Damage is told.** SQLite drops what follows a damaged page of its log without a word. A ``HighWaterMark`` outside it remembers what was
/// committed; a journal in which less is found is not opened: `.damaged`, unless ``Options/acceptsLoss`` says to go on.
///
/// **Trouble is told, too, and passes.** On a full disk or an I/O error a call fails with `.full` or `.unavailable` and the reason, and has changed
/// nothing; reads go on; calls succeed again as soon as the disk works again.
///
/// | file in the folder | what |
/// |---|---|
/// | `moonbus.db` | ``Schema`` |
/// | `moonbus.db-wal`, `-shm` | SQLite's write-ahead log and its index, while the journal is open or after a crash |
/// | `moonbus.mark` | ``HighWaterMark`` |
/// | `moonbus.lock` | ``FolderLock`` |
///
/// The folder is made with mode 0700, the files with 0600. To copy a journal, close it first and copy all of them.
///
/// Completions run on the journal's threads: one that waits keeps everybody waiting.
public final class SQLiteJournal: Journal {
    private let writer: Writer
    private let path: String

    /// Opens the journal in a folder, or creates it. Blocks until it is ready: about as long as it takes to read the ids of the last day.
    ///
    /// - Throws: ``JournalError`` `.inUse` (another process has it), `.unavailable` (not readable or writable), `.damaged` (something that was
    ///   committed is gone, or the file contradicts itself), `.incompatible` (a newer Moonbus has written it).
    public convenience init(folder: String, options: Options = Options()) throws(JournalError) {
        try self.init(folder: folder, options: options, clock: SystemClock())
    }

    /// Opens a journal that lives by `clock`.
    package init(folder: String, options: Options = Options(), clock: any WallClock) throws(JournalError) {
        path = "\(folder)/moonbus.db"
        writer = try Opening(folder: folder, options: options, clock: clock).writer()
    }

    deinit {
        close()
    }

    /// Does what was asked by now, and closes the file. Later calls fail. Idempotent.
    ///
    /// Waits until the file is closed; called by a completion, it returns at once.
    public func close() {
        writer.close()
    }

    /// See ``Journal/append(_:completion:)``.
    public func append(_ events: [Event], completion: @escaping @Sendable (Result<[Recorded], JournalError>) -> Void) {
        post(.append(events, completion))
    }

    /// See ``Journal/claim(_:completion:)``.
    public func claim(_ claims: [Claim], completion: @escaping @Sendable (Result<[Claimed], JournalError>) -> Void) {
        post(.claim(claims, completion))
    }

    /// See ``Journal/retire(_:completion:)``.
    public func retire(_ names: [String], completion: @escaping @Sendable (Result<Void, JournalError>) -> Void) {
        post(.retire(names, completion))
    }

    /// See ``Journal/settle(_:completion:)``.
    public func settle(_ settlements: [Settlement], completion: @escaping @Sendable (Result<[Settled], JournalError>) -> Void) {
        post(.settle(settlements, completion))
    }

    /// See ``Journal/read(_:completion:)``.
    public func read(_ question: JournalQuestion, completion: @escaping @Sendable (Result<JournalAnswer, JournalError>) -> Void) {
        post(.read(question, completion))
    }

    /// See ``Journal/trim(through:owing:completion:)``.
    public func trim(
        through position: UInt64, owing: [SubscriptionNumber], completion: @escaping @Sendable (Result<UInt64, JournalError>) -> Void
    ) {
        post(.trim(position, owing, completion))
    }

    /// Runs a PRAGMA on the one connection and gives its number: so a test sees how it is set, and makes it fail like a full disk.
    package func pragma(_ text: String, completion: @escaping @Sendable (Result<Int64, JournalError>) -> Void) {
        post(.pragma(text, completion))
    }

    /// Holds a read open on the second connection while `body` runs: so a test makes a read as long as it likes.
    package func whileReading(_ body: @escaping @Sendable () -> Void) {
        post(.whileReading(body))
    }

    private func post(_ call: Call) {
        if !writer.post(call) { call.fail(JournalError(.unavailable, "\(path): the journal is closed: open it again")) }
    }
}

extension JournalError.Code {
    /// A newer version of Moonbus has written the file: use that version, or restore a backup from before.
    public static let incompatible = Self("incompatible")
    /// Another process has the folder: stop it, or ask it.
    public static let inUse = Self("inUse")
}
