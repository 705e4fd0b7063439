import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite
import MoonbusTesting
import Testing

@Suite struct RetentionTests {
    @Test func `events that nobody is owed go when they are too old, and the last ones stay`() async throws {
        let clock = ManualClock()
        let rig = try Rig(clock: clock) { $0.retention = .init(age: .seconds(3_600), size: .max, history: 3) }
        try await rig.append((1...10).map { "old\($0)" })
        try await rig.trim(through: 10)
        clock.advance(by: .seconds(1_800))
        try await rig.append(["middle"])
        #expect(try await rig.ids().count == 11, "none is an hour old")
        clock.advance(by: .seconds(2_000))
        try await rig.append(["new1"])
        #expect(try await rig.ids() == ["old10", "middle", "new1"], "three stay, whatever their age")
    }

    @Test func `more bytes than are to be kept go, oldest first, but not what somebody is owed`() async throws {
        let rig = try Rig { $0.retention = .init(age: .seconds(1 << 30), size: 1 << 16, history: 0) }
        let claimed = try await rig.claim("s")
        for round in 0..<10 { try await rig.append((1...100).map { "r\(round)-\($0)" }) }
        try await rig.settle([Settlement(claimed.number, .span(Span(after: 0, through: 400)), .done)])
        try await rig.trim(through: 1_000, owing: [claimed.number])
        // Each commit takes some along.
        for number in 0..<10 { try await rig.append(["n\(number)"]) }
        let ids = try await rig.ids()
        #expect(ids.first == "r4-1")
        #expect(ids.count == 610)
    }

    @Test func `an id is a duplicate for a day, also after reopening, and then it is new`() async throws {
        let clock = ManualClock()
        let rig = try Rig(clock: clock) { $0.retention = .init(age: .zero, size: 0, history: 0) }
        try await rig.append(["same"])
        try await rig.trim(through: 1)
        try await rig.append(["other"])
        #expect(try await rig.ids() == ["other"], "the event itself is forgotten")
        rig.journal.close()

        clock.advance(by: .seconds(23 * 3_600))
        let later = try Rig(rig.folder, in: rig.folders, clock: clock)
        #expect(try await later.append(["same"]) == [Recorded(position: 1, isDuplicate: true)])
        try await later.append(["next"])
        later.journal.close()

        clock.advance(by: .seconds(2 * 3_600))
        let day = try Rig(rig.folder, in: rig.folders, clock: clock)
        #expect(try await day.append(["same"]) == [Recorded(position: 4)])
    }
}
