import MoonbusEvents
import Testing

@Suite struct PatternOverlapTests {
    @Test(arguments: [
        ("a", "a", true), ("a", "b", false), ("a.*", "a.b", true), ("a.*", "a.b.c", false), ("a.*.c", "a.b.>", true), ("a.>", "a", false),
        ("a.>", ">", true), ("*.x", "a.*", true), ("a.*.c", "*.b.d", false), ("a.b", "a.b.>", false), ("a.b.c", "a.>", true),
    ])
    func `two patterns overlap when there is a type for both`(left: String, right: String, overlap: Bool) throws {
        #expect(try EventPattern(left).overlaps(EventPattern(right)) == overlap)
        #expect(try EventPattern(right).overlaps(EventPattern(left)) == overlap)
    }
}
