import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

@Suite struct ReplaceTests {
    @Test func `a reload switches between two events: what runs settles at the old endpoint, what waits goes to the new`() async throws {
        let test = try await TestBus()
        let old = TestEndpoint(test.bus, room: 1) { _ in nil }
        let new = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [test.spec("p", "a")], by: old)
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2"), event("a", id: "3")])
        test.catchUp()
        try await test.replace("p", [test.spec("p", "a")], by: new)
        test.catchUp()
        #expect(old.ids == ["1"])
        #expect(new.ids == ["2", "3"])

        let notes = Notes()
        try await test.onOwner { test.bus.whenDrained(old) { notes.add("drained") } }
        #expect(try await test.onOwner { test.bus.inFlight(old) } == 1)
        #expect(notes.all == [])
        try await test.done("1", at: old)
        #expect(notes.all == ["drained"])
        #expect(try await test.onOwner { test.bus.inFlight(old) } == 0)
        #expect(try await test.statistics(of: "p.main").done == 3)
    }

    @Test func `an endpoint without deliveries is drained at once`() async throws {
        let test = try await TestBus()
        let old = try await test.plugin()
        let notes = Notes()
        try await test.onOwner { test.bus.whenDrained(old) { notes.add("drained") } }
        #expect(notes.all == [])
        try await test.onOwner { test.bus.remove(plugin: "p") }
        #expect(notes.all == ["drained"])
    }

    @Test func `a reload may change pattern and policy; retries and keys carry over`() async throws {
        let test = try await TestBus()
        try await test.plugin("p", "a") { _ in .failed("old code") }
        try await test.bus.emit(event("a", id: "1", key: "k"))
        try await test.bus.emit(event("a", id: "2", key: "k"))
        test.catchUp()
        let new = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [test.spec("p", "b", policy: .init(concurrency: 1))], by: new)
        try await test.bus.emit([event("a", id: "3"), event("b", id: "4")])
        test.clock.advance(by: .seconds(1))
        #expect(new.ids == ["4", "1", "2"])
        #expect(new.deliveries[1].attempt == 2)
    }

    @Test func `a name that is gone is forgotten with what it was owed, and starts anew later`() async throws {
        let test = try await TestBus()
        let slow = TestEndpoint(test.bus, room: 1) { _ in nil }
        try await test.replace("p", [test.spec("p", "a", name: "p.keep"), test.spec("p", "a", name: "p.gone")], by: slow)
        let answers = Answers()
        test.bus.submit([try event("a", id: "1")], settled: { answers.add($0) }) { _ in }
        test.bus.submit([try event("a", id: "2")], settled: { answers.add($0) }) { _ in }
        test.catchUp()
        try await test.replace("p", [test.spec("p", "a", name: "p.keep")], by: slow)
        for _ in 0..<3 {
            try await test.onOwner { slow.settle(slow.running.map { Outcome(delivery: $0.id, .done(nil)) }) }
        }
        #expect(answers.receipts.map(\.pending) == [0, 0])
        let lost = answers.receipts.flatMap(\.results).filter { $0.subscription == "p.gone" && $0.status == .dead }
        #expect(!lost.isEmpty)
        #expect(await test.bus.statistics().subscriptions.map(\.name) == ["p.keep"])

        let again = TestEndpoint(test.bus) { _ in .done(nil) }
        try await test.replace("p", [test.spec("p", "a", name: "p.gone")], by: again)
        try await test.bus.emit(event("a", id: "3"))
        test.catchUp()
        #expect(again.ids == ["3"])
    }

    @Test func `what a removed plugin still runs is settled with its effects`() async throws {
        let test = try await TestBus()
        let sink = try await test.plugin("sink", "out")
        let going = try await test.plugin("going", "in") { _ in nil }
        try await test.bus.emit(event("in"))
        test.catchUp()
        try await test.onOwner { test.bus.remove(plugin: "going") }
        try await test.onOwner { going.settle([Outcome(delivery: going.running[0].id, .done(nil), effects: [emit("out")])]) }
        #expect(sink.deliveries.count == 1)
        #expect(try await test.onOwner { test.bus.inFlight(going) } == 0)
    }

    @Test func `names are checked, and nothing changes when one is wrong`() async throws {
        let test = try await TestBus()
        let first = try await test.plugin("one", "a")
        let spec = try test.spec("two", "a", name: "one.main")
        await #expect(throws: SubscribeError.self) { try await test.replace("two", [spec], by: first) }
        let twice = try test.spec("two", "a")
        await #expect(throws: SubscribeError.self) { try await test.replace("two", [twice, twice], by: first) }
        let spaced = try test.spec("two", "a", name: "two. x")
        await #expect(throws: SubscribeError.self) { try await test.replace("two", [spaced], by: first) }
        try await test.bus.emit(event("a"))
        test.catchUp()
        #expect(first.deliveries.count == 1)
    }

    @Test func `a suspended plugin is not served, and gets what came meanwhile when it is back`() async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin()
        try await test.onOwner { test.bus.suspend(plugin: "p") }
        try await test.bus.emit([event("a", id: "1"), event("a", id: "2")])
        test.catchUp()
        #expect(endpoint.ids == [])
        try await test.replace("p", [test.spec("p", ">")], by: endpoint)
        test.catchUp()
        #expect(endpoint.ids == ["1", "2"])
    }

    @Test func `thousands of subscriptions come and go without trace`() async throws {
        let test = try await TestBus()
        for round in 0..<50 {
            let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
            let specs = try (0..<50).map { try test.spec("p\(round)", "a", name: "p\(round).\($0)") }
            try await test.replace("p\(round)", specs, by: endpoint)
            try await test.bus.emit(event("a"))
            test.catchUp()
            #expect(endpoint.deliveries.count == 50)
            try await test.onOwner { test.bus.remove(plugin: "p\(round)") }
        }
        let statistics = await test.bus.statistics()
        #expect(statistics.subscriptions.isEmpty && statistics.settled == 2_500)
    }
}
