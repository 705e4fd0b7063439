import Testing

@testable import MoonbusEvents

@Suite struct EventMakerTests {
    private func fields(_ type: String, _ data: String, _ body: (EventFields) throws -> Void) rethrows {
        try type.withUTF8Bytes { type in
            try data.withUTF8Bytes { data in
                var fields = EventFields()
                fields.type = type
                fields.data = data
                try body(fields)
            }
        }
    }

    @Test func `events that share memory are as those that don't`() throws {
        var maker = EventMaker()
        var events: [Event] = []
        // Small ones share; one of 5,000 bytes does not, and those behind it go on as before.
        for index in 0..<500 {
            let filling = String(repeating: "x", count: index == 250 ? 5_000 : index % 40)
            fields("a.b\(index)", #"{"n":\#(index),"s":"\#(filling)"}"#) { events.append(maker.make($0)) }
        }
        for (index, event) in events.enumerated() {
            #expect(event.typeText == "a.b\(index)")
            #expect(event.data?.value["n"]?.integer == Int64(index))
            #expect(event.source == Event.defaultSource)
            let copy = try event.withUnsafeRecord { try Event(record: $0) }
            #expect(copy == event)
            #expect(copy.data == event.data)
        }
        #expect(Set(events).count == 500)
        #expect(Set(events.map { ObjectIdentifier($0.storage) }).count < 20)
    }

    @Test func `a detached event has memory of its own and is the same`() {
        var maker = EventMaker()
        var shared: [Event] = []
        for _ in 0..<2 { fields("a.b", #"{"n":1}"#) { shared.append(maker.make($0)) } }
        #expect(shared[0].storage === shared[1].storage)
        let detached = shared[1].detached
        #expect(detached == shared[1] && detached.storage !== shared[1].storage)
        #expect(detached.storage.header == detached.recordSize)
        #expect(detached.data == shared[1].data)
        #expect(detached.detached.storage === detached.storage)
    }
}
