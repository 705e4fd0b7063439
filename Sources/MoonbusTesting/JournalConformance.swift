internal import MoonbusEvents
public import MoonbusJournal

/// One suite for all journals: scenarios that each implementation passes, in the words of the ``Journal`` contract.
///
///     @Test(arguments: JournalConformance.scenarios(for: [.survivesReopen]))
///     func `keeps the journal's contract`(scenario: JournalConformance.Scenario) async throws {
///         try await scenario.run(on: JournalConformance.Factory { try SQLiteJournal(folder) })
///     }
///
/// A scenario that fails throws a ``ConformanceFailure``: what was expected, and what came instead.
public struct JournalConformance {
    /// What a journal can do beyond the common contract.
    public struct Features: OptionSet, Sendable {
        /// One bit a feature.
        public let rawValue: Int

        /// Creates a set from its bits.
        public init(rawValue: Int) {
            self.rawValue = rawValue
        }

        /// What is committed is there after the journal has been closed and opened again.
        public static let survivesReopen = Features(rawValue: 1)
        /// Forgets events that nobody is owed, and says `.full` when it can't.
        public static let isBounded = Features(rawValue: 2)
    }

    /// Makes the journals that a scenario needs.
    public struct Factory: Sendable {
        let open: @Sendable (_ eventsMax: Int?) async throws -> any Journal
        let reopen: (@Sendable (any Journal) async throws -> any Journal)?

        /// Creates a factory.
        ///
        /// - Parameters:
        ///   - open: an empty journal; with a bound of that many events, if one is given and the journal is bounded.
        ///   - reopen: closes a journal and opens what it has stored again; needed for ``Features/survivesReopen``.
        public init(
            open: @escaping @Sendable (_ eventsMax: Int?) async throws -> any Journal,
            reopen: (@Sendable (any Journal) async throws -> any Journal)? = nil
        ) {
            self.open = open
            self.reopen = reopen
        }
    }

    /// One sentence of the contract, and how to find out whether it is kept.
    public struct Scenario: Sendable, CustomStringConvertible {
        /// The sentence.
        public let description: String
        /// What the journal must be able to do for it to apply.
        public let needs: Features
        let body: @Sendable (Bench) async throws -> Void

        init(_ description: String, needs: Features = [], _ body: @escaping @Sendable (Bench) async throws -> Void) {
            self.description = description
            self.needs = needs
            self.body = body
        }

        /// Runs the scenario on fresh journals.
        ///
        /// - Throws: ``ConformanceFailure``; or whatever the factory throws.
        public func run(on factory: Factory) async throws {
            try await body(Bench(factory: factory, scenario: description))
        }
    }

    /// The scenarios that apply to a journal with these features.
    public static func scenarios(for features: Features) -> [Scenario] {
        all.filter { features.isSuperset(of: $0.needs) }
    }

    static let all = appending + claiming + settling + straying + stating + delaying + burying + sharing + trimming + reopening
}

/// A sentence of the contract that a journal breaks.
public struct ConformanceFailure: Error, Sendable, CustomStringConvertible {
    /// What was expected, and what came instead.
    public let description: String
}
