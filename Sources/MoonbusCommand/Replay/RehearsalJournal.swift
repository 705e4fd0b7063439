import MoonbusEvents
import MoonbusJournal
import Synchronization

/// The journal of a rehearsal: takes the events that are rehearsed, keeps state for as long as it lives, and notes what handlers
/// want instead of letting it happen.
///
/// | a handler's effect | what becomes of it |
/// |---|---|
/// | `kv.set`, `kv.delete` | holds until the rehearsal ends: later handlers see it |
/// | `bus.emit`, with a delay or without | noted; nobody gets it |
/// | `bus.request` | nobody answers |
final class RehearsalJournal: Journal {
    private struct State {
        var rehearsed: Event?
        var commits: [Commit] = []
    }

    private let inner = InMemoryJournal()
    private let state = Mutex(State())

    /// Lets one event in, and no other until the next call.
    func expect(_ event: Event) {
        state.withLock { $0 = State(rehearsed: event) }
    }

    /// What handlers wanted since the last ``expect(_:)``, in order.
    var commits: [Commit] { state.withLock { $0.commits } }

    func append(_ events: [Event], completion: @escaping @Sendable (Result<[Recorded], JournalError>) -> Void) {
        guard events.count == 1, events.first == state.withLock({ $0.rehearsed }) else { return completion(.success(Self.nobodys(events))) }
        inner.append(events, completion: completion)
    }

    func settle(_ settlements: [Settlement], completion: @escaping @Sendable (Result<[Settled], JournalError>) -> Void) {
        let kept = settlements.map { settlement in
            var kept = settlement
            kept.commit = settlement.commit.map { Commit(state: $0.state) }
            return kept
        }
        inner.settle(kept) { result in
            completion(result.map { answers in zip(settlements, answers).map(self.note) })
        }
    }

    private func note(_ settlement: Settlement, _ answer: Settled) -> Settled {
        guard case .committed = answer, let commit = settlement.commit else { return answer }
        state.withLock { $0.commits.append(commit) }
        return .committed(Self.nobodys(commit.events))
    }

    /// Events that were there before are handed to nobody.
    private static func nobodys(_ events: [Event]) -> [Recorded] {
        events.map { _ in Recorded(position: 0, isDuplicate: true) }
    }

    func claim(_ claims: [Claim], completion: @escaping @Sendable (Result<[Claimed], JournalError>) -> Void) {
        inner.claim(claims, completion: completion)
    }

    func retire(_ names: [String], completion: @escaping @Sendable (Result<Void, JournalError>) -> Void) {
        inner.retire(names, completion: completion)
    }

    func read(_ question: JournalQuestion, completion: @escaping @Sendable (Result<JournalAnswer, JournalError>) -> Void) {
        inner.read(question, completion: completion)
    }

    func trim(through position: UInt64, owing: [SubscriptionNumber], completion: @escaping @Sendable (Result<UInt64, JournalError>) -> Void)
    {
        inner.trim(through: position, owing: owing, completion: completion)
    }

    /// Puts values into a plugin's state, as they were recorded.
    func adopt(_ entries: [StateEntry], of plugin: String) {
        let writes = entries.map { StateWrite(key: $0.key, value: $0.value, version: $0.version, expires: $0.expires) }
        inner.claim([Claim(name: "rehearsal")]) { claimed in
            guard case .success(let answers) = claimed, let number = answers.first?.number else { return }
            let commit = Commit(state: StateChange(plugin: plugin, writes: writes))
            self.inner.settle([Settlement(number, .nothing, .done, commit: commit)]) { _ in }
        }
    }
}
