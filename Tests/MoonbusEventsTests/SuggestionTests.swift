import MoonbusEvents
import Testing

@Suite struct SuggestionTests {
    @Test(arguments: [
        ("numerc", "numeric"), ("prefx", "prefix"), ("exist", "exists"), ("anythingbut", "anything-but"), ("Numeric", "numeric"),
        ("nmueric", "numeric"),
        ("sufix", "suffix"),
    ])
    func `a misspelt name finds the one that was meant`(name: String, meant: String) {
        #expect(Suggestion.nearest(to: name, in: ["numeric", "prefix", "suffix", "exists", "anything-but"]) == meant)
        #expect(Suggestion.hint(for: name, in: [meant]) == "; did you mean \"\(meant)\"?")
    }

    @Test(arguments: ["", "x", "completely-different", "between"])
    func `a name that is near to none finds none`(name: String) {
        #expect(Suggestion.nearest(to: name, in: ["numeric", "prefix", "suffix", "exists", "anything-but"]) == nil)
        #expect(Suggestion.hint(for: name, in: ["numeric"]).isEmpty)
    }

    @Test func `a name of a megabyte costs no more than one of 64 letters`() {
        #expect(Suggestion.nearest(to: String(repeating: "x", count: 1 << 20), in: ["numeric"]) == nil)
    }
}
