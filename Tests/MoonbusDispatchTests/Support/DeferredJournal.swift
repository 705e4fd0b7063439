import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Synchronization

/// An in-memory journal that answers when the test says so, as a journal on a disk does; completions run on the test's thread, not the bus's.
final class DeferredJournal: Journal {
    private struct State {
        var answers: [@Sendable () -> Void] = []
        var refusals = 0
        var retirementRefusals = 0
        var claimRefusals = 0
        var hidesLetters = false
        var damaged: UInt64?
    }

    private let inner: InMemoryJournal
    private let state = Mutex(State())

    init(limits: JournalLimits = .init(), clock: ManualClock) {
        inner = InMemoryJournal(limits: limits, clock: clock)
    }

    /// How many calls wait for their answer.
    var openCount: Int { state.withLock { $0.answers.count } }

    /// Answers everything that was called so far.
    func answer() {
        let answers = state.withLock { state in
            defer { state.answers = [] }
            return state.answers
        }
        for answer in answers { answer() }
    }

    /// Makes the next calls of `settle` fail.
    func refuseSettlements(_ count: Int) {
        state.withLock { $0.refusals = count }
    }

    /// Makes the next calls of `claim` fail.
    func refuseClaims(_ count: Int) {
        state.withLock { $0.claimRefusals = count }
    }

    /// Makes the next calls of `retire` fail.
    func refuseRetirements(_ count: Int) {
        state.withLock { $0.retirementRefusals = count }
    }

    /// Makes every reading of the event at a position fail, and of any page that it is on.
    func damage(position: UInt64) {
        state.withLock { $0.damaged = position }
    }

    /// Makes every reading of dead letters fail.
    func hideLetters() {
        state.withLock { $0.hidesLetters = true }
    }

    /// Answers whatever is called until `work` has ended, and everything that follows from it.
    func answering<Value: Sendable>(_ test: TestBus, _ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let isOver = Mutex(false)
        async let value = {
            defer { isOver.withLock { $0 = true } }
            return try await work()
        }()
        while !isOver.withLock({ $0 }) {
            answer()
            test.catchUp()
            await Task.yield()
        }
        return try await value
    }

    private func later(_ answer: @escaping @Sendable () -> Void) {
        state.withLock { $0.answers.append(answer) }
    }

    func append(_ events: [Event], completion: @escaping @Sendable (Result<[Recorded], JournalError>) -> Void) {
        inner.append(events) { result in self.later { completion(result) } }
    }

    func claim(_ claims: [Claim], completion: @escaping @Sendable (Result<[Claimed], JournalError>) -> Void) {
        let isRefused = state.withLock { state in
            defer { state.claimRefusals = max(0, state.claimRefusals - 1) }
            return state.claimRefusals > 0
        }
        if isRefused { return later { completion(.failure(JournalError(.unavailable, "the disk is gone"))) } }
        inner.claim(claims) { result in self.later { completion(result) } }
    }

    func retire(_ names: [String], completion: @escaping @Sendable (Result<Void, JournalError>) -> Void) {
        let isRefused = state.withLock { state in
            defer { state.retirementRefusals = max(0, state.retirementRefusals - 1) }
            return state.retirementRefusals > 0
        }
        if isRefused { return later { completion(.failure(JournalError(.unavailable, "the disk is gone"))) } }
        inner.retire(names) { result in self.later { completion(result) } }
    }

    func settle(_ settlements: [Settlement], completion: @escaping @Sendable (Result<[Settled], JournalError>) -> Void) {
        let isRefused = state.withLock { state in
            defer { state.refusals = max(0, state.refusals - 1) }
            return state.refusals > 0
        }
        if isRefused { return later { completion(.failure(JournalError(.unavailable, "the disk is gone"))) } }
        inner.settle(settlements) { result in self.later { completion(result) } }
    }

    func read(_ question: JournalQuestion, completion: @escaping @Sendable (Result<JournalAnswer, JournalError>) -> Void) {
        if case .deadLetters = question, state.withLock({ $0.hidesLetters }) {
            return completion(.failure(JournalError(.damaged, "a letter can't be read")))
        }
        if case .events(let after, let limit, _) = question, let damaged = state.withLock({ $0.damaged }), after < damaged,
            damaged <= after + UInt64(limit)
        {
            return completion(.failure(JournalError(.damaged, "event \(damaged) can't be read")))
        }
        // The bus reads its start from it: that is answered at once.
        inner.read(question, completion: completion)
    }

    func trim(through position: UInt64, owing: [SubscriptionNumber], completion: @escaping @Sendable (Result<UInt64, JournalError>) -> Void)
    {
        inner.trim(through: position, owing: owing) { result in self.later { completion(result) } }
    }
}
