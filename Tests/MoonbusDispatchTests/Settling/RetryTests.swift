import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

@Suite struct RetryTests {
    /// Plays one event and draws its runs: a digit for a failed attempt, the letter for the good one.
    private func play(_ input: String, failing: Int, _ retry: RetryPolicy = .init()) async throws -> String {
        let test = try await TestBus()
        let recorder = TimelineRecorder(clock: test.clock)
        try await test.plugin(policy: .init(retry: retry)) { delivery in
            guard delivery.attempt <= failing else {
                recorder.note(delivery.event.id.first ?? "?")
                return .done(nil)
            }
            recorder.note(Character("\(delivery.attempt)"))
            return .failed("boom \(delivery.attempt)")
        }
        try await Timeline(input).play(on: test.clock) { try await test.bus.emit(event("a", id: "\($0)")) }
        return recorder.timeline.description
    }

    @Test func `a failed delivery comes back after a wait that doubles`() async throws {
        let output = try await play("a--------", failing: 3)
        #expect(output == "12-3---a-")
    }

    @Test func `the wait stops doubling at its bound`() async throws {
        let output = try await play("a---------", failing: 4, .init(attempts: 9, backoff: .seconds(1), backoffMax: .seconds(2)))
        #expect(output == "12-3-4-a--")
    }

    @Test func `waits are drawn between nothing and the ceiling`() {
        let ceiling = Duration.seconds(8)
        let draws = (0..<200).map { _ in Jitter.full.draw(ceiling) }
        #expect(draws.allSatisfy { $0 >= .zero && $0 <= ceiling })
        #expect(draws.contains { $0 < .seconds(2) } && draws.contains { $0 > .seconds(6) })
    }

    @Test func `after its last attempt a delivery is a dead letter with every error`() async throws {
        let test = try await TestBus()
        try await test.plugin(policy: .init(retry: .init(attempts: 3))) { .failed("boom \($0.attempt)") }
        try await test.bus.emit(event("a", id: "1", data: #"{"n":1}"#))
        test.clock.advance(by: .seconds(10))
        let letters = try await test.bus.deadLetters()
        #expect(letters.count == 1)
        #expect(letters[0].subscription == "p.main")
        #expect(letters[0].event.data?.text == #"{"n":1}"#)
        #expect(letters[0].failures.map(\.attempt) == [1, 2, 3])
        #expect(letters[0].failures.map(\.fault.message) == ["boom 1", "boom 2", "boom 3"])
        let seconds = letters[0].failures.map { ($0.time.microseconds - letters[0].failures[0].time.microseconds) / 1_000_000 }
        #expect(seconds == [0, 1, 3])
        let statistics = try await test.statistics(of: "p.main")
        #expect(statistics.retried == 2 && statistics.dead == 1 && statistics.queued == 0)
    }

    @Test func `a rejected event is dead at once, with the reason`() async throws {
        let test = try await TestBus()
        try await test.plugin { _ in TestEndpoint.Reply(verdict: .rejected("no such customer"), effects: [emit("never")]) }
        try await test.bus.emit(event("a", id: "1"))
        let letters = try await test.bus.deadLetters()
        #expect(letters[0].failures.map(\.fault) == [Fault(.rejected, "no such customer")])
        #expect(await test.bus.statistics().recorded == 1)
    }

    @Test func `a handler that asks for the event later counts as no attempt`() async throws {
        let test = try await TestBus()
        let isClosed = Switch(true)
        let endpoint = try await test.plugin(policy: .init(retry: .init(attempts: 1))) { _ in
            isClosed.isOn ? TestEndpoint.Reply(verdict: .retry(.seconds(30))) : .done(nil)
        }
        try await test.bus.emit(event("a"))
        test.clock.advance(by: .seconds(59))
        #expect(endpoint.deliveries.map(\.attempt) == [1, 1])
        isClosed.set(false)
        test.clock.advance(by: .seconds(1))
        #expect(endpoint.deliveries.map(\.attempt) == [1, 1, 1])
        #expect(try await test.statistics(of: "p.main").done == 1)
    }

    @Test func `an interrupted run is due again at once and counts as no attempt`() async throws {
        let test = try await TestBus()
        let isCut = Switch(true)
        let endpoint = try await test.plugin(policy: .init(retry: .init(attempts: 1))) { _ in
            defer { isCut.set(false) }
            return isCut.isOn ? TestEndpoint.Reply(verdict: .interrupted) : .done(nil)
        }
        try await test.bus.emit(event("a"))
        test.catchUp()
        #expect(endpoint.deliveries.map(\.attempt) == [1, 1])
        #expect(try await test.bus.deadLetters().isEmpty)
    }

    @Test func `a dead letter that is retried runs again, once, and keeps its errors if it dies again`() async throws {
        let test = try await TestBus()
        let isBroken = Switch(true)
        let endpoint = try await test.plugin(policy: .init(retry: .init(attempts: 2))) { _ in isBroken.isOn ? .failed("boom") : .done(nil) }
        try await test.bus.emit(event("a", id: "1"))
        test.clock.advance(by: .seconds(5))
        try await test.bus.retry(deadLetter: test.bus.deadLetters()[0].id)
        test.clock.advance(by: .seconds(5))
        let again = try await test.bus.deadLetters()
        #expect(again.count == 1)
        #expect(again[0].failures.count == 4)

        isBroken.set(false)
        try await test.bus.retry(deadLetter: again[0].id)
        test.catchUp()
        #expect(try await test.bus.deadLetters().isEmpty)
        #expect(endpoint.deliveries.map(\.attempt) == [1, 2, 1, 2, 1])
        await #expect(throws: JournalError.self) { try await test.bus.retry(deadLetter: again[0].id) }
    }

    @Test func `the seed is the same for the same attempt and another for the next`() async throws {
        var seeds: [[UInt64]] = []
        for _ in 0..<2 {
            let test = try await TestBus(journal: InMemoryJournal())
            let endpoint = try await test.plugin { $0.attempt < 3 ? .failed("x") : .done(nil) }
            try await test.bus.emit(event("a", id: "1"))
            test.clock.advance(by: .seconds(10))
            seeds.append(endpoint.deliveries.map(\.seed))
        }
        #expect(seeds[0] == seeds[1])
        #expect(Set(seeds[0]).count == 3)
    }
}
