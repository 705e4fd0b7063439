import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite
import Testing

/// A disk that is full, or cannot be written: `max_page_count` and `query_only` make SQLite fail where the kernel would.
@Suite struct TroubleTests {
    @Test func `when the file may not grow, calls are refused whole, reads go on, and it works again without a restart`() async throws {
        let rig = try Rig()
        let claimed = try await rig.claim("s")
        try await rig.append(["e1"])
        try await rig.pragma("max_page_count = \(try await rig.pragma("page_count"))")

        let many = (1...200).map { "f\($0)" }
        let refused = try await Rig.failure { try await rig.append(many) }
        #expect(refused?.code == .full)
        #expect(refused?.message.contains("moonbus.db") == true)
        let span = Settlement.Coverage.span(Span(after: claimed.floor, through: 1))
        let commit = Commit(events: try many.map { try Rig.event($0) })
        let settlement = Settlement(claimed.number, span, .done, commit: commit)
        #expect(try await Rig.failure { try await rig.settle([settlement]) }?.code == .full)
        #expect(try await rig.ids() == ["e1"])
        #expect(try await rig.claim("s").floor == claimed.floor, "the acknowledgement went with its effects")

        try await rig.pragma("max_page_count = 1000000")
        #expect(try await rig.append(["f1", "e1"]) == [Recorded(position: 2), Recorded(position: 1, isDuplicate: true)])
        #expect(try await rig.settle([settlement]).count == 1)
        #expect(try await rig.claim("s").floor == 1)
    }

    @Test func `a call that cannot be written does not fail those that came with it`() async throws {
        let rig = try Rig()
        try await rig.append(["e1"])
        try await rig.pragma("max_page_count = \(try await rig.pragma("page_count"))")
        // All four are posted before the first is answered.
        async let many = Rig.failure { try await rig.append((1...500).map { "f\($0)" }) }
        async let read = rig.ids()
        async let one = rig.append(["g1"])
        async let end = rig.end()
        #expect(try await many?.code == .full)
        #expect(try await read.first == "e1")
        #expect(try await one[0].isDuplicate == false)
        #expect(try await end <= 2)
    }

    @Test func `when the file cannot be written, calls say so, reads go on, and it works again without a restart`() async throws {
        let rig = try Rig()
        try await rig.append(["e1"])
        try await rig.pragma("query_only = 1")
        let refused = try await Rig.failure { try await rig.append(["e2"]) }
        #expect(refused?.code == .unavailable)
        #expect(refused?.message.contains("cannot be written") == true)
        #expect(try await rig.ids() == ["e1"])
        try await rig.pragma("query_only = 0")
        #expect(try await rig.append(["e2"]) == [Recorded(position: 2)])
        rig.journal.close()
        #expect(try await Rig(rig.folder, in: rig.folders).ids() == ["e1", "e2"])
    }

    @Test func `a bound on the file's size is kept, and freed room is used again`() async throws {
        let rig = try Rig {
            $0.limits.size = 512 << 10
            $0.retention = .init(age: .zero, size: 0, history: 0)
        }
        var count = 0
        var error: JournalError?
        while error == nil, count < 10_000 {
            error = try await Rig.failure { try await rig.append((0..<100).map { "e\(count + $0)" }) }
            if error == nil { count += 100 }
        }
        #expect(error?.code == .full)
        #expect(count > 500)
        try await rig.trim(through: UInt64(count))
        #expect(try await rig.append(["after"])[0].position == UInt64(count) + 1, "what may go goes before a call is refused")
        #expect(try await rig.ids().last == "after")
    }
}
