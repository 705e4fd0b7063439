import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Synchronization
import Testing

@Suite struct EmitTests {
    @Test func `an event is answered with its place once it is recorded`() async throws {
        let test = try await TestBus()
        let first = try await test.bus.emit(event("a", id: "1"))
        let second = try await test.bus.emit(event("a", id: "2"))
        #expect(first == Receipt(id: "1", position: 1))
        #expect(second == Receipt(id: "2", position: 2))
    }

    @Test func `an event that was recorded before reaches nobody again`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin()
        try await test.bus.emit(event("a", id: "1"))
        let again = try await test.bus.emit(event("a", id: "1"), until: .settled)
        test.catchUp()
        #expect(again == Receipt(id: "1", position: 1, isDuplicate: true))
        #expect(endpoint.ids == ["1"])
        #expect(await test.bus.statistics().duplicates == 1)
    }

    @Test func `an event that nobody wants is counted by its type, and types past the table together`() async throws {
        var configuration = BusConfiguration()
        configuration.unmatchedTypesMax = 2
        let test = try await TestBus(configuration: configuration)
        try await test.plugin("p", "wanted.*")
        for type in ["a", "b", "b", "c", "wanted.x", "d"] { try await test.bus.emit(event(type)) }
        let statistics = await test.bus.statistics()
        #expect(statistics.unmatched == 5)
        #expect(statistics.unmatchedTypes.map(\.type) == ["b", "a", nil])
        #expect(statistics.unmatchedTypes.map(\.count) == [2, 1, 2])
    }

    @Test func `a batch of any types and filters reaches each subscription in order, once, and what nobody wants is counted`() async throws
    {
        var configuration = BusConfiguration()
        configuration.ephemeral = [try EventPattern("e")]
        let test = try await TestBus(configuration: configuration)
        let a = try await test.plugin("a", "a")
        let all = try await test.plugin("all", "*")
        let even = TestEndpoint(test.bus) { _ in .done(nil) }
        var spec = try test.spec("even", "*")
        spec.trigger = .events(try EventPattern("*"), try Filter(JSON(#"{"data":{"even":[true]}}"#)))
        try await test.replace("even", [spec], by: even)
        let late = Answers()
        var batch: [Event] = []
        // Runs of one type, runs of a single event, runs of several types that the same subscriptions want, and some twice.
        let types = ["a", "a", "a", "b", "c", "c", "x.y", "x.y", "a", "e", "x.z", "b", "b", "a"]
        for round in 0..<8 {
            for (index, type) in types.enumerated() {
                let number = round * types.count + index
                let isEven = (number / 3).isMultiple(of: 2)
                batch.append(try event(type, id: "\(number % 100)-\(type)", data: #"{"even":\#(isEven)}"#))
            }
        }
        test.bus.submit(batch, settled: { late.add($0) }, settledWithin: .seconds(2)) { _ in }
        test.catchUp()
        var seen: Set<String> = []
        let wanted = batch.filter { $0.typeText == "e" || seen.insert($0.id).inserted }
        let flat = wanted.filter { !$0.typeText.contains(".") }
        #expect(a.ids == flat.filter { $0.typeText == "a" }.map(\.id))
        #expect(all.ids == flat.map(\.id))
        #expect(even.ids == flat.filter { $0.data?.text == #"{"even":true}"# }.map(\.id))
        let statistics = await test.bus.statistics()
        #expect(statistics.unmatched == UInt64(wanted.count - flat.count))
        #expect(statistics.duplicates == UInt64(batch.count - wanted.count))
        #expect(statistics.recorded == UInt64(wanted.count { $0.typeText != "e" }))
        #expect(
            late.receipts.map(\.results.count)
                == batch.map { event in
                    guard !event.typeText.contains(".") else { return 0 }
                    return 1 + (event.typeText == "a" ? 1 : 0) + (event.data?.text == #"{"even":true}"# ? 1 : 0)
                }.enumerated().map { late.receipts[$0.offset].isDuplicate ? 0 : $0.element })
    }

    @Test func `who waits until settled gets each subscription's result in the order of the subscriptions`() async throws {
        let test = try await TestBus()
        try await test.plugin("one", "a", policy: .init(retry: .init(attempts: 1))) { _ in .failed("boom") }
        try await test.plugin("two", "a") { _ in .done(#"{"ok":true}"#) }
        try await test.plugin("other", "b")
        try await test.plugin("three", ">") { _ in TestEndpoint.Reply(verdict: .rejected("no such customer")) }

        let receipt = try await test.bus.emit(event("a"), until: .settled)
        #expect(receipt.results.map(\.subscription) == ["one.main", "two.main", "three.main"])
        #expect(receipt.results.map(\.status) == [.dead, .done, .rejected])
        #expect(receipt.results.map(\.result?.text) == [nil, #"{"ok":true}"#, nil])
        #expect(receipt.results.map(\.error?.message) == ["boom", nil, "no such customer"])
        #expect(receipt.pending == 0)
    }

    @Test func `an event without subscriptions is settled at once`() async throws {
        let test = try await TestBus()
        let receipt = try await test.bus.emit(event("a"), until: .settled)
        #expect(receipt.results.isEmpty && receipt.pending == 0)
    }

    @Test func `results that do not come in time are counted as pending`() async throws {
        let test = try await TestBus()
        try await test.plugin("slow", "a") { _ in nil }
        try await test.plugin("fast", "a") { _ in .done("1") }
        let answers = Answers()
        test.bus.submit([try event("a")], settled: { answers.add($0) }, settledWithin: .seconds(2)) { _ in }
        test.clock.advance(by: .milliseconds(1_999))
        #expect(answers.receipts.isEmpty)
        test.clock.advance(by: .milliseconds(1))
        #expect(answers.receipts.map(\.pending) == [1])
        #expect(answers.receipts[0].results.map(\.subscription) == ["fast.main"])
    }

    @Test func `each wait ends at its own time, whatever was asked before and answered since`() async throws {
        let test = try await TestBus()
        try await test.plugin("slow", "slow") { _ in nil }
        try await test.plugin("fast", "fast") { _ in .done("1") }
        let (short, long, answered) = (Answers(), Answers(), Answers())
        test.bus.submit([try event("slow")], settled: { long.add($0) }, settledWithin: .seconds(60)) { _ in }
        // Enough to be swept out of what is remembered of them.
        for _ in 0..<2_500 {
            test.bus.submit([try event("fast")], settled: { answered.add($0) }, settledWithin: .seconds(30)) { _ in }
            if answered.receipts.count % 500 == 0 { test.catchUp() }
        }
        test.bus.submit([try event("slow")], settled: { short.add($0) }, settledWithin: .seconds(2)) { _ in }
        test.clock.advance(by: .seconds(2))
        #expect(answered.receipts.count == 2_500 && answered.receipts.allSatisfy { $0.pending == 0 })
        #expect(short.receipts.map(\.pending) == [1])
        test.clock.advance(by: .seconds(57))
        #expect(long.receipts.isEmpty)
        test.clock.advance(by: .seconds(1))
        #expect(long.receipts.map(\.pending) == [1])
        #expect(short.receipts.count == 1 && answered.receipts.count == 2_500)
    }

    @Test func `a batch that is empty or too large is refused`() async throws {
        var configuration = BusConfiguration()
        configuration.batchCountMax = 2
        let test = try await TestBus(configuration: configuration)
        #expect(await refusal { try await test.bus.emit([]) }?.code == .invalid)
        #expect(await refusal { try await test.bus.emit([event("a"), event("a"), event("a")]) }?.code == .tooLarge)
        #expect(await test.bus.statistics().refused == 3)
    }

    @Test func `the intake is bounded`() async throws {
        var configuration = BusConfiguration()
        configuration.intakeCountMax = 3
        let test = try await TestBus(configuration: configuration)
        let hold = Hold()
        test.bus.owner.post { hold.wait() }
        let answers = Answers()
        try test.bus.submit([event("a"), event("b")]) { answers.add($0) }
        try test.bus.submit([event("c"), event("d")]) { answers.add($0) }
        #expect(answers.errors.map(\.code) == [.full])
        hold.release()
        test.catchUp()
        try test.bus.submit([event("c"), event("d")]) { answers.add($0) }
        test.catchUp()
        #expect(answers.receipts.map(\.position) == [1, 2, 3, 4])
    }

    @Test func `a bus that is not running refuses`() async throws {
        let test = try await TestBus()
        await test.bus.stop()
        #expect(await refusal { try await test.bus.emit(event("a")) }?.code == .stopped)
    }
}

/// Why emitting was refused; nil if it was not.
func refusal(_ emit: () async throws -> Void) async -> EmitError? {
    do {
        try await emit()
        return nil
    } catch {
        return error as? EmitError
    }
}

/// What callbacks said.
final class Answers: Sendable {
    private let state = Mutex<(receipts: [Receipt], errors: [EmitError])>(([], []))

    var receipts: [Receipt] { state.withLock { $0.receipts } }
    var errors: [EmitError] { state.withLock { $0.errors } }

    func add(_ receipts: [Receipt]) {
        state.withLock { $0.receipts += receipts }
    }

    func add(_ result: Result<[Receipt], EmitError>) {
        state.withLock { state in
            switch result {
            case .success(let receipts): state.receipts += receipts
            case .failure(let error): state.errors.append(error)
            }
        }
    }
}

/// Holds a thread until it is released.
final class Hold: Sendable {
    private let isReleased = Atomic<Bool>(false)

    func wait() {
        while !isReleased.load(ordering: .acquiring) {}
    }

    func release() {
        isReleased.store(true, ordering: .releasing)
    }
}
