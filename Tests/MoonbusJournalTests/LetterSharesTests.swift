import MoonbusJournal
import Testing

@Suite struct LetterSharesTests {
    @Test func `of too many letters the oldest one goes of the plugin that has most`() {
        var shares = LetterShares()
        for (id, name) in [(1, "few.a"), (2, "many.a"), (3, "many.b"), (4, "few.a"), (5, "many.a")] {
            shares.add(UInt64(id), of: name, size: 10)
        }
        #expect(shares.removeExcess(.init(count: 4, size: 1_000)) == 2)
        #expect(shares.removeExcess(.init(count: 3, size: 1_000)) == 1, "as many each: the oldest of all")
        #expect(shares.removeExcess(.init(count: 3, size: 1_000)) == nil)
        #expect(shares.count == 3 && shares.size == 30)
    }

    @Test func `of too many bytes the oldest letter goes of the plugin that has most bytes, but never the last of all`() {
        var shares = LetterShares()
        shares.add(1, of: "many.a", size: 10)
        shares.add(2, of: "many.a", size: 10)
        shares.add(3, of: "large.a", size: 100)
        shares.add(4, of: "large.a", size: 5)
        #expect(shares.removeExcess(.init(count: 10, size: 120)) == 3)
        #expect(shares.removeExcess(.init(count: 10, size: 1)) == 1)
        #expect(shares.removeExcess(.init(count: 10, size: 1)) == 2)
        #expect(shares.removeExcess(.init(count: 10, size: 1)) == nil)
        #expect(shares.count == 1 && shares.size == 5)
    }

    @Test func `letters that were retried or dropped do not count any more, wherever they lay`() {
        var shares = LetterShares()
        for id in 1...10 { shares.add(UInt64(id), of: "p.s", size: id) }
        for id in [4, 10, 1] { shares.remove(UInt64(id), of: "p.other") }
        shares.remove(99, of: "p.s")
        shares.remove(3, of: "q.s")
        #expect(shares.count == 7 && shares.size == 55 - 15)
        var gone: [UInt64] = []
        while let id = shares.removeExcess(.init(count: 0, size: .max)) { gone.append(id) }
        #expect(gone == [2, 3, 5, 6, 7, 8])
        shares.remove(9, of: "p.s")
        #expect(shares.count == 0 && shares.size == 0)
    }
}
