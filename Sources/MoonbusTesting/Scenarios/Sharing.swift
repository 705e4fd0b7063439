internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let sharing: [Scenario] = [
        Scenario("a plugin that would store more than its share commits nothing, and others store") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("p.s")
            let place = try await journal.append(Sample.events(1))[0].position
            let first = try await journal.settle(claimed, .nothing, .done, Sample.store(["a": 100, "b": 100], of: "p", within: 400))
            try bench.expect(first, is: .committed([]), "within the share")
            let held = 2 * Sample.size(100)
            let more = try Sample.store(["c": 100], of: "p", within: 400, emitting: "out")
            let refused = try await journal.settle(claimed, Sample.span(claimed.floor, place), .done, more)
            let wanted = held + Sample.size(100)
            try bench.expect(
                refused, is: .beyondShare(ShareExcess(.state, held: held, wanted: wanted, limit: 400)), "beyond the share")
            try bench.expect(try await journal.scan("p", ""), is: ["a", "b"], "the keys after the refusal")
            try bench.expect(try await journal.ids(), is: ["e1"], "the log after the refusal")
            try bench.expect(try await journal.claim("p.s").floor, is: claimed.floor, "the floor after the refusal")
            let other = try await journal.settle(claimed, .nothing, .done, Sample.store(["c": 100], of: "q", within: 400))
            try bench.expect(other, is: .committed([]), "another plugin")
            let nobody = try await journal.settle(claimed, .nothing, .done, Sample.write("d", "1"))
            try bench.expect(nobody, is: .committed([]), "whoever has no share")
        },
        Scenario("a plugin whose share is full may replace, shorten and delete, and store again what that has freed") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("p.s")
            func settle(_ commit: Commit) async throws -> Settled { try await journal.settle(claimed, .nothing, .done, commit) }
            try bench.expect(try await settle(Sample.store(["a": 300, "b": 300], of: "p", within: 1_000)), is: .committed([]), "a and b")
            // The share shrinks below what is there, as when a manifest is edited.
            let limit = 500
            try bench.expect(try await settle(Sample.store(["a": 300], of: "p", within: limit)), is: .committed([]), "as long as before")
            try bench.expect(try await settle(Sample.store(["a": 200], of: "p", within: limit)), is: .committed([]), "shorter")
            let longer = ShareExcess(.state, held: Sample.size(200) + Sample.size(300), wanted: 2 * Sample.size(300), limit: limit)
            try bench.expect(try await settle(Sample.store(["a": 300], of: "p", within: limit)), is: .beyondShare(longer), "longer again")
            try bench.expect(try await settle(Sample.store(["a": nil], of: "p", within: limit)), is: .committed([]), "the deletion of a")
            try bench.expect(try await settle(Sample.store(["c": 20], of: "p", within: limit)), is: .committed([]), "what a has freed")
            let exchange = try Sample.store(["b": nil, "d": 300], of: "p", within: limit)
            try bench.expect(try await settle(exchange), is: .committed([]), "one for the other")
            try bench.expect(try await journal.scan("p", ""), is: ["c", "d"], "the keys")
        },
        Scenario("of several writes of one key only the last counts in the share") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("p.s")
            let share = Share(plugin: "p", stateSizeMax: Sample.size(10))
            let writes = try [("a", 900), ("b", 900), ("a", 10), ("b", nil)].map { try Sample.stored($0.0, $0.1) }
            let commit = Commit(state: StateChange(plugin: "p", writes: writes), share: share)
            try bench.expect(try await journal.settle(claimed, .nothing, .done, commit), is: .committed([]), "what fits in the end")
            let more = try await journal.settle(claimed, .nothing, .done, Sample.store(["a": 11], of: "p", within: share.stateSizeMax))
            let excess = ShareExcess(.state, held: Sample.size(10), wanted: Sample.size(11), limit: share.stateSizeMax)
            try bench.expect(more, is: .beyondShare(excess), "one byte more")
        },
        Scenario("a plugin lets no more events wait than its share, others still can, and one that comes due frees its place") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("p.s")
            let share = Share(plugin: "p", delayedMax: 2)
            func delay(_ ids: String..., by share: Share?) async throws -> Settled {
                let events = try ids.map { DelayedEvent(event: try Sample.event($0), due: Timestamp(microseconds: 100)) }
                return try await journal.settle(claimed, .nothing, .done, Commit(delayed: events, share: share))
            }
            try bench.expect(try await delay("a", "b", by: share), is: .committed([]), "two")
            let excess = ShareExcess(.delayed, held: 2, wanted: 3, limit: 2)
            try bench.expect(try await delay("c", by: share), is: .beyondShare(excess), "a third one")
            try bench.expect(try await delay("d", by: Share(plugin: "q", delayedMax: 2)), is: .committed([]), "of another plugin")
            try bench.expect(try await delay("e", by: nil), is: .committed([]), "of whoever has no share")
            _ = try await journal.append(Sample.event("a"))
            try bench.expect(try await delay("c", by: share), is: .committed([]), "when one has come due")
            try bench.expect(try await journal.delayed().map(\.event.id).sorted(), is: ["b", "c", "d", "e"], "what waits")
        },
        Scenario("the events that a plugin lets wait have no more bytes than its share") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("p.s")
            let large = DelayedEvent(
                event: try Sample.event("a", data: "\"\(String(repeating: "x", count: 1_000))\""), due: Timestamp(microseconds: 100))
            let other = DelayedEvent(event: try Sample.event("b"), due: Timestamp(microseconds: 100))
            let (size, otherSize) = (large.event.recordSize, other.event.recordSize)
            let share = Share(plugin: "p", delayedSizeMax: size)
            func delay(_ event: DelayedEvent) async throws -> Settled {
                try await journal.settle(claimed, .nothing, .done, Commit(delayed: [event], share: share))
            }
            try bench.expect(try await delay(large), is: .committed([]), "a large one")
            let excess = ShareExcess(.delayedSize, held: size, wanted: size + otherSize, limit: size)
            try bench.expect(try await delay(other), is: .beyondShare(excess), "a small one beside it")
            // It comes due, with less data than it waited with.
            _ = try await journal.append(Sample.event("a"))
            try bench.expect(try await delay(other), is: .committed([]), "the small one when the large one has come due")
        },
        Scenario("after reopening it is known what each plugin holds of its share", needs: .survivesReopen) { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("p.s")
            try await journal.settle(claimed, .nothing, .done, Sample.store(["a": 100, "ä": 100], of: "p", within: 1_000))
            let later = DelayedEvent(event: try Sample.event("later"), due: Timestamp(microseconds: 100))
            try await journal.settle(claimed, .nothing, .done, Commit(delayed: [later], share: Share(plugin: "p", delayedMax: 1)))

            let again = try await bench.reopen(journal)
            let same = try await again.claim("p.s")
            let state = try await again.settle(same, .nothing, .done, Sample.store(["c": 1], of: "p", within: 300))
            let held = 2 * Sample.size(100) + 1  // "ä" has two bytes
            try bench.expect(
                state, is: .beyondShare(ShareExcess(.state, held: held, wanted: held + Sample.size(1), limit: 300)), "its state")
            let other = DelayedEvent(event: try Sample.event("other"), due: Timestamp(microseconds: 100))
            let delayed = try await again.settle(same, .nothing, .done, Commit(delayed: [other], share: Share(plugin: "p", delayedMax: 1)))
            try bench.expect(delayed, is: .beyondShare(ShareExcess(.delayed, held: 1, wanted: 2, limit: 1)), "its delayed events")
            let size = later.event.recordSize
            let bytes = try await again.settle(
                same, .nothing, .done, Commit(delayed: [other], share: Share(plugin: "p", delayedSizeMax: size)))
            let excess = ShareExcess(.delayedSize, held: size, wanted: size + other.event.recordSize, limit: size)
            try bench.expect(bytes, is: .beyondShare(excess), "their bytes")
        },
        Scenario("a flood of one plugin's dead letters takes the place of its own oldest", needs: .isBounded) { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let event = try Sample.event("looping")
            func bury(_ subscription: String, _ count: Int) async throws {
                let letters = (0..<count).map { _ in Sample.letter(subscription, 0, event) }
                try await journal.settle(claimed, .nothing, .done, Commit(deadLetters: letters))
            }
            try await bury("few.s", 3)
            for _ in 0..<4 { try await bury("flood.s", 4_000) }
            guard case .measures(let measures) = try await journal.read(.measures) else { return }
            try bench.expect(measures.deadLetterCount + measures.forgottenDeadLetterCount, is: 16_003, "kept and forgotten")
            try bench.expect(measures.forgottenDeadLetterCount > 0, "there are more than a journal keeps")
            guard case .deadLetters(let letters) = try await journal.read(.deadLetters(limit: 20_000)) else { return }
            try bench.expect(letters.count { $0.subscription == "few.s" }, is: 3, "letters of the plugin that has few")
            try bench.expect(letters.map(\.id), is: letters.map(\.id).sorted(by: >), "the order")
            try bench.expect(letters.first?.id, is: 16_003, "the newest one")
        },
    ]
}

extension Sample {
    /// Values of so many bytes of JSON under one-letter keys; nil: a deletion.
    fileprivate static func store(
        _ sizes: KeyValuePairs<String, Int?>, of plugin: String, within limit: Int, emitting id: String? = nil
    ) throws -> Commit {
        let writes = try sizes.map { try stored($0.key, $0.value) }
        return Commit(
            events: try id.map { [try event($0)] } ?? [], state: StateChange(plugin: plugin, writes: writes),
            share: Share(plugin: plugin, stateSizeMax: limit))
    }

    fileprivate static func stored(_ key: String, _ size: Int?) throws -> StateWrite {
        guard let size else { return StateWrite(deleting: key) }
        let json = size < 3 ? String(repeating: "1", count: size) : "\"\(String(repeating: "x", count: size - 2))\""
        return StateWrite(key: key, value: try JSON(json), version: 1)
    }

    /// What such a value counts.
    fileprivate static func size(_ size: Int) -> Int { 1 + size + StateEntry.overhead }
}
