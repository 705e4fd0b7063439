import Glibc
import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite
import MoonbusTesting
import Testing

@Suite struct OpeningTests {
    @Test func `the connection that writes syncs each commit`() async throws {
        let rig = try Rig()
        #expect(try await rig.pragma("synchronous") == 2)
        #expect(try await rig.pragma("secure_delete") == 0)
        try await rig.append(["e1"])
        #expect(try await rig.pragma("synchronous") == 2)
    }

    @Test func `a folder that is in use is refused, with its name and the process that has it`() async throws {
        let rig = try Rig()
        let error = try await Rig.failure { _ = try Rig(rig.folder, in: rig.folders) }
        #expect(error?.code == .inUse)
        #expect(error?.message.contains(rig.folder) == true)
        #expect(error?.message.contains("process \(getpid())") == true)
        rig.journal.close()
        _ = try Rig(rig.folder, in: rig.folders)
    }

    @Test func `nobody else may read the folder or its files`() async throws {
        let rig = try Rig()
        try await rig.append(["e1"])
        #expect(Bytes.mode(rig.folder) == 0o700)
        for name in ["moonbus.db", "moonbus.db-wal", "moonbus.mark", "moonbus.lock"] {
            #expect(Bytes.mode("\(rig.folder)/\(name)") == 0o600, "\(name)")
        }
    }

    @Test func `a folder whose parent is missing is refused with the reason`() async throws {
        let error = try await Rig.failure { _ = try Rig("/nowhere/at/all") }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("/nowhere/at/all") == true)
    }

    @Test func `closing does what was asked before, and nothing after`() async throws {
        let rig = try Rig()
        async let recorded = rig.append(["e1"])
        #expect(try await recorded.count == 1)
        rig.journal.close()
        rig.journal.close()
        let error = try await Rig.failure { try await rig.append(["e2"]) }
        #expect(error?.code == .unavailable)
        #expect(try await Rig(rig.folder, in: rig.folders).ids() == ["e1"])
    }

    @Test func `a hundred thousand delayed events and strays are there after reopening`() async throws {
        let rig = try Rig()
        let claimed = try await rig.claim("s")
        let events = try (0..<1_000).map { try Rig.event("d\($0)") }
        for start in stride(from: 0, to: 100_000, by: 1_000) {
            let delayed = try (start..<start + 1_000).map {
                DelayedEvent(event: try Rig.event("late\($0)"), due: Timestamp(microseconds: Int64(200_000 - $0)))
            }
            try await rig.settle([Settlement(claimed.number, .nothing, .done, commit: Commit(delayed: delayed))])
        }
        let strays = events.indices.map { index in
            Stray(position: UInt64(index) + 1, event: events[index], due: Timestamp(microseconds: Int64(index)), failures: [])
        }
        try await rig.settle([Settlement(claimed.number, .span(Span(after: 0, through: 1_000)), .retry(strays))])
        rig.journal.close()

        let again = try Rig(rig.folder, in: rig.folders)
        #expect(try await again.claim("s").strays.count == 1_000)
        guard case .delayed(let first) = try await again.read(.delayed(limit: 1)) else {
            Issue.record("no delayed events")
            return
        }
        #expect(first.map(\.event.id) == ["late99999"])
        let refused = try await Rig.failure {
            try await again.settle([
                Settlement(claimed.number, .nothing, .done, commit: Commit(delayed: [DelayedEvent(event: events[0], due: first[0].due)]))
            ])
        }
        #expect(refused?.code == .full, "the limit counts those from before")
        #expect(try await again.append(["late99999"]) == [Recorded(position: 1_001)])
        guard case .measures(let measures) = try await again.read(.measures) else { return }
        #expect(measures.delayedCount == 99_999)
    }
}
