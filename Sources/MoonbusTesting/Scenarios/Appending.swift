internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let appending: [Scenario] = [
        Scenario("positions start at 1 and rise in the order of the events") { bench in
            let journal = try await bench.open()
            let recorded = try await journal.append(Sample.events(3))
            try bench.expect(recorded.map(\.isDuplicate), is: [false, false, false], "duplicates")
            try bench.expect(recorded[0].position >= 1, "the first position is at least 1")
            try bench.expect(recorded[0].position < recorded[1].position && recorded[1].position < recorded[2].position, "positions rise")
            try bench.expect(try await journal.ids(), is: ["e1", "e2", "e3"], "events in order")
            try bench.expect(try await journal.end(), is: recorded[2].position, "the end is the last position")
        },
        Scenario("what is read back is the event, byte for byte") { bench in
            let journal = try await bench.open()
            let event = try Event(
                type: EventType("orders.eu.created"), data: JSON(#"{"a": [1, 2.50, "ü"]}"#), id: "x", source: "/s", subject: "order-7",
                key: "k",
                time: Timestamp(microseconds: 123_456_789), traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                causeid: "c",
                hops: 3, extensions: JSON(#"{"tenant":"t"}"#))
            _ = try await journal.append(event)
            let back = try await journal.events()[0].event
            try bench.expect(back.withUnsafeRecord { Array($0) }, is: event.withUnsafeRecord { Array($0) }, "the record")
        },
        Scenario("an event with the same source and id is recorded once and keeps its position") { bench in
            let journal = try await bench.open()
            let first = try await journal.append(Sample.event("a"), Sample.event("b"))
            let second = try await journal.append(Sample.event("b", data: "1"), Sample.event("c"))
            try bench.expect(second[0], is: Recorded(position: first[1].position, isDuplicate: true), "the second 'b'")
            try bench.expect(second[1].isDuplicate, is: false, "'c' is new")
            try bench.expect(try await journal.ids(), is: ["a", "b", "c"], "the log")
        },
        Scenario("two equal events in one batch are recorded once") { bench in
            let journal = try await bench.open()
            let recorded = try await journal.append(Sample.event("a"), Sample.event("a"))
            try bench.expect(recorded, is: [recorded[0], Recorded(position: recorded[0].position, isDuplicate: true)], "the batch")
        },
        Scenario("the same id from another source is another event") { bench in
            let journal = try await bench.open()
            // Concatenated, source and id of both are the same bytes: neither may be taken for the other.
            let recorded = try await journal.append(
                Sample.event("a1", source: "/x"), Sample.event("a", source: "1/x"), Sample.event("a1", source: "/y"))
            try bench.expect(recorded.map(\.isDuplicate), is: [false, false, false], "duplicates")
        },
        Scenario("completions come once each, in the order of the calls") { bench in
            let journal = try await bench.open()
            let order = Order()
            await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
                order.start(expecting: 20) { done.resume() }
                for index in 0..<20 {
                    let event = try? Sample.event("e\(index)")
                    journal.journal.append(event.map { [$0] } ?? []) { _ in order.note(index) }
                }
            }
            try bench.expect(order.noted, is: Array(0..<20), "the order of completions")
        },
        Scenario("a call sees what an earlier one does, answered or not") { bench in
            let journal = try await bench.open()
            let events = try Sample.events(3)
            let answer = try await withCheckedThrowingContinuation { continuation in
                journal.journal.append(events) { _ in }
                journal.journal.read(.events(after: 0, limit: 10)) { continuation.resume(with: $0) }
            }
            guard case .events(let seen) = answer else {
                throw ConformanceFailure(description: "'\(bench.scenario)': the answer is of another kind")
            }
            try bench.expect(seen.map(\.event.id), is: ["e1", "e2", "e3"], "what a read sees that was asked right after the append")
        },
        Scenario("an append of nothing is answered with nothing") { bench in
            let journal = try await bench.open()
            try bench.expect(try await journal.append([]), is: [], "the answer")
            try bench.expect(try await journal.end(), is: 0, "the end")
        },
        Scenario("reading starts after a position and respects its limit") { bench in
            let journal = try await bench.open()
            let recorded = try await journal.append(Sample.events(5))
            let page = try await journal.events(after: recorded[1].position, limit: 2)
            try bench.expect(page.map(\.event.id), is: ["e3", "e4"], "the page")
            try bench.expect(page.map(\.position), is: [recorded[2].position, recorded[3].position], "its positions")
            try bench.expect(try await journal.ids(after: recorded[4].position), is: [], "after the end")
        },
        Scenario("an event is found by its id, the newest first") { bench in
            let journal = try await bench.open()
            _ = try await journal.append(Sample.event("a", source: "/x"), Sample.event("a", source: "/y"), Sample.event("b"))
            guard case .events(let found) = try await journal.read(.event(id: "a")),
                case .events(let none) = try await journal.read(.event(id: "z"))
            else { throw ConformanceFailure(description: "'\(bench.scenario)': the answer is of another kind") }
            try bench.expect(found.map(\.event.source), is: ["/y"], "the newest 'a'")
            try bench.expect(none, is: [], "an unknown id")
        },
    ]
}
