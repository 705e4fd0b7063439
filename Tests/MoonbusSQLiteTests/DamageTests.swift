import Glibc
import MoonbusEvents
import MoonbusJournal
import Testing

@testable import MoonbusSQLite

@Suite struct DamageTests {
    /// Ten commits of one event each, in a folder as a crash leaves it.
    private func crashedFolder() async throws -> (Rig, String) {
        let rig = try Rig()
        for number in 1...10 { try await rig.append(["e\(number)"]) }
        return (rig, try rig.crashed())
    }

    /// Where a frame of the log begins, counted from the last one that was committed: behind it lies what is left of an older filling.
    private func place(ofFrame number: Int, in folder: String) throws -> Int {
        let extent = try #require(WriteAheadLog.extent(path: "\(folder)/moonbus.db-wal"))
        return 32 + (Int(extent.frames) + number) * (24 + 4_096)
    }

    /// The error of an opening that must be refused.
    private func refusal(_ folder: String, in rig: Rig) -> JournalError? {
        do throws(JournalError) {
            _ = try Rig(folder, in: rig.folders)
            return nil
        } catch {
            return error
        }
    }

    @Test func `after a crash everything that was answered is there, without an alarm`() async throws {
        let (rig, folder) = try await crashedFolder()
        let again = try Rig(folder, in: rig.folders)
        #expect(try await again.ids() == (1...10).map { "e\($0)" })
        #expect(try await again.append(["e10", "e11"]) == [Recorded(position: 10, isDuplicate: true), Recorded(position: 11)])
    }

    @Test func `a reader says what the mark knows to be missing, and answers with the rest`() async throws {
        let (rig, folder) = try await crashedFolder()
        defer { rig.journal.close() }
        try Bytes.write([], to: "\(folder)/moonbus.lock")
        let before = try Bytes.read("\(folder)/moonbus.mark")
        #expect(try SQLiteJournal.Reader(folder: folder).loss == nil)
        unlink("\(folder)/moonbus.db-wal")
        let reader = try SQLiteJournal.Reader(folder: folder)
        #expect(reader.loss?.contains("moonbus.db-wal is missing") == true && reader.loss?.contains("up to position 10") == true)
        #expect(throws: Never.self) { try reader.answer(.events(after: 0, limit: 100)) }
        #expect(try Bytes.read("\(folder)/moonbus.mark") == before, "a look changes nothing")
        unlink("\(folder)/moonbus.mark")
        #expect(try SQLiteJournal.Reader(folder: folder).loss?.contains("moonbus.mark is missing") == true)
        #expect(access("\(folder)/moonbus.mark", F_OK) != 0)
    }

