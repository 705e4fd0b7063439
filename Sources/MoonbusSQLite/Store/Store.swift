internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// What is behind a ``SQLiteJournal``: the tables of ``Schema``, and in memory what every call needs of them. Confined to the writer thread.
///
/// | in memory | so that |
/// |---|---|
/// | ``next``, ``first`` | positions are given without asking |
/// | ``ids`` | a duplicate is recognised without an index in the file |
/// | ``records``, ``numbers`` | a settlement that has ended already is recognised, and progress is written once for each commit |
/// | ``delayed`` | an event that comes due is recognised |
/// | ``holdings``, ``letters`` | it is known what a plugin may still hold, and which dead letter goes when there are too many |
/// | ``ages`` | it is known what is a day, or a week, old |
///
/// **Invariant.** Between two transactions the memory says what the file says. Inside one it is ahead of the file, and ``undo`` knows the way
/// back. Nothing else is remembered: everything besides is read from the file when it is asked for (by
/// ``History``, if it may take long), and SQLite's page cache is bounded, too.
final class Store {
    let connection: Database
    let queries: Queries
    let path: String
    let options: SQLiteJournal.Options
    let clock: any WallClock
    let hash: ByteHash

    /// The position that the next event gets.
    var next: UInt64 = 1
    /// The lowest position that is there, if any is.
    var first: UInt64 = 1
    /// The last position of which something was found at opening.
    var lastFound: UInt64 = 0
    var ids = RecordedIDs()
    /// The lowest position whose hash is in the file.
    var oldestID: UInt64 = 1
    /// Rising, at most one a minute: from this position on events were recorded at this time or later.
    var ages: [Age] = []
    /// By number; nil: retired.
    var records: [SubscriptionRecord?] = []
    var numbers: [String: UInt32] = [:]
    var delayed: [ByteHash.Value: Waiting] = [:]
    var nextDelayed: UInt64 = 1
    var holdings = Holdings()
    var letters = LetterShares()
    var forgottenLetterCount = 0
    /// Since the opening.
    var commitCount = 0
    /// No claimed subscription is owed anything at or below it, except what its own record says.
    var passed: UInt64 = 0
    /// There may be something to forget: worth looking when nothing else is to be done.
    var mayForget = false
    var nextSweep = Timestamp(microseconds: 0)

    var undo = Undo()
    let log: CommitLog
    let history: History
    /// Reads are kept back until the log is copied: ``History/hold()``.
    var isHolding = false
    /// The tags of the ids that this transaction has added.
    var tags: [UInt32] = []
    /// The time of the transaction: read once for all its calls.
    var now: Timestamp

    /// The window within which an event with the same source and id is a duplicate.
    static let duplicateWindow = Duration.seconds(24 * 3_600)

    init(
        connection: Database, queries: Queries, path: String, options: SQLiteJournal.Options, clock: any WallClock, hash: ByteHash,
        log: CommitLog, history: History
    ) {
        self.connection = connection
        self.queries = queries
        self.path = path
        self.options = options
        self.clock = clock
        self.hash = hash
        self.log = log
        self.history = history
        now = clock.now()
    }
}

/// A row in `delayed`.
struct Waiting {
    var number: UInt64
    /// Bytes of the record.
    var size: Int
    var plugin: String?
}

/// When positions were given.
struct Age {
    var position: UInt64
    var recorded: Timestamp
}

/// What is known in memory of one subscription.
struct SubscriptionRecord {
    let name: String
    var progress: Progress
    /// What it was before this transaction; nil: it has not moved in it.
    var before: Progress?
    /// Somebody vouches for it since the journal was opened.
    var isClaimed: Bool
}
