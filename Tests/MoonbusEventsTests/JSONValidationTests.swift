import MoonbusEvents
import Testing

@Suite struct JSONValidationTests {
    @Test(arguments: [
        "null", "true", "false", "0", "-0", "-1", "12345678901234567890", "0.5", "-0.0", "1e6", "1E+6", "1e-999", "1.5e300", "0e999",
        "\"\"", "\"a\"", "[]", "{}", "[[]]", "[1,2]",
        #"{"a":1}"#, #"{"a":{"b":[1,{"c":null}]}}"#, #""\"\\\/\b\f\n\r\tA""#, #""\ud83d\ude00""#, #""\u0000""#, "\"\u{7F}\"",
        "\"größe 😀 \u{10FFFF}\"",
        #"{"":0}"#, #"{"a":1,"A":2}"#, "{\"\u{E9}\":1,\"e\u{301}\":2}", "\"\u{2028}\"", "1.7976931348623157e308",
        "[1,\t2,\r\n 3]", #"{ "a" : [ ] , "b" : { } }"#,
    ])
    func `valid JSON is kept as it is`(text: String) throws {
        #expect(try JSON(text).text == text)
        // At every alignment of the eight-byte steps.
        for padding in 0..<9 {
            let spaces = String(repeating: " ", count: padding)
            #expect(try JSON(spaces + text + spaces).text == text)
        }
    }

