import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Synchronization
import Testing

/// Runs whose checkpoints have no room: they wait, and what they may keep meanwhile is bounded.
@Suite struct CheckpointRoomTests {
    private static let large = JSON(.string(String(repeating: "x", count: 250_000)))
    private let one = SubscriptionPolicy(key: .none, timeout: .seconds(3_600), queueLimit: 1)

    @Test func `what waits for a checkpoint's room is done once, when there is room`() async throws {
        let (test, sink, runs) = try await full(runs: 1)
        let (bus, id, log) = (test.bus, runs.running[0].id, Log())
        try await test.onOwner {
            log.add("free: \(!bus.awaitsRoom(id))")
            bus.checkpoint(id, effects: [emit("out")])
            log.add("waits: \(bus.awaitsRoom(id))")
            log.add("held: \(bus.whenRoom(for: id, size: 10) { log.add("went on") })")
        }
        test.clock.advance(by: .seconds(59))
        #expect(log.lines == ["free: true", "waits: true", "held: true"])
        try await test.onOwner { sink.settle([Outcome(delivery: sink.running[0].id, .done(nil))]) }
        #expect(log.lines.last == "went on" && log.lines.count == 4)
        #expect(sink.deliveries.count == 2)
        #expect(try await test.onOwner { bus.awaitsRoom(id) } == false)
    }

    @Test func `a run whose events find no room for a minute goes on, and they are dead letters`() async throws {
        let (test, _, runs) = try await full(runs: 1)
        let (bus, id, log) = (test.bus, runs.running[0].id, Log())
        try await test.onOwner {
            bus.checkpoint(id, effects: [emit("out")])
            _ = bus.whenRoom(for: id, size: 10) { log.add("went on") }
        }
        test.clock.advance(by: .seconds(60))
        #expect(log.lines == ["went on"])
        #expect(try await bus.deadLetters().map(\.event.typeText) == ["out"])
    }

    @Test func `what a run that has ended waited for is never done, and its room is free again`() async throws {
        let (test, sink, runs) = try await full(runs: 1)
        let (bus, id, log) = (test.bus, runs.running[0].id, Log())
        try await test.onOwner {
            bus.checkpoint(id, effects: [emit("out")])
            _ = bus.whenRoom(for: id, size: 60 << 20) { log.add("went on") }
            runs.settle([Outcome(delivery: id, .done(nil))])
        }
        try await test.onOwner { sink.settle([Outcome(delivery: sink.running[0].id, .done(nil))]) }
        #expect(log.lines.isEmpty)
        // Nothing waits for its room: this would be for ever.
        for type in ["out", "in"] { bus.submit([try event(type)]) { _ in } }
        test.catchUp()
        let next = try #require(runs.running.last?.id)
        let isHeld = try await test.onOwner {
            bus.checkpoint(next, effects: [emit("out")])
            return bus.whenRoom(for: next, size: 60 << 20) {}
        }
        #expect(isHeld, "what the first run kept is still counted")
    }

    @Test func `a run that goes on and on although its events have no room is ended`() async throws {
        let (test, _, runs) = try await full(runs: 1)
        let (bus, id) = (test.bus, runs.running[0].id)
        try await test.onOwner { for _ in 0..<64 { bus.checkpoint(id, effects: [emit("out")]) } }
        #expect(runs.cancelReasons.isEmpty)
        try await test.onOwner { bus.checkpoint(id, effects: [emit("out")]) }
        #expect(runs.cancelReasons.count == 1)
        #expect(runs.cancelReasons.first?.hasPrefix("emits faster than subscription 'sink.main' takes it: ") == true)
    }

    @Test func `large checkpoints end a run earlier`() async throws {
        let (test, _, runs) = try await full(runs: 1)
        let (bus, id, large) = (test.bus, runs.running[0].id, try emitLarge())
        try await test.onOwner { for _ in 0..<63 { bus.checkpoint(id, effects: [large, large]) } }
        #expect(runs.cancelReasons.count == 1, "31.5 MB waited for room")
    }

