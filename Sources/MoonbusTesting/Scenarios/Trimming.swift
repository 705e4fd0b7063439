internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let trimming: [Scenario] = [
        Scenario("what somebody is owed is there after any trim") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(4)).map(\.position)
            try await journal.settle(claimed, Sample.span(claimed.floor, places[0]))
            try await journal.trim(through: places[3], owing: [claimed])
            try bench.expect(try await journal.ids(after: places[0]), is: ["e2", "e3", "e4"], "what is owed")
        },
        Scenario("a subscription that begins before the end is owed what a trim had given up", needs: .isBounded) { bench in
            let journal = try await bench.open(eventsMax: 10)
            let places = try await journal.append(Sample.events(10)).map(\.position)
            try await journal.trim(through: places[9])
            // What has gone in between is gone: the floor says so. What was there then stays.
            let claimed = try await journal.claim("s", beginning: Claim.Beginning(after: places[3]))
            for round in 0..<5 { _ = try? await journal.append(Sample.events(2, prefix: "r\(round)-")) }
            try await journal.trim(through: places[9], owing: [claimed])
            let expected = places.filter { $0 > claimed.floor }.map { "e\($0 - places[0] + 1)" }
            let owed = Array(try await journal.ids(after: claimed.floor).prefix(expected.count))
            try bench.expect(owed, is: expected, "what is owed")
        },
        Scenario("positions go on rising after a trim") { bench in
            let journal = try await bench.open()
            let places = try await journal.append(Sample.events(3)).map(\.position)
            try await journal.trim(through: places[2])
            let next = try await journal.append(Sample.event("n"))[0].position
            try bench.expect(next > places[2], "the next position")
        },
        Scenario("a full journal refuses whole batches, and takes them when something may be forgotten", needs: .isBounded) { bench in
            let journal = try await bench.open(eventsMax: 10)
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(10)).map(\.position)
            let refused = try await bench.failure("a batch past the bound") { try await journal.append(Sample.events(2, prefix: "f")) }
            try bench.expect(refused.code, is: .full, "the refusal")
            try bench.expect(try await journal.events().count, is: 10, "the log after the refusal")
            try await journal.settle(claimed, Sample.span(claimed.floor, places[4]))
            try await journal.trim(through: places[9], owing: [claimed])
            let taken = try await journal.append(Sample.events(2, prefix: "f"))
            try bench.expect(taken.map(\.isDuplicate), is: [false, false], "the same batch later")
            try bench.expect(try await journal.ids(after: places[4]), is: ["e6", "e7", "e8", "e9", "e10", "f1", "f2"], "what is owed")
        },
        Scenario("a full journal refuses effects, and nothing of their settlement is committed", needs: .isBounded) { bench in
            let journal = try await bench.open(eventsMax: 10)
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(10)).map(\.position)
            let commit = try Commit(events: [Sample.event("out")], cursor: JSON("1"))
            let refused = try await bench.failure("an effect past the bound") {
                try await journal.settle(claimed, Sample.span(claimed.floor, places[0]), .done, commit)
            }
            try bench.expect(refused.code, is: .full, "the refusal")
            let now = try await journal.claim("s")
            try bench.expect(now.floor, is: claimed.floor, "the floor")
            try bench.expect(now.cursor, is: nil, "the cursor")
        },
        Scenario("an id is remembered after its event was forgotten", needs: .isBounded) { bench in
            let journal = try await bench.open(eventsMax: 4)
            let first = try await journal.append(Sample.event("a"))[0].position
            for round in 0..<5 {
                let places = try await journal.append(Sample.events(3, prefix: "r\(round)-")).map(\.position)
                try await journal.trim(through: places[2])
            }
            try bench.expect(try await journal.ids().contains("a"), is: false, "the event is forgotten")
            let again = try await journal.append(Sample.event("a"))[0]
            try bench.expect(again, is: Recorded(position: first, isDuplicate: true), "the id")
        },
    ]
}
