internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let settling: [Scenario] = [
        Scenario("settling in order moves the floor") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(3)).map(\.position)
            try await journal.settle(claimed, Sample.span(claimed.floor, places[0]))
            try await journal.settle(claimed, Sample.span(places[0], places[1]))
            let now = try await journal.claim("s")
            try bench.expect(now.floor, is: places[1], "the floor")
            try bench.expect(now.ended, is: [], "stretches above it")
        },
        Scenario("settling out of order keeps the floor below what is still owed") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(5)).map(\.position)
            // Owed are e1, e3, e4, e5; e2 is for others.
            try await journal.settle(claimed, Sample.span(places[2], places[3]))
            try await journal.settle(claimed, Sample.span(places[3], places[4]))
            let before = try await journal.claim("s")
            try bench.expect(before.floor, is: claimed.floor, "the floor")
            try bench.expect(before.ended, is: [Span(after: places[2], through: places[4])], "stretches, merged")
            try await journal.settle(claimed, Sample.span(claimed.floor, places[0]))
            try bench.expect(try await journal.claim("s").floor, is: places[0], "the floor after e1")
            try await journal.settle(claimed, Sample.span(places[0], places[2]))
            let after = try await journal.claim("s")
            try bench.expect(after.floor, is: places[4], "the floor after e3")
            try bench.expect(after.ended, is: [], "stretches after e3")
        },
        Scenario("a delivery that has ended takes effect once") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(2)).map(\.position)
            let commit = try Commit(events: [Sample.event("out")], cursor: JSON("1"))
            try await journal.settle(claimed, Sample.span(claimed.floor, places[0]), .done, commit)
            let again = Commit(events: [try Sample.event("other")], cursor: try JSON("2"))
            let settled = try await journal.settle(claimed, Sample.span(claimed.floor, places[0]), .done, again)
            try bench.expect(settled, is: .hadEnded, "the second settlement")
            try bench.expect(try await journal.ids(), is: ["e1", "e2", "out"], "the log")
            try bench.expect(try await journal.claim("s").cursor, is: try JSON("1"), "the cursor")
        },
        Scenario("acknowledgement, emitted events, state and cursor are one commit") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(1)).map(\.position)
            let commit = try Commit(
                events: [Sample.event("x"), Sample.event("e1"), Sample.event("y")],
                state: StateChange(plugin: "p", writes: [StateWrite(key: "k", value: JSON("7"), version: 5)]), cursor: JSON(#"{"page":2}"#))
            let settled = try await journal.settle(claimed, Sample.span(claimed.floor, places[0]), .done, commit)
            guard case .committed(let recorded) = settled else {
                throw ConformanceFailure(description: "'\(bench.scenario)': expected a commit, got \(settled)")
            }
            try bench.expect(recorded.map(\.isDuplicate), is: [false, true, false], "emitted events, one of them there already")
            try bench.expect(recorded[1].position, is: places[0], "the place of the one that was there")
            try bench.expect(try await journal.ids(), is: ["e1", "x", "y"], "the log")
            try bench.expect(try await journal.value("p", "k")?.value, is: try JSON("7"), "the state")
            try bench.expect(try await journal.claim("s").cursor, is: try JSON(#"{"page":2}"#), "the cursor")
        },
        Scenario("a conflict leaves nothing behind, and the other settlements of the call stand") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(2)).map(\.position)
            let stale = Commit(
                events: [try Sample.event("never")],
                state: StateChange(
                    plugin: "p", reads: [StateRead(key: "a", version: 0), StateRead(key: "b", version: 99)],
                    writes: [StateWrite(key: "a", value: try JSON("1"), version: 5)]), cursor: try JSON("1"))
            let good = Commit(events: [try Sample.event("out")])
            let settled = try await journal.settle([
                Settlement(claimed.number, Sample.span(claimed.floor, places[0]), .done, commit: stale),
                Settlement(claimed.number, Sample.span(places[0], places[1]), .done, commit: good),
            ])
            try bench.expect(settled[0], is: .conflict(keys: ["b"]), "the first one")
            guard case .committed = settled[1] else {
                throw ConformanceFailure(description: "'\(bench.scenario)': the second one: expected a commit, got \(settled[1])")
            }
            let now = try await journal.claim("s")
            try bench.expect(now.floor, is: claimed.floor, "the floor")
            try bench.expect(now.ended, is: [Span(after: places[0], through: places[1])], "what has ended")
            try bench.expect(now.cursor, is: nil, "the cursor")
            try bench.expect(try await journal.value("p", "a"), is: nil, "the state")
            try bench.expect(try await journal.ids(), is: ["e1", "e2", "out"], "the log")
        },
        Scenario("the second of two settlements that read and write one key conflicts") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(2)).map(\.position)
            let seen = [StateRead(key: "k", version: 0)]
            let settled = try await journal.settle([
                Settlement(
                    claimed.number, Sample.span(claimed.floor, places[0]), .done, commit: Sample.write("k", "1", version: 1, reads: seen)),
                Settlement(
                    claimed.number, Sample.span(places[0], places[1]), .done, commit: Sample.write("k", "2", version: 2, reads: seen)),
            ])
            try bench.expect(settled, is: [.committed([]), .conflict(keys: ["k"])], "the answers")
            try bench.expect(try await journal.value("p", "k")?.value, is: try JSON("1"), "the value")
        },
        Scenario("completions of settlements and appends come in the order of the calls") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let events = try Sample.events(10)
            let order = Order()
            await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
                order.start(expecting: 20) { done.resume() }
                for index in 0..<10 {
                    journal.journal.append([events[index]]) { _ in order.note(index * 2) }
                    let settlement = Settlement(
                        claimed.number, Sample.span(claimed.floor + UInt64(index), claimed.floor + UInt64(index) + 1), .done)
                    journal.journal.settle([settlement]) { _ in order.note(index * 2 + 1) }
                }
            }
            try bench.expect(order.noted, is: Array(0..<20), "the order of completions")
        },
        Scenario("a call with a number that was never given out is refused, and nothing of it is committed") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(1)).map(\.position)
            let good = Settlement(
                claimed.number, Sample.span(claimed.floor, places[0]), .done, commit: Commit(events: [try Sample.event("out")]))
            let bad = Settlement(SubscriptionNumber(claimed.number.index + 1_000), .nothing, .done)
            let refused = try await bench.failure("an unknown number") { try await journal.settle([good, bad]) }
            try bench.expect(refused.code, is: .misuse, "the refusal")
            try bench.expect(try await journal.ids(), is: ["e1"], "the log")
            try bench.expect(try await journal.claim("s").floor, is: claimed.floor, "the floor")
        },
        Scenario("a batch of events settles as one") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(3)).map(\.position)
            let coverage = Settlement.Coverage.spans([
                Span(after: claimed.floor, through: places[0]), Span(after: places[1], through: places[2]),
            ])
            try await journal.settle(claimed, coverage, .done, Commit(events: [try Sample.event("out")]))
            let now = try await journal.claim("s")
            try bench.expect(now.floor, is: places[0], "the floor")
            try bench.expect(now.ended, is: [Span(after: places[1], through: places[2])], "what has ended")
            try bench.expect(try await journal.settle(claimed, coverage), is: .hadEnded, "the same batch again")
        },
        Scenario("effects of a handler that goes on are committed without an acknowledgement") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let first = try await journal.settle(claimed, .nothing, .goesOn, Commit(events: [Sample.event("x")]))
            let second = try await journal.settle(claimed, .nothing, .goesOn, Commit(events: [Sample.event("y")]))
            guard case .committed(let one) = first, case .committed(let two) = second else {
                throw ConformanceFailure(description: "'\(bench.scenario)': expected two commits, got \(first), \(second)")
            }
            try bench.expect(one.count + two.count, is: 2, "events")
            try bench.expect(try await journal.ids(), is: ["x", "y"], "the log")
            try bench.expect(try await journal.claim("s").floor, is: claimed.floor, "the floor")
        },
    ]
}
