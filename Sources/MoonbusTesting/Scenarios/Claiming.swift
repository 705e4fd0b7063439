internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let claiming: [Scenario] = [
        Scenario("a new subscription starts at the end of the log") { bench in
            let journal = try await bench.open()
            let recorded = try await journal.append(Sample.events(3))
            let claimed = try await journal.claim("s")
            try bench.expect(claimed.isNew, is: true, "new")
            try bench.expect(claimed.floor, is: recorded[2].position, "its floor")
            try bench.expect(claimed.strays, is: [], "strays")
            try bench.expect(claimed.cursor, is: nil, "cursor")
        },
        Scenario("claiming a name again answers the same number and what has ended since") { bench in
            let journal = try await bench.open()
            let first = try await journal.claim("s")
            let other = try await journal.claim("t")
            let recorded = try await journal.append(Sample.events(2))
            try await journal.settle(first, Sample.span(first.floor, recorded[0].position))
            let again = try await journal.claim("s")
            try bench.expect(again.isNew, is: false, "new")
            try bench.expect(again.number, is: first.number, "the number")
            try bench.expect(again.floor, is: recorded[0].position, "the floor")
            try bench.expect(first.number != other.number, "two names have two numbers")
        },
        Scenario("a new subscription may begin before the end, with a cursor, and begins only once") { bench in
            let journal = try await bench.open()
            let places = try await journal.append(Sample.events(3)).map(\.position)
            let beginning = Claim.Beginning(after: places[0], cursor: try JSON(#"{"for":"s"}"#))
            let claimed = try await journal.claim("s", beginning: beginning)
            try bench.expect(claimed.isNew, is: true, "new")
            try bench.expect(claimed.floor, is: places[0], "its floor")
            try bench.expect(claimed.cursor, is: beginning.cursor, "its cursor")
            try await journal.settle(claimed, Sample.span(places[0], places[1]))
            let again = try await journal.claim("s", beginning: Claim.Beginning(after: 0, cursor: try JSON("1")))
            try bench.expect(again.isNew, is: false, "new when it is claimed again")
            try bench.expect(again.floor, is: places[1], "the floor then")
            try bench.expect(again.cursor, is: beginning.cursor, "the cursor then")
            let late = try await journal.claim("late", beginning: Claim.Beginning(after: .max))
            try bench.expect(late.floor, is: places[2], "a beginning past the end")
        },
        Scenario("every subscription that is not retired is listed, with its floor and cursor") { bench in
            let journal = try await bench.open()
            _ = try await journal.claim("s")
            _ = try await journal.claim("gone")
            let place = try await journal.append(Sample.events(1))[0].position
            let begun = try await journal.claim("t", beginning: Claim.Beginning(after: 0, cursor: try JSON("7")))
            try await journal.settle(begun, Sample.span(0, place))
            try await journal.retire("gone")
            let expected = [
                KnownSubscription(name: "s", floor: place - 1), KnownSubscription(name: "t", floor: place, cursor: try JSON("7")),
            ]
            try bench.expect(try await journal.subscriptions(), is: expected, "the list")
        },
        Scenario("a retired name starts anew") { bench in
            let journal = try await bench.open()
            let first = try await journal.claim("s")
            let recorded = try await journal.append(Sample.events(2))
            let event = try Sample.event("e1")
            try await journal.settle(
                first, Sample.span(first.floor, recorded[0].position), .retry([Sample.stray(recorded[0].position, event)]))
            try await journal.retire("s")
            try await journal.retire("never heard of")
            let again = try await journal.claim("s")
            try bench.expect(again.isNew, is: true, "new")
            try bench.expect(again.floor, is: recorded[1].position, "the floor")
            try bench.expect(again.strays, is: [], "strays")
            try bench.expect(again.number != first.number, "a retired number is not used again")
        },
        Scenario("a settlement of a retired subscription still commits its effects") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let recorded = try await journal.append(Sample.events(1))
            try await journal.retire("s")
            let commit = Commit(events: [try Sample.event("out")])
            let settled = try await journal.settle(claimed, Sample.span(claimed.floor, recorded[0].position), .done, commit)
            guard case .committed(let places) = settled else {
                throw ConformanceFailure(description: "'\(bench.scenario)': expected a commit, got \(settled)")
            }
            try bench.expect(places.count, is: 1, "emitted events")
            try bench.expect(try await journal.ids(), is: ["e1", "out"], "the log")
        },
        Scenario("a schedule is stored with the first claim and moved by settlements") { bench in
            let journal = try await bench.open()
            let (first, second, third) = (Timestamp(microseconds: 10), Timestamp(microseconds: 20), Timestamp(microseconds: 30))
            let claimed = try await journal.claim("s", schedule: first)
            try bench.expect(claimed.schedule, is: first, "of the first claim")
            try bench.expect(try await journal.claim("s", schedule: second).schedule, is: first, "of the second claim")
            try await journal.settle(claimed, .nothing, .done, Commit(schedule: third))
            try bench.expect(try await journal.claim("s", schedule: second).schedule, is: third, "after a settlement")
        },
    ]
}
