internal import MoonbusJournal

extension SQLiteJournal {
    /// How long events are kept that nobody is owed any more.
    ///
    /// An event goes when it is older than `age`, or when the file holds more than `size` bytes; but the last `history` of them stay, and
    /// what somebody is owed always does. It is done in small steps between commits, so that no append waits for it.
    public struct Retention: Sendable, Hashable {
        /// The greatest age of an event that nobody is owed.
        public var age: Duration
        /// Bytes in use in the database file, above which the oldest events go first.
        public var size: Int
        /// Events that are kept in any case, so that they can be read back.
        public var history: Int

        /// Creates a retention; by default a week, or 4 GiB, and at least 10,000 events.
        public init(age: Duration = .seconds(7 * 24 * 3_600), size: Int = 4 << 30, history: Int = 10_000) {
            self.age = age
            self.size = size
            self.history = history
        }
    }

    /// Bounds past which calls are refused with `.full`.
    public struct Limits: Sendable, Hashable {
        /// Events in the log, those that somebody is owed included.
        public var events = Int.max
        /// Bytes of the database file; nil: the disk is the bound.
        public var size: Int?
        /// Dead letters. When there is one more, the oldest goes of the plugin that has most. What went is counted in ``JournalMeasures``.
        public var deadLetters = 10_000
        /// Bytes of dead letters, above which they go likewise.
        public var deadLetterBytes = 1 << 30
        /// Events that wait for their time.
        public var delayed = 100_000
        /// Ids that are remembered for recognising duplicates, rounded up to whole millions: all of the last day, but at most so many. Each
        /// takes 8 bytes of memory.
        public var rememberedIDs = 16 << 20

        /// Creates the default bounds.
        public init() {}

        /// The bounds of dead letters.
        var letters: LetterShares.Bounds { .init(count: deadLetters, size: deadLetterBytes) }
    }

    /// How a journal is opened and kept.
    public struct Options: Sendable, Hashable {
        /// When the structure of the database file is checked while it is opened.
        public enum Check: Sendable, Hashable {
            /// If the file has at most 64 MiB, or was not closed in good order.
            case automatic
            /// Always: reads the whole file.
            case always
            /// Never.
            case never
        }

        /// How long events are kept that nobody is owed any more.
        public var retention = Retention()
        /// Bounds past which calls are refused.
        public var limits = Limits()
        /// When the file's structure is checked at opening.
        public var check = Check.automatic
        /// Opens a journal although something that had been committed is gone; what was given up is recorded in the table `losses`.
        ///
        /// Only after somebody has looked at it: events that were answered "recorded" are missing, or deliveries will be made twice.
        public var acceptsLoss = false

        /// Creates the default options.
        public init() {}
    }
}
