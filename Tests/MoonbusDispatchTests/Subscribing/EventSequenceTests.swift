import MoonbusDispatch
import MoonbusEvents
import MoonbusTesting
import Testing

@Suite struct EventSequenceTests {
    @Test func `a reader sees the events that match, in order, from the moment when it asked`() async throws {
        let test = try await TestBus()
        try await test.bus.emit(event("a", id: "before"))
        let events = test.bus.events(matching: try EventPattern("a.*"))
        try await test.bus.emit([event("a.x", id: "1"), event("b", id: "no"), event("a.y", id: "2")])
        var iterator = events.makeAsyncIterator()
        #expect(await iterator.next()?.id == "1")
        #expect(await iterator.next()?.id == "2")
        async let third = iterator.next()
        try await test.bus.emit(event("a.z", id: "3"))
        #expect(await third?.id == "3")
    }

    @Test func `a slow reader is told how many events it has missed`() async throws {
        let test = try await TestBus()
        let events = test.bus.events(matching: try EventPattern(">"), buffer: 2)
        try await test.bus.emit((1...5).map { try event("a", id: "\($0)") })
        var iterator = events.makeAsyncIterator()
        #expect(events.skippedCount == 3)
        #expect(await iterator.next()?.id == "1")
        #expect(await iterator.next()?.id == "2")
        let note = try #require(await iterator.next())
        #expect(note.typeText == EventSequence.skippedType)
        #expect(note.data?.value["count"] == 3)
        try await test.bus.emit(event("a", id: "6"))
        #expect(await iterator.next()?.id == "6")
    }

    @Test func `the sequence ends with the bus, after what is buffered`() async throws {
        let test = try await TestBus()
        let events = test.bus.events(matching: try EventPattern(">"))
        try await test.bus.emit(event("a", id: "1"))
        await test.bus.stop()
        var seen: [String] = []
        for await event in events { seen.append(event.id) }
        #expect(seen == ["1"])
        for await _ in test.bus.events(matching: try EventPattern(">")) { Issue.record("an event of a stopped bus") }
    }

    @Test func `a cancelled reader gets nothing more`() async throws {
        let test = try await TestBus()
        let events = test.bus.events(matching: try EventPattern(">"))
        let reader = Task {
            var count = 0
            for await _ in events { count += 1 }
            return count
        }
        reader.cancel()
        #expect(await reader.value == 0)
    }
}