    @Test func `the runs of a plugin together keep so many bytes, and what is over that ends its run`() async throws {
        let (test, sink, runs) = try await full(runs: 400)
        let (bus, large) = (test.bus, try emitLarge())
        try await test.onOwner { for run in runs.running { bus.checkpoint(run.id, effects: [large]) } }
        // 64 MiB are 267 of them.
        #expect((131...135).contains(runs.cancelReasons.count), "\(runs.cancelReasons.count)")
        #expect(runs.cancelReasons.first?.contains("from the sources of plugin 'runs' wait already, its limit is 64 MiB") == true)
        #expect(try await test.onOwner { bus.whenRoom(for: runs.running[0].id, size: 1 << 20) {} } == false)
        // All of it is counted off again, room by room.
        for _ in 0..<400 {
            guard let next = sink.running.first else { break }
            try await test.onOwner { sink.settle([Outcome(delivery: next.id, .done(nil))]) }
        }
        #expect((266...270).contains(sink.deliveries.count), "\(sink.deliveries.count)")
        #expect(try await test.onOwner { bus.whenRoom(for: runs.running[0].id, size: 63 << 20) {} })
    }

    @Test func `a run waits for a journal that does not get on, too`() async throws {
        let clock = ManualClock()
        let journal = DeferredJournal(clock: clock)
        let test = try await TestBus(journal: journal, clock: clock)
        let runs = try await test.plugin("runs", "in", policy: one) { _ in nil }
        _ = try await journal.answering(test) { try await test.bus.emit(event("in")) }
        let (bus, id, large, log) = (test.bus, runs.running[0].id, try emitLarge(), Log())
        try await test.onOwner {
            for _ in 0..<4 { bus.checkpoint(id, effects: [large]) }
            log.add("waits: \(bus.awaitsRoom(id))")
            bus.checkpoint(id, effects: [large])
            log.add("waits: \(bus.awaitsRoom(id))")
            _ = bus.whenRoom(for: id, size: 1) { log.add("went on") }
        }
        #expect(log.lines == ["waits: false", "waits: true"])
        journal.answer()
        test.catchUp()
        #expect(log.lines.last == "went on")
        #expect(try await test.onOwner { bus.awaitsRoom(id) } == false)
    }

    @Test func `a journal that takes nothing ends the runs that would fill the memory`() async throws {
        let clock = ManualClock()
        let journal = DeferredJournal(clock: clock)
        let test = try await TestBus(journal: journal, clock: clock)
        let runs = try await test.plugin("runs", "in", policy: one) { _ in nil }
        _ = try await journal.answering(test) { try await test.bus.emit(event("in")) }
        let (bus, id, large) = (test.bus, runs.running[0].id, try emitLarge())
        journal.refuseSettlements(1_000)
        try await test.onOwner { bus.checkpoint(id, effects: [large]) }
        journal.answer()
        test.catchUp()
        try await test.onOwner { for _ in 0..<400 { bus.checkpoint(id, effects: [large]) } }
        #expect(runs.cancelReasons.count == 1)
        #expect(runs.cancelReasons.first?.hasPrefix("emits faster than the journal takes it: ") == true, "\(runs.cancelReasons)")
    }

    // MARK: What the tests share

    /// A subscription `sink` that is full, and runs of a plugin `runs` that emit to it.
    private func full(runs count: Int) async throws -> (TestBus, sink: TestEndpoint, runs: TestEndpoint) {
        let test = try await TestBus()
        let sink = try await test.plugin("sink", "out", policy: one) { _ in nil }
        try await test.bus.emit(event("out"))
        let policy = SubscriptionPolicy(key: .none, retry: .init(attempts: 1), timeout: .seconds(3_600))
        let runs = try await test.plugin("runs", "in", policy: policy) { _ in nil }
        try await test.bus.emit((0..<count).map { _ in try event("in") })
        test.catchUp()
        return (test, sink, runs)
    }

    private func emitLarge() throws -> Effect {
        .emit(type: try EventType("out"), data: Self.large, options: EmitOptions())
    }

    private final class Log: Sendable {
        private let text = Mutex<[String]>([])
        var lines: [String] { text.withLock { $0 } }
        func add(_ line: String) { text.withLock { $0.append(line) } }
    }
}
