import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Synchronization
import Testing

@Suite struct InMemoryJournalTests {
    /// In memory, "reopening" is holding on to the same journal: it shows that nothing depends on the object's first owner.
    private let factory = JournalConformance.Factory(open: { eventsMax in
        var limits = JournalLimits()
        limits.history = 0
        if let eventsMax { limits.events = eventsMax }
        return InMemoryJournal(limits: limits)
    })

    @Test(arguments: JournalConformance.scenarios(for: [.isBounded]))
    func `keeps the contract of a journal`(scenario: JournalConformance.Scenario) async throws {
        try await scenario.run(on: factory)
    }

    @Test func `an id is forgotten after a day, or when twice the remembered number has come since`() throws {
        let clock = ManualClock()
        var limits = JournalLimits()
        limits.rememberedIDs = 8
        let journal = InMemoryJournal(limits: limits, clock: clock)
        let event = try Event(type: EventType("a"), id: "same")
        #expect(append([event], to: journal) == [false])
        #expect(append([event], to: journal) == [true])

        clock.advance(by: .seconds(25 * 3_600))
        _ = append([try Event(type: EventType("a"))], to: journal)
        clock.advance(by: .seconds(25 * 3_600))
        #expect(append([event], to: journal) == [false])

        for _ in 0..<32 { _ = append([try Event(type: EventType("a"))], to: journal) }
        #expect(append([event], to: journal) == [false])
    }

    @Test func `ids are told apart when there are many`() throws {
        var limits = JournalLimits()
        limits.rememberedIDs = 20_000
        let journal = InMemoryJournal(limits: limits)
        let events = try (0..<20_000).map { try Event(type: EventType("a"), id: "id-\($0)") }
        #expect(!append(events, to: journal).contains(true))
        #expect(!append(events, to: journal).contains(false))
    }

    @Test func `the oldest dead letter goes when there is one too many, and is counted`() throws {
        var limits = JournalLimits()
        limits.deadLetters = 2
        let journal = InMemoryJournal(limits: limits)
        let event = try Event(type: EventType("a"))
        journal.claim([Claim(name: "s")]) { _ in }
        for number in 1...3 {
            let letter = DeadLetter(
                subscription: "s", position: 0, event: event, failures: [], died: Timestamp(microseconds: Int64(number)))
            journal.settle([Settlement(SubscriptionNumber(0), .nothing, .dead([letter]))]) { _ in }
        }
        journal.read(.deadLetters(limit: 10)) { answer in
            guard case .success(.deadLetters(let letters)) = answer else {
                Issue.record("no letters: \(answer)")
                return
            }
            #expect(letters.map(\.died.microseconds) == [3, 2])
        }
        journal.read(.measures) { answer in
            guard case .success(.measures(let measures)) = answer else {
                Issue.record("no measures: \(answer)")
                return
            }
            #expect(measures.deadLetterCount == 2)
            #expect(measures.forgottenDeadLetterCount == 1)
        }
    }

    @Test func `state, dead letters and delayed events count towards the bound in bytes`() throws {
        var limits = JournalLimits()
        limits.bytes = 1_000
        let journal = InMemoryJournal(limits: limits)
        let big = try JSON("\"\(String(repeating: "x", count: 1_000))\"")
        let change = StateChange(plugin: "p", writes: [StateWrite(key: "k", value: big, version: 1)])
        journal.claim([Claim(name: "s")]) { _ in }
        journal.settle([Settlement(SubscriptionNumber(0), .nothing, .done, commit: Commit(state: change))]) { _ in }
        journal.append([try Event(type: EventType("a"))]) { result in
            guard case .failure(let error) = result else {
                Issue.record("a full journal took an event")
                return
            }
            #expect(error.code == .full)
        }
    }

    @Test func `a flood of large dead letters stays within their part of the bytes, and events are still taken`() throws {
        var limits = JournalLimits()
        limits.bytes = 800_000
        let journal = InMemoryJournal(limits: limits)
        let large = try Event(type: EventType("a"), data: JSON("\"\(String(repeating: "x", count: 20_000))\""))
        journal.claim([Claim(name: "flood.s")]) { _ in }
        for _ in 0..<100 {
            let letter = DeadLetter(subscription: "flood.s", position: 0, event: large, failures: [], died: .now())
            journal.settle([Settlement(SubscriptionNumber(0), .nothing, .dead([letter]))]) { _ in }
        }
        journal.read(.measures) { answer in
            guard case .success(.measures(let measures)) = answer else {
                Issue.record("no measures: \(answer)")
                return
            }
            #expect(measures.size <= 100_000)
            #expect(measures.deadLetterCount == 4)
            #expect(measures.forgottenDeadLetterCount == 96)
        }
        let events = try (0..<30).map { try Event(type: EventType("a"), data: large.data, id: "e\($0)") }
        #expect(append(events, to: journal).count == 30)
    }

    @Test func `what has expired makes room in a plugin's share within a minute, though it cannot write`() throws {
        let clock = ManualClock()
        let journal = InMemoryJournal(clock: clock)
        let value = try JSON("\"\(String(repeating: "x", count: 500))\"")
        let answers = Mutex<[Settled]>([])
        func write(_ key: String) {
            let write = StateWrite(key: key, value: value, version: 1, expires: clock.now() + .seconds(10))
            let commit = Commit(state: StateChange(plugin: "p", writes: [write]), share: Share(plugin: "p", stateSizeMax: 1_000))
            journal.settle([Settlement(SubscriptionNumber(0), .nothing, .goesOn, commit: commit)]) { result in
                answers.withLock { $0 += (try? result.get()) ?? [] }
            }
        }
        journal.claim([Claim(name: "p.s")]) { _ in }
        write("a")
        clock.advance(by: .seconds(20))
        write("b")
        clock.advance(by: .seconds(41))
        write("c")
        let excess = ShareExcess(.state, held: 567, wanted: 2 * 567, limit: 1_000)
        #expect(answers.withLock { $0 } == [.committed([]), .beyondShare(excess), .committed([])])
    }

    private func append(_ events: [Event], to journal: InMemoryJournal) -> [Bool] {
        let answer = Answer()
        journal.append(events) { answer.recorded = (try? $0.get()) ?? [] }
        return answer.recorded.map(\.isDuplicate)
    }

    /// `@unchecked Sendable`: an in-memory journal completes inside the call, on the test's own thread.
    private final class Answer: @unchecked Sendable {
        var recorded: [Recorded] = []
    }
}
