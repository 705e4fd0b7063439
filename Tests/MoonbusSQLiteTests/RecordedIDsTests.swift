import Testing

@testable import MoonbusSQLite

@Suite struct RecordedIDsTests {
    private func position(of hash: UInt64, in ids: RecordedIDs) -> UInt64? {
        ids.young.first(hash) { _ in true }
    }

    @Test func `what was added is found, and what was taken back is not`() {
        var random = SystemRandomNumberGenerator()
        var ids = RecordedIDs()
        // Low bits from a small range: many of them share a place.
        let hashes = (0..<5_000).map { _ in random.next() & 0xFFFF_FFFF_0000_03FF }
        for (index, hash) in hashes.enumerated() { ids.add(hash, at: UInt64(index) + 1) }
        ids.removeLast(2_000)
        for (index, hash) in hashes.enumerated() {
            let expected = hashes.firstIndex(of: hash).flatMap { $0 < 3_000 ? UInt64($0) + 1 : nil }
            #expect(position(of: hash, in: ids) == expected, "id \(index)")
        }
        for (index, hash) in hashes[3_000...].enumerated() { ids.add(hash, at: UInt64(index) + 3_001) }
        #expect(hashes.allSatisfy { position(of: $0, in: ids) == hashes.firstIndex(of: $0).map { UInt64($0) + 1 } })
    }

    @Test func `a sealed segment names the positions to look at`() {
        var ids = RecordedIDs()
        for number in 1...1_000 { ids.add(UInt64(number) &* 0x9E37_79B9_7F4A_7C15, at: UInt64(number)) }
        // A position that does not follow on: what was in between was lost.
        ids.sealIfDue(next: 5_000, segmentsMax: 2)
        ids.add(42, at: 5_000)
        #expect(ids.sealed.count == 1)
        for number in [1, 500, 1_000] {
            var asked: [UInt64] = []
            let found = ids.sealed[0].first(UInt64(number) &* 0x9E37_79B9_7F4A_7C15) { position in
                asked.append(position)
                return position == number
            }
            #expect(found == UInt64(number))
            #expect(asked.count < 5)
        }
        #expect(position(of: 42, in: ids) == 5_000)
        ids.forget(through: 999)
        #expect(ids.sealed.count == 1)
        ids.forget(through: 1_000)
        #expect(ids.sealed.isEmpty)
    }

    @Test func `the oldest segment goes when there are too many`() {
        var ids = RecordedIDs()
        for segment in 0..<5 {
            let position = UInt64(segment) * 100 + 1
            ids.sealIfDue(next: position, segmentsMax: 2)
            ids.add(UInt64(segment), at: position)
        }
        #expect(ids.sealed.map(\.base) == [201, 301])
        #expect(ids.count == 3)
    }
}