    @Test(arguments: [
        ("", "expected a value, but the text ends"), ("   ", "expected a value"), ("nul", "expected a value"), ("nulL", "expected a value"),
        ("True", "expected a value"),
        ("NaN", "expected a value"), ("Infinity", "expected a value"), ("-Infinity", "a number"), ("undefined", "expected a value"),
        ("'a'", "expected a value"),
        ("01", "a number"), ("-01", "a number"), ("-", "a number"), ("+1", "expected a value"), (".5", "expected a value"),
        ("1.", "a number"), ("1.e3", "a number"), ("1e", "a number"), ("1e+", "a number"),
        ("0x10", "expected the end"), ("1e309", "too large"), ("-1e999999999", "too large"),
        ("1" + String(repeating: "0", count: 309), "too large"),
        ("[", "expected a value"), ("[1", "expected \",\" or \"]\""), ("[1,", "expected a value"), ("[1,]", "expected a value"),
        ("[,1]", "expected a value"), ("[1 2]", "expected \",\" or \"]\""), ("]", "expected a value"),
        ("{", "expected a key"), ("{a:1}", "expected a key"), ("{1:1}", "expected a key"), (#"{"a"}"#, "expected \":\""),
        (#"{"a" 1}"#, "expected \":\""), (#"{"a":}"#, "expected a value"),
        (#"{"a":1,}"#, "expected a key"), (#"{"a":1 "b":2}"#, "expected \",\" or \"}\""), (#"{"a":1"#, "expected \",\" or \"}\""),
        ("{]", "expected a key"), ("[}", "expected a value"),
        ("1 2", "expected the end"), ("{} {}", "expected the end"), ("null,", "expected the end"), ("// a\n1", "expected a value"),
        ("[1/*a*/]", "expected"),
        ("\"a", "ends inside of a string"), ("\"a\nb\"", "control character"), ("\"a\u{1}\"", "control character"), (#""\"#, "ends inside"),
        (#""\x""#, "an escape"), (#""\u12""#, "an escape"),
        (#""\u12G4""#, "an escape"), (#""\ud800""#, "surrogate"), (#""\ud800A""#, "surrogate"), (#""\ud800x""#, "surrogate"),
        (#""\udc00""#, "surrogate"), (#""\ud83d\ud83d""#, "surrogate"),
        (#"{"a":1,"a":2}"#, "a key that this object has already: \"a\""), (#"{"a":1,"\u0061":2}"#, "already"),
        (#"{"\u0061":1,"a":2}"#, "already"), (#"{"":1,"":2}"#, "already"),
        ("\u{FEFF}1", "expected a value"), ("1\u{0}", "expected the end"), ("1\u{A0}", "expected the end"), ("1\u{0B}", "expected the end"),
    ])
    func `anything else is refused with a reason`(text: String, reason: String) throws {
        let error = try #require(refusal { () throws(EventError) in _ = try JSON(text) })
        #expect(error.code == .badJSON)
        #expect(error.message.contains(reason), "\(error)")
    }

    @Test(
        arguments: [
            ([0x22, 0xFF, 0x22], 1), ([0x22, 0x80, 0x22], 1), ([0x22, 0xC0, 0x80, 0x22], 1), ([0x22, 0xC1, 0xBF, 0x22], 1),
            ([0x22, 0xE0, 0x80, 0x80, 0x22], 1),
            ([0x22, 0xED, 0xA0, 0x80, 0x22], 1), ([0x22, 0xF0, 0x80, 0x80, 0x80, 0x22], 1), ([0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], 1),
            ([0x22, 0xF5, 0x80, 0x80, 0x80, 0x22], 1),
            ([0x22, 0x61, 0xC3, 0x22], 2), ([0x22, 0xE2, 0x82, 0x22], 1), ([0x22, 0xF0, 0x9F, 0x98], 1), ([0x22, 0xC3], 1),
        ] as [([UInt8], Int)])
    func `bytes that are not UTF-8 are refused`(bytes: [UInt8], offset: Int) throws {
        let error = try #require(refusal { () throws(EventError) in _ = try JSON(validating: bytes) })
        #expect(error.message.contains("byte \(offset) ") && error.message.contains("UTF-8"), "\(error)")
    }

    @Test func `an error names byte, line, column and path`() throws {
        let text = "{\n  \"größe\": 1,\n  \"items\": [\n    {\"price\": 1},\n    {\"price\": }\n  ]\n}"
        let error = try #require(refusal { () throws(EventError) in _ = try JSON(text) })
        #expect(error.message == "not JSON at byte 63 (line 5, column 15, in items[1].price): expected a value, found \"}\"")
    }

    @Test func `columns count characters`() throws {
        let error = try #require(refusal { () throws(EventError) in _ = try JSON(#"["ä😀",x]"#) })
        #expect(error.message.contains("byte 10 (line 1, column 7, in [1])"), "\(error)")
    }

    @Test func `nesting ends at the limit`() throws {
        let deepest = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(try JSON(deepest).text == deepest)
        let error = try #require(refusal { () throws(EventError) in _ = try JSON("[" + deepest + "]") })
        #expect(error.code == .tooDeep)
        let object = String(repeating: #"{"a":"#, count: 65) + "1" + String(repeating: "}", count: 65)
        #expect(refusal { () throws(EventError) in _ = try JSON(object) }?.code == .tooDeep)
        #expect(
            refusal { () throws(EventError) in _ = try JSON(validating: Array("[[1]]".utf8), limits: JSONLimits(depth: 1)) }?.code
                == .tooDeep)
        #expect(throws: Never.self) { try JSON(validating: Array("[1]".utf8), limits: JSONLimits(depth: 1)) }
    }

    @Test func `a million opening brackets are refused without exhausting the stack`() {
        #expect(refusal { () throws(EventError) in _ = try JSON(String(repeating: "[", count: 1 << 20)) }?.code == .tooDeep)
        #expect(refusal { () throws(EventError) in _ = try JSON(String(repeating: "{\"a\":", count: 200_000)) }?.code == .tooDeep)
    }

    @Test func `size ends at the limit`() throws {
        let limits = JSONLimits(bytes: 10)
        #expect(throws: Never.self) { try JSON(validating: Array("\"12345678\"".utf8), limits: limits) }
        #expect(
            refusal { () throws(EventError) in _ = try JSON(validating: Array("\"123456789\"".utf8), limits: limits) }?.code == .tooLarge)
        let large = "\"" + String(repeating: "x", count: (1 << 20) - 2) + "\""
        #expect(throws: Never.self) { try JSON(large) }
        #expect(refusal { () throws(EventError) in _ = try JSON(large + " ") }?.code == .tooLarge)
    }

    @Test(arguments: [2, 16, 63, 64, 65, 66, 1_000])
    func `a duplicate is found in objects of every size, wherever it is`(count: Int) throws {
        for (first, second) in [(0, 1), (0, count - 1), (count - 2, count - 1), (count / 2, count - 1)] where first < second {
            var keys = (0..<count).map { "key\($0)" }
            #expect(throws: Never.self) { try JSON(object(keys)) }
            keys[second] = keys[first]
            let error = try #require(refusal { () throws(EventError) in _ = try JSON(object(keys)) })
            #expect(error.message.contains("already: \"\(keys[first])\""), "\(error)")
            keys[second] = "\\u006b" + keys[first].dropFirst()
            #expect(refusal { () throws(EventError) in _ = try JSON(object(keys)) } != nil)
        }
    }

    @Test func `keys of inner objects are not keys of the outer one`() throws {
        let inner = (0..<20).map { "\"k\($0)\":{\"k0\":\($0),\"k\($0)x\":[{\"k0\":1},{\"k0\":2}]}" }.joined(separator: ",")
        #expect(throws: Never.self) { try JSON("{\(inner)}") }
        #expect(refusal { () throws(EventError) in _ = try JSON("{\(inner),\"k19\":0}") } != nil)
    }

    @Test func `keys made to look alike cost no more than others`() throws {
        // Same size, same first and last eight bytes: all fingerprints collide.
        let keys = (0..<20_000).map { index -> String in
            let digits = "\(index)"
            return "aaaaaaaa" + String(repeating: "0", count: 6 - digits.count) + digits + "bbbbbbbb"
        }
        let time = cpuTime { #expect(throws: Never.self) { try JSON(object(keys)) } }
        // 20,000² / 2 comparisons would take minutes in a debug build; sorting takes a fraction of a second.
        #expect(time < .seconds(5))
    }

    @Test func `random damage to a valid text is refused or still valid, and never a crash`() throws {
        let text = Array(#"{"a":[1,2.5e3,{"b":"x\u00e9\n"},null,true],"größe":{"c":-0.5,"d":[[]]}}"#.utf8)
        var random = SeededRandom(seed: 3)
        var accepted = 0
        for _ in 0..<20_000 {
            var damaged = text
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<damaged.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: damaged[place] = UInt8.random(in: 0...255, using: &random)
                case 1: damaged.remove(at: place)
                default: damaged = Array(damaged[..<place])
                }
                if damaged.isEmpty { break }
            }
            if let json = try? JSON(validating: damaged) {
                accepted += 1
                #expect(try JSON(JSON(json.value).text).value == json.value)
            }
        }
        #expect(accepted > 100)
    }

    private func object(_ keys: [String]) -> String {
        "{" + keys.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",") + "}"
    }
}
