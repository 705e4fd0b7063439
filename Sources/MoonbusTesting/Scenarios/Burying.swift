internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let burying: [Scenario] = [
        Scenario("a dead letter keeps the event and every error") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(2)).map(\.position)
            var letter = Sample.letter("s", places[0], try Sample.event("e1", data: #"{"n":1}"#))
            try await journal.settle(claimed, Sample.span(claimed.floor, places[0]), .dead([letter]))
            let letters = try await journal.deadLetters()
            try bench.expect(letters.count, is: 1, "letters")
            try bench.expect((letters.first?.id ?? 0) > 0, "it has an id")
            letter.id = letters[0].id
            try bench.expect(letters[0], is: letter, "the letter")
            try bench.expect(letters[0].event.data, is: try JSON(#"{"n":1}"#), "its event's data")
            try bench.expect(try await journal.claim("s").floor, is: places[0], "the floor")
            guard case .deadLetters(let found) = try await journal.read(.deadLetter(id: letter.id)) else { return }
            try bench.expect(found, is: [letter], "by its id")
        },
        Scenario("dead letters are listed newest first") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let places = try await journal.append(Sample.events(2)).map(\.position)
            try await journal.settle(
                claimed, Sample.span(claimed.floor, places[0]), .dead([Sample.letter("s", places[0], Sample.event("e1"))]))
            try await journal.settle(claimed, Sample.span(places[0], places[1]), .dead([Sample.letter("s", places[1], Sample.event("e2"))]))
            try bench.expect(try await journal.deadLetters().map(\.event.id), is: ["e2", "e1"], "letters")
        },
        Scenario("a done delivery may bury events that it emitted") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let letter = Sample.letter("s", 0, try Sample.event("looping"))
            try await journal.settle(claimed, .nothing, .done, Commit(deadLetters: [letter]))
            try bench.expect(try await journal.deadLetters().map(\.event.id), is: ["looping"], "letters")
            try bench.expect(try await journal.ids(), is: [], "the log")
        },
        Scenario("a revived letter is owed again, once") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let place = try await journal.append(Sample.events(1))[0].position
            try await journal.settle(claimed, Sample.span(claimed.floor, place), .dead([Sample.letter("s", place, Sample.event("e1"))]))
            let id = try await journal.deadLetters()[0].id
            let stray = Sample.stray(place, try Sample.event("e1"))
            try bench.expect(try await journal.settle(claimed, .nothing, .revived(letter: id, stray)), is: .committed([]), "the first time")
            try bench.expect(try await journal.settle(claimed, .nothing, .revived(letter: id, stray)), is: .hadEnded, "the second time")
            try bench.expect(try await journal.deadLetters(), is: [], "letters")
            try bench.expect(try await journal.claim("s").strays, is: [stray], "strays")
        },
    ]
}
