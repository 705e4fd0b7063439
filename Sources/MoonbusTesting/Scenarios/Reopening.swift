internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let reopening: [Scenario] = [
        Scenario("everything that was answered is there after reopening", needs: .survivesReopen) { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s", schedule: Timestamp(microseconds: 1))
            let places = try await journal.append(Sample.events(4)).map(\.position)
            let stray = Sample.stray(places[1], try Sample.event("e2"))
            let delayed = DelayedEvent(event: try Sample.event("later"), due: Timestamp(microseconds: 100))
            let commit = try Commit(
                events: [Sample.event("out")], delayed: [delayed],
                state: StateChange(plugin: "p", writes: [StateWrite(key: "k", value: JSON("7"), version: 5)]), cursor: JSON("3"),
                schedule: Timestamp(microseconds: 2))
            try await journal.settle(claimed, Sample.span(claimed.floor, places[0]), .done, commit)
            try await journal.settle(claimed, Sample.span(places[0], places[1]), .retry([stray]))
            try await journal.settle(claimed, Sample.span(places[2], places[3]), .dead([Sample.letter("s", places[3], Sample.event("e4"))]))
            let before = try await journal.claim("s")
            let value = try await journal.value("p", "k")

            let again = try await bench.reopen(journal)
            try bench.expect(try await again.ids(), is: ["e1", "e2", "e3", "e4", "out"], "the log")
            try bench.expect(try await again.claim("s"), is: before, "the subscription")
            try bench.expect(before.ended, is: [Span(after: places[2], through: places[3])], "what has ended")
            try bench.expect(try await again.delayed(), is: [delayed], "what waits")
            try bench.expect(try await again.value("p", "k"), is: value, "the state")
            try bench.expect(try await again.deadLetters().map(\.event.id), is: ["e4"], "dead letters")
        },
        Scenario("after reopening positions rise and duplicates and versions are known", needs: .survivesReopen) { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let place = try await journal.append(Sample.event("a"))[0].position
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", "1", version: 9))

            let again = try await bench.reopen(journal)
            let recorded = try await again.append(Sample.event("a"), Sample.event("b"))
            try bench.expect(recorded[0], is: Recorded(position: place, isDuplicate: true), "the duplicate")
            try bench.expect(recorded[1].position > place, "the next position")
            let seen = [StateRead(key: "k", version: 9)]
            let written = try await again.settle(
                try await again.claim("s"), .nothing, .done, Sample.write("k", "2", version: 4, reads: seen))
            try bench.expect(written, is: .committed([]), "a write that saw the version from before")
        },
        Scenario("after reopening a delayed event is known as one, and a stray can end once", needs: .survivesReopen) { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let place = try await journal.append(Sample.events(1))[0].position
            let delayed = DelayedEvent(event: try Sample.event("later"), due: Timestamp(microseconds: 100))
            try await journal.settle(claimed, .nothing, .done, Commit(delayed: [delayed]))
            try await journal.settle(claimed, Sample.span(claimed.floor, place), .retry([Sample.stray(place, Sample.event("e1"))]))

            let again = try await bench.reopen(journal)
            let same = try await again.claim("s")
            let other = DelayedEvent(event: delayed.event, due: Timestamp(microseconds: 500))
            try await again.settle(same, .nothing, .done, Commit(delayed: [other]))
            try bench.expect(try await again.delayed(), is: [delayed], "what waits")
            try bench.expect(try await again.append([delayed.event])[0].isDuplicate, is: false, "appending it")
            try bench.expect(try await again.delayed(), is: [], "what waits after")
            try bench.expect(try await again.settle(same, .strays([place])), is: .committed([]), "the stray")
            try bench.expect(try await again.settle(same, .strays([place])), is: .hadEnded, "the stray again")
            try bench.expect(try await again.settle(same, Sample.span(claimed.floor, place)), is: .hadEnded, "the first delivery again")
        },
        Scenario("after reopening the number of a retired subscription is not used again", needs: .survivesReopen) { bench in
            let journal = try await bench.open()
            _ = try await journal.claim("s")
            let last = try await journal.claim("t")
            try await journal.retire("t")
            let again = try await bench.reopen(journal)
            let next = try await again.claim("u")
            try bench.expect(next.number != last.number, "the number of a new subscription")
            try bench.expect(try await again.claim("t").isNew, is: true, "the retired name is new")
        },
        Scenario("after reopening a subscription that began before the end is listed and owed the rest", needs: .survivesReopen) { bench in
            let journal = try await bench.open()
            let places = try await journal.append(Sample.events(3)).map(\.position)
            let claimed = try await journal.claim("s", beginning: Claim.Beginning(after: 0, cursor: try JSON(#""why""#)))
            try await journal.settle(claimed, Sample.span(0, places[0]))
            let again = try await bench.reopen(journal)
            let known = KnownSubscription(name: "s", floor: places[0], cursor: try JSON(#""why""#))
            try bench.expect(try await again.subscriptions(), is: [known], "the list")
            try await again.trim(through: places[2])
            try bench.expect(try await again.ids(after: places[0]), is: ["e2", "e3"], "what is owed")
        },
        Scenario("what an unclaimed subscription is owed survives reopening and trimming", needs: .survivesReopen) { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(3)).map(\.position)
            try await journal.settle(claimed, Sample.span(claimed.floor, places[0]))
            let again = try await bench.reopen(journal)
            try await again.trim(through: places[2])
            try bench.expect(try await again.ids(after: places[0]), is: ["e2", "e3"], "what is owed")
        },
    ]
}
