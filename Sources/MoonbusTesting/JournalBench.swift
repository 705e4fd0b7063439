internal import MoonbusEvents
internal import MoonbusJournal

/// What a scenario works with: a journal's calls as plain async functions, and expectations that name the scenario.
struct Bench: Sendable {
    let factory: JournalConformance.Factory
    let scenario: String

    /// An empty journal.
    func open(eventsMax: Int? = nil) async throws -> Subject {
        Subject(journal: try await factory.open(eventsMax))
    }

    /// The same journal, closed and opened again.
    func reopen(_ subject: Subject) async throws -> Subject {
        guard let reopen = factory.reopen else {
            throw ConformanceFailure(description: "'\(scenario)': a factory for journals that survive needs a way to reopen them")
        }
        return Subject(journal: try await reopen(subject.journal))
    }

    func expect<Value: Equatable>(_ value: Value, is expected: Value, _ what: String) throws {
        guard value != expected else { return }
        throw ConformanceFailure(description: "'\(scenario)': \(what): expected \(expected), got \(value)")
    }

    func expect(_ condition: Bool, _ what: String) throws {
        guard !condition else { return }
        throw ConformanceFailure(description: "'\(scenario)': \(what)")
    }

    /// The error of a call that must fail.
    func failure<Value>(_ what: String, _ body: () async throws -> Value) async throws -> JournalError {
        do {
            _ = try await body()
        } catch let error as JournalError {
            return error
        }
        throw ConformanceFailure(description: "'\(scenario)': \(what) must be refused")
    }
}

/// A journal under test, with its calls as async functions.
struct Subject: Sendable {
    let journal: any Journal

    func append(_ events: Event...) async throws -> [Recorded] { try await append(events) }

    func append(_ events: [Event]) async throws -> [Recorded] {
        try await withCheckedThrowingContinuation { continuation in journal.append(events) { continuation.resume(with: $0) } }
    }

    func claim(_ name: String, schedule: Timestamp? = nil, beginning: Claim.Beginning? = nil) async throws -> Claimed {
        try await withCheckedThrowingContinuation { continuation in
            journal.claim([Claim(name: name, schedule: schedule, beginning: beginning)]) { continuation.resume(with: $0.map { $0[0] }) }
        }
    }

    /// In the order of their names.
    func subscriptions() async throws -> [KnownSubscription] {
        guard case .subscriptions(let known) = try await read(.subscriptions) else { return [] }
        return known.sorted { $0.name < $1.name }
    }

    func retire(_ name: String) async throws {
        try await withCheckedThrowingContinuation { continuation in journal.retire([name]) { continuation.resume(with: $0) } }
    }

    func settle(_ settlements: [Settlement]) async throws -> [Settled] {
        try await withCheckedThrowingContinuation { continuation in journal.settle(settlements) { continuation.resume(with: $0) } }
    }

    /// Settles one delivery.
    @discardableResult
    func settle(
        _ subscription: Claimed, _ coverage: Settlement.Coverage, _ transition: Transition = .done, _ commit: Commit? = nil
    ) async throws -> Settled {
        try await settle([Settlement(subscription.number, coverage, transition, commit: commit)])[0]
    }

    @discardableResult
    func trim(through position: UInt64, owing: [Claimed] = []) async throws -> UInt64 {
        try await withCheckedThrowingContinuation { continuation in
            journal.trim(through: position, owing: owing.map(\.number)) { continuation.resume(with: $0) }
        }
    }

    func read(_ question: JournalQuestion) async throws -> JournalAnswer {
        try await withCheckedThrowingContinuation { continuation in journal.read(question) { continuation.resume(with: $0) } }
    }

    func end() async throws -> UInt64 {
        if case .position(let position) = try await read(.end) { position } else { 0 }
    }

    func events(after position: UInt64 = 0, limit: Int = 1_000) async throws -> [RecordedEvent] {
        if case .events(let events) = try await read(.events(after: position, limit: limit)) { events } else { [] }
    }

    func ids(after position: UInt64 = 0) async throws -> [String] {
        try await events(after: position).map(\.event.id)
    }

    func delayed() async throws -> [DelayedEvent] {
        if case .delayed(let events) = try await read(.delayed(limit: 1_000)) { events } else { [] }
    }

    func deadLetters() async throws -> [DeadLetter] {
        if case .deadLetters(let letters) = try await read(.deadLetters(limit: 1_000)) { letters } else { [] }
    }

    func value(_ plugin: String, _ key: String, now: Timestamp = Subject.now) async throws -> StateEntry? {
        if case .state(let entries) = try await read(.state(plugin: plugin, key: key, now: now)) { entries.first } else { nil }
    }

    func scan(_ plugin: String, _ prefix: String, after: String? = nil, limit: Int = 100) async throws -> [String] {
        guard case .state(let entries) = try await read(.scan(plugin: plugin, prefix: prefix, after: after, limit: limit, now: Self.now))
        else { return [] }
        return entries.map(\.key)
    }

    /// The time of scenarios: the real one, because a journal has its own clock for what expires.
    static var now: Timestamp { .now() }
}

/// Events, letters and changes for scenarios.
enum Sample {
    static func event(_ id: String, source: String = "/test", data: String? = nil) throws -> Event {
        try Event(type: EventType("test.happened"), data: data.map { try JSON($0) }, id: id, source: source)
    }

    static func events(_ count: Int, prefix: String = "e") throws -> [Event] {
        try (1...count).map { try event("\(prefix)\($0)") }
    }

    static func span(_ after: UInt64, _ through: UInt64) -> Settlement.Coverage {
        .span(Span(after: after, through: through))
    }

    static func stray(_ position: UInt64, _ event: Event, attempt: Int = 1, due: Timestamp = Timestamp(microseconds: 9_000)) -> Stray {
        Stray(position: position, event: event, due: due, failures: [failure(attempt)])
    }

    static func failure(_ attempt: Int) -> FailedAttempt {
        FailedAttempt(
            attempt: attempt, time: Timestamp(microseconds: 5_000), fault: Fault(.error, "boom \(attempt)", file: "main.lua", line: 7))
    }

    static func letter(_ subscription: String, _ position: UInt64, _ event: Event) -> DeadLetter {
        DeadLetter(
            subscription: subscription, position: position, event: event, failures: [failure(1), failure(2)],
            died: Timestamp(microseconds: 7_000))
    }

    /// - Parameter json: nil deletes the key.
    static func write(
        _ key: String, _ json: String?, version: UInt64 = 1, reads: [StateRead] = [], plugin: String = "p", expires: Timestamp? = nil
    ) throws -> Commit {
        let write = try json.map { try StateWrite(key: key, value: JSON($0), version: version, expires: expires) }
        return Commit(state: StateChange(plugin: plugin, reads: reads, writes: [write ?? StateWrite(deleting: key)]))
    }
}
