import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite
import MoonbusTesting
import Testing

/// What a plugin holds is counted in memory: it must say what the file says, also when a transaction came to nothing.
@Suite struct ShareTests {
    @Test func `a transaction that fails leaves the counts of state, delayed events and dead letters as they were`() async throws {
        let rig = try Rig()
        let number = try await rig.claim("p.s").number
        try await rig.settle([Settlement(number, .nothing, .done, commit: try commit("a", 100, delaying: "d1", burying: 3))])
        try await rig.pragma("max_page_count = \(try await rig.pragma("page_count"))")
        let small = Settlement(number, .nothing, .done, commit: try commit("c", 2, delaying: "d2", burying: 2))
        let large = Settlement(number, .nothing, .done, commit: try commit("b", 200_000, stateSizeMax: .max))
        #expect(try await Rig.failure { try await rig.settle([small, large]) }?.code == .full)
        try await rig.pragma("max_page_count = 1000000")

        guard case .measures(let measures) = try await rig.read(.measures) else { return }
        #expect(measures.deadLetterCount == 3 && measures.delayedCount == 1)
        // Exactly what is left of the share fits, and not a byte more.
        let rest = 10_000 - (1 + 100 + 64) - (1 + 64)
        let beyond = try await rig.settle([Settlement(number, .nothing, .done, commit: try commit("b", rest + 1))])
        #expect(beyond == [.beyondShare(ShareExcess(.state, held: 165, wanted: 10_001, limit: 10_000))])
        #expect(
            try await rig.settle([Settlement(number, .nothing, .done, commit: try commit("b", rest, delaying: "d3"))]) == [.committed([])])
        let third = try await rig.settle([Settlement(number, .nothing, .done, commit: try commit("b", 1, delaying: "d4"))])
        #expect(third == [.beyondShare(ShareExcess(.delayed, held: 2, wanted: 3, limit: 2))])
    }

    @Test func `of too many dead letters the oldest go of the plugin that has most, also after opening again`() async throws {
        let folders = TemporaryFolders()
        let first = try Rig(in: folders) { $0.limits.deadLetters = 4 }
        let number = try await first.claim("s").number
        try await first.settle([Settlement(number, .nothing, .dead([try letter("few.s", "1"), try letter("many.s", "2")]))])
        first.journal.close()
        let rig = try Rig(first.folder, in: folders) { $0.limits.deadLetters = 4 }
        try await rig.settle([Settlement(number, .nothing, .dead(try (3...6).map { try letter("many.s", "\($0)") }))])
        #expect(try await letters(rig) == ["6", "5", "4", "1"])
        guard case .deadLetters(let kept) = try await rig.read(.deadLetters(limit: 10)) else { return }
        for letter in kept.prefix(2) {
            #expect(try await rig.settle([Settlement(number, .nothing, .revived(letter: letter.id, nil))]) == [.committed([])])
        }
        try await rig.settle([Settlement(number, .nothing, .dead([try letter("few.s", "7"), try letter("new.s", "8")]))])
        #expect(try await letters(rig) == ["8", "7", "4", "1"], "what was dropped has made room")
        guard case .measures(let measures) = try await rig.read(.measures) else { return }
        #expect(measures.deadLetterCount == 4 && measures.forgottenDeadLetterCount == 2)
    }

    @Test func `dead letters have a bound in bytes`() async throws {
        let rig = try Rig { $0.limits.deadLetterBytes = 5_000 }
        let number = try await rig.claim("s").number
        let large = try (1...9).map { try letter("p.s", "\($0)", size: 1_000) }
        try await rig.settle([Settlement(number, .nothing, .dead([try letter("few.s", "0", size: 10)] + large))])
        #expect(try await letters(rig) == ["9", "8", "7", "6", "0"])
    }

    @Test func `many values that have expired make room within seconds, not a few of them a minute`() async throws {
        let clock = ManualClock()
        let rig = try Rig(clock: clock)
        let number = try await rig.claim("p.s").number
        let writes = try (0..<2_000).map { index in
            StateWrite(key: "k\(index)", value: try JSON("1"), version: 1, expires: clock.now() + .seconds(1))
        }
        try await rig.settle([Settlement(number, .nothing, .done, commit: Commit(state: StateChange(plugin: "p", writes: writes)))])
        clock.advance(by: .seconds(61))
        let small = Settlement(number, .nothing, .done, commit: try commit("b", 9_000))
        var answers: [Settled] = []
        for _ in 0..<5 {
            answers += try await rig.settle([small])
            clock.advance(by: .milliseconds(100))
        }
        #expect(answers.last == .committed([]), "\(answers)")
        #expect(answers.first != .committed([]))
    }

    private func commit(
        _ key: String, _ size: Int, delaying id: String? = nil, burying count: Int = 0, stateSizeMax: Int = 10_000
    ) throws -> Commit {
        let json = size < 3 ? String(repeating: "1", count: size) : "\"\(String(repeating: "x", count: size - 2))\""
        let write = StateWrite(key: key, value: try JSON(json), version: 1)
        return Commit(
            delayed: try id.map { [DelayedEvent(event: try Rig.event($0), due: Timestamp(microseconds: 100))] } ?? [],
            state: StateChange(plugin: "p", writes: [write]), deadLetters: try (0..<count).map { try letter("p.s", "\($0)") },
            share: Share(plugin: "p", stateSizeMax: stateSizeMax, delayedMax: 2))
    }

    private func letter(_ subscription: String, _ id: String, size: Int = 10) throws -> DeadLetter {
        DeadLetter(
            subscription: subscription, position: 0, event: try Rig.event(id, size: size), failures: [], died: Timestamp(microseconds: 1))
    }

    private func letters(_ rig: Rig) async throws -> [String] {
        guard case .deadLetters(let letters) = try await rig.read(.deadLetters(limit: 10)) else { return [] }
        return letters.map(\.event.id)
    }
}
