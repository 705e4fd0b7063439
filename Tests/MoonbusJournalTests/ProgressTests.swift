import MoonbusJournal
import Testing

@Suite struct ProgressTests {
    @Test func `stretches that touch become one, and the floor takes up what it reaches`() {
        var progress = Progress(floor: 10)
        progress.end(Span(after: 12, through: 14))
        progress.end(Span(after: 20, through: 22))
        progress.end(Span(after: 14, through: 15))
        #expect(progress.floor == 10)
        #expect(progress.ended == [Span(after: 12, through: 15), Span(after: 20, through: 22)])
        progress.end(Span(after: 10, through: 12))
        #expect(progress.floor == 15)
        progress.end(Span(after: 15, through: 20))
        #expect(progress == Progress(floor: 22))
    }

    @Test func `a stretch may overlap what has ended`() {
        var progress = Progress(floor: 3)
        progress.end(Span(after: 5, through: 7))
        progress.end(Span(after: 3, through: 9))
        #expect(progress == Progress(floor: 9))
        progress.end(Span(after: 2, through: 4))
        #expect(progress == Progress(floor: 9))
    }

    @Test func `in any order of endings the floor ends at the last position`() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            // Owed are some of 1...50; each span begins at the one owed before.
            let owed = (1...50).filter { _ in Bool.random(using: &random) } + [50]
            let spans = zip([0] + owed, owed).filter { $0.0 < $0.1 }.map { Span(after: UInt64($0.0), through: UInt64($0.1)) }
            var progress = Progress(floor: 0)
            var ended = Set<UInt64>()
            for span in spans.shuffled(using: &random) {
                progress.end(span)
                ended.insert(span.through)
                for other in spans { #expect(progress.hasEnded(other.through) == ended.contains(other.through)) }
            }
            #expect(progress == Progress(floor: 50))
        }
    }
}
