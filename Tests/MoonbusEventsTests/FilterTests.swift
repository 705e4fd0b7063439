import MoonbusEvents
import Testing

@Suite struct FilterTests {
    @Test(arguments: [
        (#"{"type":["orders.eu.created"]}"#, true), (#"{"type":["a","orders.eu.created"]}"#, true), (#"{"type":["a"]}"#, false),
        (#"{"type":[{"prefix":"orders."}],"subject":["order-7"]}"#, true),
        (#"{"type":[{"prefix":"orders."}],"subject":["order-8"]}"#, false),
        (#"{"source":[{"suffix":"shop"}]}"#, true), (#"{"id":["i1"]}"#, true), (#"{"partitionkey":["c3"]}"#, true),
        (#"{"partitionkey":["c4"]}"#, false),
        (#"{"hops":[2]}"#, true), (#"{"hops":[{"numeric":[">=",2,"<",3]}]}"#, true), (#"{"hops":[3]}"#, false),
        (#"{"time":[{"prefix":"1970-01-01T"}]}"#, true),
        (#"{"causeid":[{"exists":false}]}"#, true), (#"{"causeid":[{"exists":true}]}"#, false), (#"{"causeid":["x"]}"#, false),
        (#"{"causeid":[{"anything-but":"x"}]}"#, false),
        (#"{"subject":[{"exists":true}]}"#, true), (#"{"region":["eu"]}"#, true), (#"{"region":["us"]}"#, false),
        (#"{"tenant":["x"]}"#, false), (#"{"tenant":[{"exists":false}]}"#, true),
        (#"{"$or":[{"type":["a"]},{"subject":["order-7"]}]}"#, true), (#"{"$or":[{"type":["a"]},{"subject":["b"]}]}"#, false),
        (#"{"source":["/shop"],"$or":[{"type":["a"]},{"data":{"currency":["EUR"]}}]}"#, true),
    ])
    func `attributes are asked for by name`(filter: String, matches: Bool) throws {
        let event = try Event(
            type: EventType("orders.eu.created"), data: JSON(#"{"currency":"EUR"}"#), id: "i1", source: "/shop", subject: "order-7",
            key: "c3",
            time: Timestamp(microseconds: 5), hops: 2, extensions: JSON(#"{"region":"eu"}"#))
        #expect(try Filter(JSON(filter)).matches(event) == matches)
    }

    @Test(arguments: [
        // Values
        (#"{"a":["x"]}"#, #"{"a":"x"}"#, true), (#"{"a":["x"]}"#, #"{"a":"y"}"#, false), (#"{"a":["x"]}"#, #"{"b":"x"}"#, false),
        (#"{"a":["x"]}"#, #"{}"#, false),
        (#"{"a":["é"]}"#, #"{"a":"\u00e9"}"#, true), (#"{"é":[1]}"#, #"{"\u00e9":1}"#, true), (#"{"a":[1]}"#, #"{"a":1}"#, true),
        (#"{"a":[1]}"#, #"{"a":1.0}"#, true), (#"{"a":[1.5]}"#, #"{"a":15e-1}"#, true), (#"{"a":[1]}"#, #"{"a":"1"}"#, false),
        (#"{"a":[9223372036854775807]}"#, #"{"a":9223372036854775806}"#, false), (#"{"a":[true]}"#, #"{"a":true}"#, true),
        (#"{"a":[true]}"#, #"{"a":false}"#, false), (#"{"a":[null]}"#, #"{"a":null}"#, true), (#"{"a":[null]}"#, #"{}"#, false),
        (#"{"a":[null]}"#, #"{"a":0}"#, false), (#"{"a":[""]}"#, #"{"a":""}"#, true),
        // Nested objects and arrays
        (#"{"a":{"b":{"c":[1]}}}"#, #"{"a":{"x":{"c":2},"b":{"c":1}}}"#, true), (#"{"a":{"b":[1]}}"#, #"{"a":1}"#, false),
        (#"{"a":[1]}"#, #"{"a":{"b":1}}"#, false), (#"{"a":["x"]}"#, #"{"a":["y","x"]}"#, true),
        (#"{"a":["x"]}"#, #"{"a":["y",["x"]]}"#, true), (#"{"a":["x"]}"#, #"{"a":[]}"#, false),
        (#"{"a":{"b":[1],"c":[2]}}"#, #"{"a":[{"b":1,"c":2}]}"#, true),
        (#"{"a":{"b":[1],"c":[2]}}"#, #"{"a":[{"b":1,"c":3},{"b":2,"c":2}]}"#, false), (#"{"a":[1],"b":[2]}"#, #"{"b":2,"a":1}"#, true),
        (#"{"a":[1],"b":[2]}"#, #"{"a":1}"#, false),
        // Texts
        (#"{"a":[{"prefix":"ab"}]}"#, #"{"a":"abc"}"#, true), (#"{"a":[{"prefix":"ab"}]}"#, #"{"a":"a"}"#, false),
        (#"{"a":[{"prefix":"ab"}]}"#, #"{"a":1}"#, false), (#"{"a":[{"suffix":"bc"}]}"#, #"{"a":"abc"}"#, true),
        (#"{"a":[{"suffix":"bc"}]}"#, #"{"a":"bcd"}"#, false),
        (#"{"a":[{"equals-ignore-case":"EUR"}]}"#, #"{"a":"eUr"}"#, true),
        (#"{"a":[{"equals-ignore-case":"grÖSSE"}]}"#, #"{"a":"GRösse"}"#, true),
        (#"{"a":[{"equals-ignore-case":"a"}]}"#, #"{"a":"ab"}"#, false),
        (#"{"a":[{"prefix":{"equals-ignore-case":"AB"}}]}"#, #"{"a":"aBc"}"#, true),
        (#"{"a":[{"suffix":{"equals-ignore-case":"BC"}}]}"#, #"{"a":"abc"}"#, true),
        // Wildcards
        (#"{"a":[{"wildcard":"a*c"}]}"#, #"{"a":"abbc"}"#, true), (#"{"a":[{"wildcard":"a*c"}]}"#, #"{"a":"ac"}"#, true),
        (#"{"a":[{"wildcard":"a*c"}]}"#, #"{"a":"abd"}"#, false), (#"{"a":[{"wildcard":"a*a"}]}"#, #"{"a":"a"}"#, false),
        (#"{"a":[{"wildcard":"*"}]}"#, #"{"a":""}"#, true), (#"{"a":[{"wildcard":"abc"}]}"#, #"{"a":"abc"}"#, true),
        (#"{"a":[{"wildcard":"*b*d*"}]}"#, #"{"a":"abcde"}"#, true), (#"{"a":[{"wildcard":"*d*b*"}]}"#, #"{"a":"abcde"}"#, false),
        (#"{"a":[{"wildcard":"a*ab*b"}]}"#, #"{"a":"aabb"}"#, true), (#"{"a":[{"wildcard":"a\\*b"}]}"#, #"{"a":"a*b"}"#, true),
        (#"{"a":[{"wildcard":"a\\*b"}]}"#, #"{"a":"axb"}"#, false), (#"{"a":[{"wildcard":"a\\\\*"}]}"#, #"{"a":"a\\b"}"#, true),
        (#"{"a":[{"wildcard":"*aab*"}]}"#, #"{"a":"aaab"}"#, true), (#"{"a":[{"wildcard":"*abab*"}]}"#, #"{"a":"abaabab"}"#, true),
        // Numbers
        (#"{"a":[{"numeric":["=",5]}]}"#, #"{"a":5.0}"#, true), (#"{"a":[{"numeric":["!=",5]}]}"#, #"{"a":5}"#, false),
        (#"{"a":[{"numeric":[">",100,"<=",5e3]}]}"#, #"{"a":100}"#, false),
        (#"{"a":[{"numeric":[">",100,"<=",5e3]}]}"#, #"{"a":100.01}"#, true),
        (#"{"a":[{"numeric":[">",100,"<=",5e3]}]}"#, #"{"a":5000}"#, true),
        (#"{"a":[{"numeric":[">",100,"<=",5e3]}]}"#, #"{"a":5001}"#, false),
        (#"{"a":[{"numeric":[">",0]}]}"#, #"{"a":"5"}"#, false), (#"{"a":[{"numeric":[">",0]}]}"#, #"{"a":[-1,1]}"#, true),
        (#"{"a":[{"numeric":[">",9223372036854775806]}]}"#, #"{"a":9223372036854775807}"#, true),
        (#"{"a":[{"numeric":["<",0]}]}"#, #"{"a":-0.0}"#, false),
        // Anything but
        (#"{"a":[{"anything-but":"x"}]}"#, #"{"a":"y"}"#, true), (#"{"a":[{"anything-but":"x"}]}"#, #"{"a":"x"}"#, false),
        (#"{"a":[{"anything-but":"x"}]}"#, #"{}"#, false), (#"{"a":[{"anything-but":"x"}]}"#, #"{"a":1}"#, true),
        (#"{"a":[{"anything-but":[1,2]}]}"#, #"{"a":2}"#, false), (#"{"a":[{"anything-but":[1,2]}]}"#, #"{"a":3}"#, true),
        (#"{"a":[{"anything-but":["x"]}]}"#, #"{"a":["x","y"]}"#, true), (#"{"a":[{"anything-but":["x"]}]}"#, #"{"a":["x"]}"#, false),
        (#"{"a":[{"anything-but":["x"]}]}"#, #"{"a":{}}"#, false), (#"{"a":[{"anything-but":{"prefix":"ab"}}]}"#, #"{"a":"abc"}"#, false),
        (#"{"a":[{"anything-but":{"prefix":"ab"}}]}"#, #"{"a":"xbc"}"#, true),
        (#"{"a":[{"anything-but":{"suffix":["x","y"]}}]}"#, #"{"a":"ay"}"#, false),
        (#"{"a":[{"anything-but":{"suffix":["x","y"]}}]}"#, #"{"a":"az"}"#, true),
        (#"{"a":[{"anything-but":{"wildcard":"*/lib/*"}}]}"#, #"{"a":"x/lib/y"}"#, false),
        (#"{"a":[{"anything-but":{"equals-ignore-case":["X"]}}]}"#, #"{"a":"x"}"#, false),
        // Existence
        (#"{"a":[{"exists":true}]}"#, #"{"a":null}"#, true), (#"{"a":[{"exists":true}]}"#, #"{"a":[]}"#, true),
        (#"{"a":[{"exists":true}]}"#, #"{"a":{"b":1}}"#, true), (#"{"a":[{"exists":true}]}"#, #"{"b":1}"#, false),
        (#"{"a":[{"exists":false}]}"#, #"{"b":1}"#, true), (#"{"a":[{"exists":false}]}"#, #"{"a":1}"#, false),
        (#"{"a":[{"exists":false}]}"#, #"{"a":[1]}"#, false), (#"{"a":[{"exists":false},"x"]}"#, #"{"a":["x"]}"#, true),
        (#"{"a":{"b":[{"exists":false}]}}"#, #"{}"#, true), (#"{"a":{"b":[{"exists":false}]}}"#, #"{"a":{"b":1}}"#, false),
        (#"{"a":{"b":[{"exists":false}]}}"#, #"{"a":{}}"#, true), (#"{"a":{"b":[{"exists":true}]}}"#, #"{}"#, false),
        // Alternatives
        (#"{"$or":[{"a":[1]},{"b":[2]}]}"#, #"{"b":2}"#, true), (#"{"$or":[{"a":[1]},{"b":[2]}]}"#, #"{"b":3}"#, false),
        (#"{"c":[1],"$or":[{"a":[1]},{"b":[2]}]}"#, #"{"b":2}"#, false),
        (#"{"$or":[{"$or":[{"a":[1]},{"a":[2]}]},{"b":[{"exists":true}]}]}"#, #"{"a":2}"#, true),
        (#"{"$or":[{"a":[{"exists":false}]}]}"#, #"{}"#, true), (#"{"x":{"$or":[{"a":[1]},{"b":[2]}]}}"#, #"{"x":{"a":1}}"#, true),
        (#"{"a":["x",{"prefix":"y"},{"numeric":[">",3]}]}"#, #"{"a":4}"#, true), (#"{"prefix":{"x":[1]}}"#, #"{"prefix":{"x":1}}"#, true),
    ])
    func `data is matched in place`(filter: String, data: String, matches: Bool) throws {
        let compiled = try Filter(JSON(#"{"data":\#(filter)}"#))
        #expect(try compiled.matches(Event(type: EventType("t"), data: JSON(data))) == matches)
        // White space and more keys make no difference.
        let spaced = data.dropFirst().isEmpty ? data : "{ \"zz\" : [ { } , \"}\" ] ,\n" + data.dropFirst()
        if data != "{}" { #expect(try compiled.matches(Event(type: EventType("t"), data: JSON(spaced))) == matches) }
    }

    @Test func `data that is no object, and no data at all, can be asked for`() throws {
        let scalar = try Filter(JSON(#"{"data":["x",{"numeric":[">",1]}]}"#))
        #expect(try scalar.matches(Event(type: EventType("t"), data: JSON("\"x\""))))
        #expect(try scalar.matches(Event(type: EventType("t"), data: JSON("[0,2]"))))
        #expect(try !scalar.matches(Event(type: EventType("t"), data: JSON("null"))))
        #expect(try !scalar.matches(Event(type: EventType("t"))))
        #expect(try Filter(JSON(#"{"data":[{"exists":false}]}"#)).matches(Event(type: EventType("t"))))
        #expect(try !Filter(JSON(#"{"data":{"a":[1]}}"#)).matches(Event(type: EventType("t"), data: JSON("5"))))
    }

    @Test(arguments: [
        (#"{"data":{"amount":[{"numerc":[">",1]}]}}"#, "data.amount: unknown operator \"numerc\"; did you mean \"numeric\"?"),
        (#"{"data":{"a":[{"cidr":"10.0.0.0/8"}]}}"#, "data.a: unknown operator \"cidr\"; there are prefix, suffix"),
        (#"[]"#, "a filter is an object"), (#"{}"#, "an empty object has no conditions"), (#"{"data":{}}"#, "data: an empty object"),
        (#"{"data":{"a":[]}}"#, "data.a: an empty array matches nothing"),
        (#"{"data":{"a":"x"}}"#, "data.a: values go in an array: [\"x\"]"),
        (#"{"data":{"a":{"prefix":"x"}}}"#, "data.a: operators go in an array: [{\"prefix\": …}]"),
        (#"{"data":{"a":[["x"]]}}"#, "data.a: an array in an array"),
        (#"{"data":{"a":[{}]}}"#, "data.a: an alternative has exactly one operator, this one has 0"),
        (#"{"data":{"a":[{"prefix":"a","suffix":"b"}]}}"#, "this one has 2"),
        (#"{"data":{"a":[{"prefix":1}]}}"#, "data.a: \"prefix\" takes a text, not a number"),
        (#"{"data":{"a":[{"prefix":""}]}}"#, "not empty"),
        (#"{"data":{"a":[{"numeric":[]}]}}"#, "\"numeric\" takes relations"),
        (#"{"data":{"a":[{"numeric":[">"]}]}}"#, "\"numeric\" takes relations"),
        (#"{"data":{"a":[{"numeric":["=>",1]}]}}"#, "\"=>\" is not a relation (= != < <= > >=)"),
        (#"{"data":{"a":[{"numeric":[">","1"]}]}}"#, "\">\" takes a number, not a text"),
        (#"{"data":{"a":[{"numeric":5}]}}"#, "\"numeric\" takes relations"),
        (#"{"data":{"a":[{"exists":"yes"}]}}"#, "\"exists\" takes true or false"),
        (#"{"data":{"a":[{"anything-but":[]}]}}"#, "excludes nothing"), (#"{"data":{"a":[{"anything-but":[[1]]}]}}"#, "single values"),
        (#"{"data":{"a":[{"anything-but":{"prefx":"a"}}]}}"#, "did you mean \"prefix\"?"),
        (#"{"data":{"a":[{"anything-but":{"prefix":[]}}]}}"#, "excludes nothing"),
        (#"{"data":{"a":[{"wildcard":"a**b"}]}}"#, "two stars in a row"),
        (#"{"data":{"a":[{"wildcard":"a\\b"}]}}"#, "a backslash stands before"),
        (#"{"data":{"a":[{"wildcard":"a\\"}]}}"#, "a backslash at the end"), (#"{"$or":[]}"#, "$or: takes an array of objects"),
        (#"{"$or":{"a":[1]}}"#, "$or: takes an array of objects"), (#"{"data":{"$or":[1]}}"#, "data.$or: takes objects, not a number"),
        (#"{"dta":{"a":[1]}}"#, "dta: no such attribute; did you mean \"data\"?"), (#"{"detail":{"a":[1]}}"#, "did you mean \"data\"?"),
        (#"{"detail-type":["x"]}"#, "did you mean \"type\"?"), (#"{"key":["x"]}"#, "did you mean \"partitionkey\"?"),
        (#"{"Foo_bar":["x"]}"#, "Foo_bar: no such attribute (type, source"), (#"{"type":{"x":["y"]}}"#, "type: is a single value"),
        (#"{"$or":[{"data":{"a":[{"numeri":[1]}]}}]}"#, "data.a: unknown operator \"numeri\""),
    ])
    func `a filter that can't be meant is refused with its path`(filter: String, reason: String) throws {
        let json = try JSON(filter)
        let error = try #require(refusal { () throws(EventError) in _ = try Filter(json) })
        #expect(error.code == .badFilter)
        #expect(error.message.contains(reason), "\(error)")
    }

    @Test func `a filter ends at its limits`() throws {
        func alternatives(_ count: Int) throws -> JSON {
            try JSON(#"{"data":{"a":[\#((0..<count).map { "\($0)" }.joined(separator: ","))]}}"#)
        }
        #expect(throws: Never.self) { try Filter(alternatives(512)) }
        #expect(throws: EventError.self) { try Filter(alternatives(513)) }
        func keys(_ count: Int) throws -> JSON { try JSON(#"{"data":{\#((0..<count).map { "\"k\($0)\":[1]" }.joined(separator: ","))}}"#) }
        let full = try Filter(keys(64))
        #expect(try full.matches(Event(type: EventType("t"), data: JSON("{\((0..<64).map { "\"k\($0)\":1" }.joined(separator: ","))}"))))
        #expect(try !full.matches(Event(type: EventType("t"), data: JSON("{\((0..<63).map { "\"k\($0)\":1" }.joined(separator: ","))}"))))
        #expect(throws: EventError.self) { try Filter(keys(65)) }
        func groups(_ count: Int) throws -> JSON {
            try JSON(#"{"$or":[\#((0..<count).map { _ in "{\"type\":[\"a\"]}" }.joined(separator: ","))]}"#)
        }
        #expect(throws: Never.self) { try Filter(groups(64)) }
        #expect(throws: EventError.self) { try Filter(groups(65)) }
    }

    @Test func `a wildcard and an event made to be slow are not`() throws {
        let filter = try Filter(
            JSON(#"{"data":[{"wildcard":"*\#(String(repeating: "a", count: 5_000))b*\#(String(repeating: "a", count: 5_000))b*"}]}"#))
        let event = try Event(type: EventType("t"), data: JSON("\"" + String(repeating: "a", count: 500_000) + "\""))
        // The simple search would take 2.5 × 10^9 comparisons.
        var isMatch = true
        let time = cpuTime { isMatch = filter.matches(event) }
        #expect(!isMatch)
        #expect(time < .seconds(5))
    }

    /// Each against an event of a megabyte. Without a budget each looks at something a million times or more.
    @Test(arguments: [
        (#"{"$or":[\#(list(60) { "{\"data\":{\"a\":{\"x\($0)\":[1]}}}" })]}"#, #"{"a":[\#(list(300_000) { _ in "{}" })]}"#),
        (#"{"data":{"a":[\#(list(500) { "\"\($0)\"" })]}}"#, #"{"a":[\#(list(100_000) { _ in "\"aaaa\"" })]}"#),
        (#"{"data":{"a":[\#(list(500) { "\($0 + 10)" })]}}"#, #"{"a":[\#(list(100_000) { _ in "7" })]}"#),
        (#"{"data":{"a":[{"anything-but":[7,\#(list(500) { "\($0 + 10)" })]}]}}"#, #"{"a":[\#(list(100_000) { _ in "7" })]}"#),
        (#"{"data":[\#(list(60) { "{\"equals-ignore-case\":\"\($0)\"}" })]}"#, "\"\(String(repeating: "Ö", count: 500_000))\""),
        (#"{"data":[\#(list(60) { "{\"wildcard\":\"a*b\($0)*a\"}" })]}"#, "\"\(String(repeating: "a", count: 1_000_000))\""),
        (#"{"data":{\#(list(64) { "\"\($0 + 100)\":[1]" })}}"#, "{\(list(90_000) { "\"k\($0)\":1" })}"),
        (#"{"data":[1000]}"#, String(repeating: "[", count: 60) + list(500_000) { _ in "1" } + String(repeating: "]", count: 60)),
    ])
    func `a filter that is dear ends undecided when its budget is spent`(filter: String, data: String) throws {
        let filter = try Filter(JSON(filter))
        let event = try Event(type: EventType("t"), data: JSON(data))
        var budget = FilterBudget(100_000)
        #expect(filter.matches(event, within: &budget) == nil)
        #expect(budget.isSpent)
        #expect(filter.matches(event, within: &budget) == nil, "nothing is tested on credit")
    }

    @Test func `a filter that is decided within its budget says what it says without one`() throws {
        let filter = try Filter(JSON(#"{"type":["t"],"data":{"user":{"id":[{"numeric":[">",5]}]},"tags":["a","b"]}}"#))
        for (data, isMatch) in [(#"{"user":{"id":6},"tags":["x","b"]}"#, true), (#"{"user":{"id":5},"tags":["x","b"]}"#, false)] {
            var budget = FilterBudget(100)
            #expect(try filter.matches(Event(type: EventType("t"), data: JSON(data)), within: &budget) == isMatch)
            #expect(budget.left > 50, "real filters cost tens of steps: \(100 - budget.left)")
            budget = FilterBudget(5)
            #expect(try filter.matches(Event(type: EventType("t"), data: JSON(data)), within: &budget) == nil)
        }
    }
}

private func list(_ count: Int, _ element: (Int) -> String) -> String {
    (0..<count).map(element).joined(separator: ",")
}
