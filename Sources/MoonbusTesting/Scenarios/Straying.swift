internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let straying: [Scenario] = [
        Scenario("a failed delivery leaves the order and is kept with its event and errors") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(2)).map(\.position)
            let stray = Sample.stray(places[0], try Sample.event("e1"))
            try await journal.settle(claimed, Sample.span(claimed.floor, places[0]), .retry([stray]))
            let now = try await journal.claim("s")
            try bench.expect(now.floor, is: places[0], "the floor")
            try bench.expect(now.strays, is: [stray], "strays")
        },
        Scenario("another failure replaces the record of a stray") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let place = try await journal.append(Sample.events(1))[0].position
            var stray = Sample.stray(place, try Sample.event("e1"))
            try await journal.settle(claimed, Sample.span(claimed.floor, place), .retry([stray]))
            stray.failures.append(Sample.failure(2))
            stray.due = Timestamp(microseconds: 20_000)
            try await journal.settle(claimed, .strays([place]), .retry([stray]))
            try bench.expect(try await journal.claim("s").strays, is: [stray], "strays")
        },
        Scenario("a stray may be at a position that no event has: what is in no log is owed again, too") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let strays = try [0, 1 << 62 + 7].map { Sample.stray($0, try Sample.event("tick \($0)")) }
            for stray in strays { try await journal.settle(claimed, .nothing, .retry([stray])) }
            try bench.expect(Set(try await journal.claim("s").strays), is: Set(strays), "strays")
            let done = try await journal.settle(claimed, .strays([0]), .done, Commit(schedule: Timestamp(microseconds: 5_000)))
            try bench.expect(done, is: .committed([]), "the first one's end")
            let now = try await journal.claim("s")
            try bench.expect(now.strays, is: [strays[1]], "strays after it")
            try bench.expect(now.schedule, is: Timestamp(microseconds: 5_000), "the schedule")
            try bench.expect(now.floor, is: claimed.floor, "the floor")
        },
        Scenario("a stray that is done is gone, and done once") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let place = try await journal.append(Sample.events(1))[0].position
            try await journal.settle(claimed, Sample.span(claimed.floor, place), .retry([Sample.stray(place, Sample.event("e1"))]))
            let first = try await journal.settle(claimed, .strays([place]), .done, Commit(events: [Sample.event("out")]))
            guard case .committed = first else {
                throw ConformanceFailure(description: "'\(bench.scenario)': expected a commit, got \(first)")
            }
            let second = try await journal.settle(claimed, .strays([place]), .done, Commit(events: [Sample.event("other")]))
            try bench.expect(second, is: .hadEnded, "the second time")
            try bench.expect(try await journal.claim("s").strays, is: [], "strays")
            try bench.expect(try await journal.ids(), is: ["e1", "out"], "the log")
        },
        Scenario("strays come back by the time when they are due") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(2)).map(\.position)
            let late = Sample.stray(places[0], try Sample.event("e1"), due: Timestamp(microseconds: 200))
            let soon = Sample.stray(places[1], try Sample.event("e2"), due: Timestamp(microseconds: 100))
            try await journal.settle(claimed, Sample.span(claimed.floor, places[0]), .retry([late]))
            try await journal.settle(claimed, Sample.span(places[0], places[1]), .retry([soon]))
            try bench.expect(try await journal.claim("s").strays, is: [soon, late], "strays")
        },
        Scenario("a result is owed to the source's subscription from the commit of its handler on") { bench in
            let journal = try await bench.open()
            let (source, handler) = (try await journal.claim("source"), try await journal.claim("s"))
            let place = try await journal.append(Sample.events(1))[0].position
            let result = Sample.stray(1 << 61 + 7, try Sample.event("result"))
            let commit = Commit(results: [SourceResult(to: "source", result), SourceResult(to: "nobody", result)])
            let done = try await journal.settle(handler, Sample.span(handler.floor, place), .done, commit)
            try bench.expect(done, is: .committed([]), "the handler's end")
            try bench.expect(try await journal.claim("source").strays, is: [result], "what the source is owed")
            try bench.expect(try await journal.claim("s").strays, is: [], "what the handler is owed")
            let again = try await journal.settle(handler, Sample.span(handler.floor, place), .done, commit)
            try bench.expect(again, is: .hadEnded, "the handler's second end")
            try await journal.settle(source, .strays([result.position]), .done)
            try bench.expect(try await journal.claim("source").strays, is: [], "what the source is owed after it")
        },
    ]
}
