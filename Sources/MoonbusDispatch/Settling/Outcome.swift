package import MoonbusEvents
package import MoonbusJournal

/// How one run of a delivery ended, as its endpoint says.
package struct Outcome: Sendable {
    /// What became of it.
    package enum Verdict: Sendable {
        /// The handler returned, perhaps with a result.
        case done(JSON?)
        /// It failed: it is tried again by its policy, or dead.
        case failed(Fault)
        /// It refused the event: dead at once.
        case rejected(String)
        /// It wants the event again, that much later; counts as no attempt.
        case retry(Duration)
        /// The run was lost through no fault of its own: due again at once; counts as no attempt.
        case interrupted
    }

    /// Which delivery. One that is unknown, or settled already, is ignored.
    package var delivery: UInt64
    /// What became of it.
    package var verdict: Verdict
    /// What the handler wants; only with `.done`, ignored otherwise.
    package var effects: [Effect]

    /// Creates an outcome.
    package init(delivery: UInt64, _ verdict: Verdict, effects: [Effect] = []) {
        self.delivery = delivery
        self.verdict = verdict
        self.effects = effects
    }
}
