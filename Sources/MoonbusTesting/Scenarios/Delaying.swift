internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let delaying: [Scenario] = [
        Scenario("a delayed event waits outside the log, earliest first, until it is appended") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let late = DelayedEvent(event: try Sample.event("late"), due: Timestamp(microseconds: 200))
            let soon = DelayedEvent(event: try Sample.event("soon"), due: Timestamp(microseconds: 100))
            try await journal.settle(claimed, .nothing, .done, Commit(delayed: [late, soon]))
            try bench.expect(try await journal.ids(), is: [], "the log before")
            try bench.expect(try await journal.delayed(), is: [soon, late], "what waits")
            let recorded = try await journal.append([soon.event])
            try bench.expect(recorded[0].isDuplicate, is: false, "appending it")
            try bench.expect(try await journal.delayed(), is: [late], "what waits after")
            try bench.expect(try await journal.ids(), is: ["soon"], "the log after")
        },
        Scenario("an event that is recorded or delayed already is not delayed again") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            _ = try await journal.append(Sample.event("there"))
            let delayed = DelayedEvent(event: try Sample.event("later"), due: Timestamp(microseconds: 100))
            try await journal.settle(claimed, .nothing, .done, Commit(delayed: [delayed]))
            let again = Commit(delayed: [
                DelayedEvent(event: try Sample.event("there"), due: Timestamp(microseconds: 500)),
                DelayedEvent(event: try Sample.event("later"), due: Timestamp(microseconds: 500)),
            ])
            try await journal.settle(claimed, .nothing, .done, again)
            try bench.expect(try await journal.delayed(), is: [delayed], "what waits")
        },
    ]
}
