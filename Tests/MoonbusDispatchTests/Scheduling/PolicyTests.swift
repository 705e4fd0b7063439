import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Synchronization
import Testing

/// Time as pictures: one character a second. Events are named by what is drawn; upper-case letters share the key "A".
@Suite struct PolicyTests {
    private func play(_ input: String, _ policy: SubscriptionPolicy) async throws -> String {
        let test = try await TestBus()
        let recorder = TimelineRecorder(clock: test.clock)
        try await test.plugin(policy: policy) { delivery in
            let events = [delivery.event] + delivery.others
            for event in events { recorder.note(event.id.first ?? "?") }
            return .done(nil)
        }
        try await Timeline(input).play(on: test.clock) { symbol in
            try await test.bus.emit(event("a", id: "\(symbol)", key: symbol.isUppercase ? "A" : "b"))
        }
        return recorder.timeline.description
    }

    @Test func `without a policy events go out as they come`() async throws {
        let output = try await play("a-(bc)--", .init())
        #expect(output == "a-(bc)--")
    }

    @Test func `debounce lets the last event of a key go once the key has been quiet`() async throws {
        let output = try await play("abc-----d---", .init(debounce: .seconds(3)))
        #expect(output == "-----c-----d")
    }

    @Test func `debounce keeps keys apart`() async throws {
        let output = try await play("aABb------", .init(debounce: .seconds(2)))
        #expect(output == "--a-Bb----")
    }

    @Test func `throttle lets one event of a key pass in its time and sheds the others`() async throws {
        let output = try await play("abcAdB--e-", .init(throttle: .seconds(4)))
        #expect(output == "a--Ad---e-")
    }

    @Test func `a batch goes when it is full`() async throws {
        let output = try await play("a--b-c----", .init(batch: .init(count: 3, within: .seconds(100))))
        #expect(output == "-----(abc)----")
    }

    @Test func `a batch goes when its first event has waited long enough`() async throws {
        let output = try await play("ab-----c-----", .init(batch: .init(count: 3, within: .seconds(4))))
        #expect(output == "----(ab)------c-")
    }

    @Test func `what is left after a full batch waits its own time`() async throws {
        let output = try await play("(abcd)e------", .init(batch: .init(count: 3, within: .seconds(4))))
        #expect(output == "(abc)---(de)---")
    }

    @Test func `a batch is full at 4 MiB, too, and what is left goes when its time is over`() async throws {
        let test = try await TestBus()
        let sizes = Mutex<[Int]>([])
        try await test.plugin(policy: .init(batch: .init(count: 100, within: .seconds(4)))) { delivery in
            sizes.withLock { $0.append(1 + delivery.others.count) }
            return .done(nil)
        }
        let text = JSON(.string(String(repeating: "x", count: 1_000_000)))
        for _ in 0..<6 { try await test.bus.emit(Event(type: EventType("a"), data: text)) }
        test.clock.advance(by: .seconds(4))
        test.catchUp()
        test.clock.advance(by: .seconds(4))
        test.catchUp()
        #expect(sizes.withLock { $0 } == [4, 2])
    }

    @Test func `what a policy sheds is counted and tells who asked`() async throws {
        let test = try await TestBus()
        try await test.plugin(policy: .init(throttle: .seconds(10)))
        let first = try await test.bus.emit(event("a"), until: .settled)
        let second = try await test.bus.emit(event("a"), until: .settled)
        #expect(first.results.map(\.status) == [.done])
        #expect(second.results.map(\.status) == [.shed])
        let statistics = try await test.statistics(of: "p.main")
        #expect(statistics.shed == 1 && statistics.done == 1 && statistics.queued == 0)
        #expect(await test.bus.statistics().shed == 1)
    }

    @Test func `a batch is one delivery: it fails, is tried again and dies as one, with a letter for each event`() async throws {
        let test = try await TestBus()
        let policy = SubscriptionPolicy(retry: .init(attempts: 2), batch: .init(count: 2, within: .seconds(1)))
        let endpoint = try await test.plugin(policy: policy) { _ in .failed("boom") }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2"), event("a", id: "3")])
        test.clock.advance(by: .seconds(10))
        let contents = endpoint.deliveries.map { delivery -> [String] in
            ([delivery.event] + delivery.others).map(\.id)
        }
        #expect(contents == [["1", "2"], ["3"], ["1", "2"], ["3"]] || contents == [["1", "2"], ["1", "2"], ["3"], ["3"]])
        #expect(try await test.bus.deadLetters().map(\.event.id).sorted() == ["1", "2", "3"])
        #expect(try await test.statistics(of: "p.main").queued == 0)
    }
}
