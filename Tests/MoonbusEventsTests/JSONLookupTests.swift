import MoonbusEvents
import Testing

@Suite struct JSONLookupTests {
    @Test(arguments: [
        [], ["a"], ["a", "b"], ["a", "b", "1"], ["a", "b", "2"], ["a", "b", "x"], ["é"], ["e\u{301}"], ["n"], ["n", "x"], ["zz"],
        ["big", "3"],
    ])
    func `it finds what is found path by path`(path: [String]) throws {
        let long = (0..<3_000).map { "{\"i\":\($0)}" }.joined(separator: ",")
        let json = try JSON(#"{ "a" : {"b":[1, {"c":"]}"}],"x":"\"}"}, "\u00e9":1, "e\u0301":2,"n":null,"big":[\#(long)] }"#)
        var lookup = JSONLookup(json)
        for _ in 0..<2 {
            let range = lookup.range(at: path)
            let text = range.map { range in json.withUnsafeBytes { String(decoding: $0[range], as: UTF8.self) } }
            #expect(text == json.withUnsafeBytes(at: path) { String(decoding: $0, as: UTF8.self) })
        }
    }
}
