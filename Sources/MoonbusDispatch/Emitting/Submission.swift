internal import MoonbusEvents
internal import MoonbusJournal

/// A batch on its way in, with whom to answer.
struct Submission: Sendable {
    /// What the emitter wants to hear about the recording.
    enum Answer: Sendable {
        case nothing
        case count(@Sendable (Result<SubmittedCount, EmitError>) -> Void)
        case receipts(@Sendable (Result<[Receipt], EmitError>) -> Void)
        /// Only why it was refused: who waits for results hears of the recording with them.
        case refusal(@Sendable (EmitError) -> Void)
    }

    /// Recorded all, in order, or none.
    var events: [Event]
    /// True: a full subscription makes the batch wait in line; false: it is refused.
    var waitsForRoom: Bool
    /// The longest wait for room.
    var recordedWithin: Duration?
    var recorded = Answer.nothing
    /// Gets the receipts with results.
    var settled: (@Sendable ([Receipt]) -> Void)?
    /// How many of them.
    var settledBy = AskRule.everyResult
    /// The longest wait for results.
    var settledWithin: Duration?
    /// True for events that are in the journal as delayed ones: they come due by being recorded, whatever their types are.
    var isDurable = false
    /// Bytes that the intake counts for the batch; 0: the bus's own events, which it doesn't count.
    var size = 0

    init(events: [Event], waitsForRoom: Bool) {
        self.events = events
        self.waitsForRoom = waitsForRoom
    }

    /// Tells the emitter that nothing was recorded.
    func refuse(_ error: EmitError) {
        switch recorded {
        case .nothing: break
        case .count(let answer): answer(.failure(error))
        case .receipts(let answer): answer(.failure(error))
        case .refusal(let answer): answer(error)
        }
    }
}