    @Test func `a crash before anything was recorded, or before the file was made, is no alarm`() async throws {
        let rig = try Rig()
        let folder = try rig.crashed()
        #expect(try await Rig(folder, in: rig.folders).ids() == [])
        let earlier = try rig.crashed()
        for name in ["moonbus.db", "moonbus.db-wal"] { #expect(unlink("\(earlier)/\(name)") == 0) }
        #expect(try await Rig(earlier, in: rig.folders).ids() == [])
    }

    @Test func `a file that is gone is noticed`() async throws {
        let (rig, folder) = try await crashedFolder()
        for name in ["moonbus.db", "moonbus.db-wal"] { #expect(unlink("\(folder)/\(name)") == 0) }
        #expect(refusal(folder, in: rig)?.code == .damaged)
        let accepted = try Rig(folder, in: rig.folders) { $0.acceptsLoss = true }
        #expect(try await accepted.append(["new"])[0].position == 11)
    }

    @Test func `a flipped byte in the log is noticed, and its tail given up only on demand`() async throws {
        let (rig, folder) = try await crashedFolder()
        // A few pages before the end: SQLite alone would silently open what is before them.
        let place = try place(ofFrame: -5, in: folder)
        try Bytes.change("\(folder)/moonbus.db-wal") { $0[place + 500] ^= 1 }
        let error = refusal(folder, in: rig)
        #expect(error?.code == .damaged)
        #expect(error?.message.contains("moonbus.db-wal") == true)
        #expect(error?.message.contains("events up to position 10") == true)
        #expect(error?.message.contains("acceptsLoss") == true)

        let salvaged = try Rig(folder, in: rig.folders) { $0.acceptsLoss = true }
        let ids = try await salvaged.ids()
        #expect(ids.count < 10)
        #expect(ids == (1...10).prefix(ids.count).map { "e\($0)" })
        #expect(try await salvaged.append(["new"])[0].position == 11, "a position that was answered once is not given again")
        salvaged.journal.close()
        let after = try Rig(folder, in: rig.folders)
        #expect(try await after.ids() == ids + ["new"])
    }

    @Test func `a loss that was accepted is no alarm any more`() async throws {
        let (rig, folder) = try await crashedFolder()
        #expect(unlink("\(folder)/moonbus.db-wal") == 0)
        try Rig(folder, in: rig.folders) { $0.acceptsLoss = true }.journal.close()
        let again = try Rig(folder, in: rig.folders)
        #expect(try await again.ids() == [])
        #expect(try await again.append(["new"])[0].position == 11)
    }

    @Test func `a log that is cut off is noticed`() async throws {
        let (rig, folder) = try await crashedFolder()
        let place = try place(ofFrame: -1, in: folder)
        try Bytes.change("\(folder)/moonbus.db-wal") { $0.removeLast($0.count - place - 100) }
        #expect(refusal(folder, in: rig)?.code == .damaged)
    }

    @Test func `a log that is gone is noticed`() async throws {
        let (rig, folder) = try await crashedFolder()
        #expect(unlink("\(folder)/moonbus.db-wal") == 0)
        #expect(refusal(folder, in: rig)?.code == .damaged)
    }

    @Test func `a damaged header of the log is noticed`() async throws {
        let (rig, folder) = try await crashedFolder()
        try Bytes.change("\(folder)/moonbus.db-wal") { $0[17] ^= 1 }
        #expect(refusal(folder, in: rig)?.code == .damaged)
    }

    @Test func `a commit that the mark does not know of yet is no alarm`() async throws {
        let rig = try Rig()
        try await rig.append(["e1"])
        let mark = try Bytes.read("\(rig.folder)/moonbus.mark")
        try await rig.append(["e2"])
        let folder = try rig.crashed()
        try Bytes.write(mark, to: "\(folder)/moonbus.mark")
        #expect(try await Rig(folder, in: rig.folders).ids() == ["e1", "e2"])
    }

    @Test func `a torn mark falls back on the one before`() async throws {
        let (rig, folder) = try await crashedFolder()
        for slot in [0, 4_096] {
            let copy = rig.folders.next()
            #expect(mkdir(copy, 0o700) == 0)
            for name in ["moonbus.db", "moonbus.db-wal", "moonbus.mark"] {
                try Bytes.write(Bytes.read("\(folder)/\(name)"), to: "\(copy)/\(name)")
            }
            try Bytes.change("\(copy)/moonbus.mark") { $0[slot + 20] ^= 1 }
            #expect(try await Rig(copy, in: rig.folders).ids().count == 10)
        }
    }

    @Test func `a file without its mark is not opened silently`() async throws {
        let (rig, folder) = try await crashedFolder()
        #expect(unlink("\(folder)/moonbus.mark") == 0)
        #expect(refusal(folder, in: rig)?.code == .damaged)
        let accepted = try Rig(folder, in: rig.folders) { $0.acceptsLoss = true }
        #expect(try await accepted.ids().count == 10)
    }

    @Test func `an older copy of the file is noticed`() async throws {
        let rig = try Rig()
        try await rig.append(["e1"])
        rig.journal.close()
        let old = try Bytes.read("\(rig.folder)/moonbus.db")
        let again = try Rig(rig.folder, in: rig.folders)
        try await again.append(["e2"])
        again.journal.close()
        try Bytes.write(old, to: "\(rig.folder)/moonbus.db")
        #expect(refusal(rig.folder, in: rig)?.code == .damaged)
    }

    @Test func `a damaged page is found at opening`() async throws {
        let (rig, folder) = try await folderWithDamagedPages()
        let error = refusal(folder, in: rig)
        #expect(error?.code == .damaged)
        #expect(error?.message.contains("moonbus.db") == true)
    }

    @Test func `a damaged page that is met while running is reported as damage`() async throws {
        let (rig, folder) = try await folderWithDamagedPages()
        let again = try Rig(folder, in: rig.folders) { $0.check = .never }
        let error = try await Rig.failure { _ = try await again.ids() }
        #expect(error?.code == .damaged)
    }

    /// Two hundred events on about ten pages of their own; in the middle one of them its kind and cells are overwritten.
    private func folderWithDamagedPages() async throws -> (Rig, String) {
        let rig = try Rig()
        try await rig.append((1...200).map { "e\($0)" })
        rig.journal.close()
        try Bytes.change("\(rig.folder)/moonbus.db") { bytes in
            let needle = Array("e100/test".utf8)
            let place = (0..<bytes.count - needle.count).first { Array(bytes[$0..<$0 + needle.count]) == needle } ?? 0
            let page = place / 4_096 * 4_096
            for offset in page..<page + 64 { bytes[offset] = 0xA5 }
        }
        return (rig, rig.folder)
    }
}
