import MoonbusEvents
import Testing

@Suite struct JSONValueTests {
    @Test func `a tree has everything that the text says`() throws {
        let json = try JSON(#" {"n":null,"t":true,"f":false,"i":-7,"d":2.5,"s":"a\u00e9\ud83d\ude00\n","a":[1,[],{}],"o":{"x":{"y":1}}} "#)
        let expected: JSONValue = [
            "n": nil, "t": true, "f": false, "i": -7, "d": 2.5, "s": "aé😀\n", "a": [1, [], [:]], "o": ["x": ["y": 1]],
        ]
        #expect(json.value == expected)
        #expect(json.value.object?.keys == ["n", "t", "f", "i", "d", "s", "a", "o"])
    }

    @Test(arguments: [
        ("9223372036854775807", JSONValue.integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("9223372036854775808", .number(9_223_372_036_854_775_808)),
        ("-9223372036854775809", .number(-9_223_372_036_854_775_808)), ("0", .integer(0)), ("-0", .number(-0.0)), ("1.0", .number(1)),
        ("1e2", .number(100)),
        ("0.1", .number(0.1)), ("5e-324", .number(.leastNonzeroMagnitude)), ("1e-999", .number(0)),
        ("123456789012345678", .integer(123_456_789_012_345_678)),
    ])
    func `integers of 64 bits stay exact, other numbers are Doubles`(text: String, value: JSONValue) throws {
        #expect(try JSON(text).value == value)
        if case .number(let number) = value { #expect(try JSON(text).value.number?.sign == number.sign) }
    }

    @Test(arguments: [
        (JSONValue.number(2), "2.0"), (.number(0.1), "0.1"), (.number(1e300), "1e+300"), (.number(-0.0), "-0.0"),
        (.number(.leastNonzeroMagnitude), "5e-324"),
        (.number(.nan), "null"), (.number(.infinity), "null"), (.integer(.min), "-9223372036854775808"),
        (.string("\"\\\u{1}\u{8}\u{c}\n\r\t/é\u{7F}"), #""\"\\\u0001\b\f\n\r\t/é"# + "\u{7F}\""),
        (.array([]), "[]"), (.object([:]), "{}"), (.object(["b": 1, "a": [nil, true]]), #"{"b":1,"a":[null,true]}"#),
    ])
    func `a value is written so that it reads back the same`(value: JSONValue, text: String) throws {
        #expect(JSON(value).text == text)
        #expect(throws: Never.self) { try JSON(JSON(value).text) }
    }

    @Test func `random Doubles survive the round trip bit by bit`() throws {
        var random = SeededRandom(seed: 4)
        for _ in 0..<20_000 {
            let number = Double(bitPattern: random.next())
            guard number.isFinite else { continue }
            let read = try JSON(JSON(.number(number)).text).value
            guard case .number(let back) = read, back.bitPattern == number.bitPattern else {
                Issue.record("\(number) became \(read)")
                return
            }
        }
    }

    @Test func `a value is found by its path without a tree`() throws {
        let json = try JSON(#"{"a":{"b c":[10,{"\u0064":"x","e":[[1,2]]}]},"s":"}{\",","k":{"n":null}}"#)
        #expect(json.value(at: ["a", "b c", "0"]) == 10)
        #expect(json.value(at: ["a", "b c", "1", "d"]) == "x")
        #expect(json.value(at: ["a", "b c", "1", "e", "0", "1"]) == 2)
        #expect(json.value(at: ["k", "n"]) == .null)
        #expect(json.value(at: []) == json.value)
        for path in [["x"], ["a", "x"], ["a", "b c", "2"], ["a", "b c", "-1"], ["a", "b c", "x"], ["s", "x"], ["k", "n", "x"]] {
            #expect(json.value(at: path) == nil)
        }
        #expect(try JSON("[]").value(at: ["0"]) == nil)
        #expect(try JSON("{}").value(at: ["a"]) == nil)
    }

    @Test func `objects keep their order and compare without it`() {
        var object: JSONObject = ["b": 1, "a": 2]
        object["c"] = 3
        object["b"] = 4
        #expect(object.keys == ["b", "a", "c"])
        object["a"] = nil
        #expect(object.keys == ["b", "c"])
        let left: JSONValue = ["x": 1, "y": ["p": 1, "q": 2]]
        let right: JSONValue = ["y": ["q": 2, "p": 1], "x": 1]
        #expect(left == right && left.hashValue == right.hashValue)
        #expect(left != ["x": 1, "y": ["p": 1, "q": 3]])
    }

    @Test func `keys that only Unicode takes for equal are two keys`() throws {
        let json = try JSON("{\"\u{E9}\":1,\"e\u{301}\":2}")
        #expect(json.value["\u{E9}"] == 1)
        #expect(json.value["e\u{301}"] == 2)
        #expect(try json.value == JSON("{\"e\u{301}\":2,\"\u{E9}\":1}").value)
    }

    @Test func `accessors answer only for their kind`() {
        #expect(JSONValue.integer(3).number == 3)
        #expect(JSONValue.number(3).integer == 3)
        #expect(JSONValue.number(3.5).integer == nil)
        #expect(JSONValue.string("3").integer == nil)
        #expect(JSONValue.array([1])[0] == 1)
        #expect(JSONValue.array([1])[1] == nil)
        #expect(JSONValue.null["a"] == nil)
    }

    @Test func `compact takes white space out only between tokens`() throws {
        #expect(try JSON("{ \"a b\" :\n[ 1 , \"\\\" x\" ] }").compact.text == #"{"a b":[1,"\" x"]}"#)
    }

    @Test func `a value nested too deep is written, but no event takes it`() throws {
        var value = JSONValue.null
        for _ in 0..<64 { value = .array([value]) }
        #expect(throws: Never.self) { try Event(type: EventType("a"), data: JSON(value)) }
        let deeper = JSON(.array([value]))
        #expect(refusal { () throws(EventError) in _ = try Event(type: EventType("a"), data: deeper) }?.code == .tooDeep)
    }
}
