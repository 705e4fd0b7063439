import Dispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite
import Testing

@Suite struct GroupCommitTests {
    @Test func `calls that came together share one commit, and the journal counts it once`() async throws {
        let rig = try Rig()
        try await rig.append(["first"])
        let start = try await rig.commitCount()
        let gate = DispatchSemaphore(value: 0)
        let (entered, enter) = AsyncStream.makeStream(of: Void.self)
        rig.journal.append([try Rig.event("second")]) { _ in
            enter.finish()
            gate.wait()
        }
        for await _ in entered {}
        // The writer waits in that completion, and the next three gather behind it.
        let (answers, answered) = AsyncStream.makeStream(of: Bool.self)
        for ids in [["e1"], ["e2", "e3"], ["e4"]] {
            rig.journal.append(try ids.map { try Rig.event($0) }) { result in
                if case .success = result { answered.yield(true) } else { answered.yield(false) }
            }
        }
        gate.signal()
        var isGood: [Bool] = []
        for await answer in answers {
            isGood.append(answer)
            if isGood.count == 3 { break }
        }
        #expect(isGood == [true, true, true])
        #expect(try await rig.commitCount() - start == 2)
        _ = try await rig.ids()
        #expect(try await rig.commitCount() - start == 2, "a read commits nothing")
    }
}

extension Rig {
    fileprivate func commitCount() async throws -> Int {
        if case .measures(let measures) = try await read(.measures) { measures.commitCount } else { 0 }
    }
}
