import CLuaShim
import MoonbusLua
import Testing

@Suite struct JSONTests {
    @Test(arguments: [
        "9223372036854775807", "-9223372036854775808", "0", "-0.0", "2.0", "0.1", "1e+300", "5e-324", "1.7976931348623157e+308",
        "0.30000000000000004", "123456789.125", "1e+22", "9007199254740992.0", "[]", "{}", "null", "true", #""""#,
        #""é ∑ 😀 \" \\ \n\u0000""#, "[null,{},[],[[]],1,1.5]", #"{"empty":[]}"#, #"{"null":null}"#, #"[1,"1",{"1":1}]"#,
    ])
    func `decoding and encoding gives back`(text: String) throws {
        #expect(try evaluate("json.decode(\(text.luaLiteral))") == text)
    }

    @Test(arguments: [
        ("9223372036854775808", "9.223372036854776e+18"), ("1e2", "100.0"), ("-0", "-0.0"), (" [ 1 , 2 ] ", "[1,2]"),
        (#""A\u00e9\ud83d\ude00""#, #""Aé😀""#),
        (#"{"a":1,"a":2}"#, #"{"a":2}"#), (#""\/""#, #""/""#), ("1000000000000000000000", "1e+21"), ("100000000000000000.0", "1e+17"),
    ])
    func `decoding normalises`(text: String, expected: String) throws {
        #expect(try evaluate("json.decode(\(text.luaLiteral))") == expected)
    }

    @Test(arguments: [
        "", "01", "+1", "1.", ".5", "1e", "0x1", "NaN", "Infinity", "-", "nul", "tru", "[1,]", "[1 2]", "{\"a\"}", "{a:1}", "{\"a\":1,}",
        "[", "{", "\"", "'a'",
        "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\u{1}\"", "1 2", "[] x", "1e999", "//", "[1]]",
    ])
    func `decoding refuses`(text: String) throws {
        #expect(try evaluate("select(2, pcall(json.decode, \(text.luaLiteral)))").contains(text: "not JSON"))
    }

    @Test(arguments: ["\\xff", "\\xc0\\x80", "\\xed\\xa0\\x80", "\\xf4\\x90\\x80\\x80", "\\xe2\\x82"])
    func `text that is not UTF-8 is refused both ways`(bytes: String) throws {
        #expect(try evaluate("select(2, pcall(json.decode, '\"\(bytes)\"'))").contains(text: "invalid UTF-8"))
        #expect(
            try evaluate("select(2, pcall(json.encode, {name = '\(bytes)'}))")
                .contains(text: "value.name: the string is not valid UTF-8: give bytes as crypto.base64_encode(bytes)"))
        #expect(try evaluate("select(2, pcall(json.encode, {['\(bytes)'] = 1}))").contains(text: "not valid UTF-8"))
    }

    @Test(arguments: [
        ("{items = {1, 2, {price = 0/0}}}", "value.items[3].price: NaN is not JSON: give json.null, or a text"),
        ("{a = {b = math.huge}}", "value.a.b: infinity is not JSON: give json.null, or a text"),
        ("{f = print}", "value.f: a function is not JSON: leave it out, or give what it returns"),
        ("{c = coroutine.create(print)}", "value.c: a coroutine is not JSON: leave it out"),
        ("{1, nil, 3}", "value: the array is sparse: element 2 is missing: put json.null there"),
        ("{1, 2, x = 3}", "named fields: put the elements into a field of their own"),
        ("{[0] = 1}", "or is sparse: use tostring(key), or count from 1"),
        ("{[1.5] = 1}", "value: a key is a number, which JSON does not have: use tostring(key)"),
        ("{[true] = 1}", "value: a key is a boolean, which JSON does not have: use tostring(key)"),
        ("{[1 << 40] = 1}", "value: key 1099511627776: the table has numbered and named fields, or is sparse"),
        ("json.array({x = 1})", "value: the table has both array elements and named fields"),
        (
            "(function() local ring = {} ring.self = {ring} return ring end)()",
            "value.self[1]: the table contains itself: copy what is needed of it"
        ),
        (
            "(function() local deep = {} for _ = 1, 100 do deep = {deep} end return deep end)()",
            "more than 64 levels: make it flatter, or give the inner part as json.encode(part)"
        ),
        ("(function() local dag = {'leaf'} for _ = 1, 40 do dag = {dag, dag} end return dag end)()", "bytes as JSON: give less at a time"),
    ])
    func `encoding refuses, with the path of the value`(value: String, expected: String) throws {
        let message = try evaluate("select(2, pcall(json.encode, \(value)))", limits: .quick(cpu: .seconds(5)))
        #expect(message.contains(text: expected), "\(message)")
    }

    @Test func `encoding asks no metamethods`() throws {
        let proxy =
            "setmetatable({1, 2}, {__index = function(_, k) return k end, __len = function() return 1 << 40 end, __pairs = function() error('asked') end})"
        #expect(try evaluate("json.encode(\(proxy))") == "\"[1,2]\"")
    }

    @Test(arguments: [
        ("json.encode(json.array())", "\"[]\""), ("json.encode({})", "\"{}\""), ("json.encode(json.array({1}))", "\"[1]\""),
        ("json.encode({a = json.null})", #""{\"a\":null}""#), ("json.encode({[1] = 'a', [2] = 'b', [3] = 'c'})", #""[\"a\",\"b\",\"c\"]""#),
        ("json.encode({{}, {1, {2}}}, {indent = 2})", #""[\n  {},\n  [\n    1,\n    [\n      2\n    ]\n  ]\n]""#),
        ("json.encode(nil)", "\"null\""), ("getmetatable(json.array()) == nil", "true"),
        ("(function() local t = json.decode('[]') t[1] = 5 return json.encode(t) end)()", "\"[5]\""),
        ("(function() local t = json.decode('[1]') t[1] = nil return json.encode(t) end)()", "\"[]\""),
        ("(function() local t = setmetatable(json.decode('[1]'), {__index = {}}) return json.encode(t) end)()", "\"[1]\""),
        ("json.decode('null') == json.null", "true"), ("type(json.null)", "\"userdata\""),
        ("math.type(json.decode('2.0')) .. math.type(json.decode('2'))", "\"floatinteger\""),
    ])
    func `arrays, objects and null are told apart`(expression: String, expected: String) throws {
        #expect(try evaluate(expression) == expected)
    }

    @Test func `ten thousand random floats and integers survive a round trip`() throws {
        let count = try evaluate(
            """
            (function()
              local good = 0
              for index = 1, 10000 do
                local bits = math.random(0)
                local number = index % 2 == 0 and bits or string.unpack('d', string.pack('i8', bits))
                if number ~= number or number == math.huge or number == -math.huge then number = index + 0.1 end
                local back = json.decode(json.encode(number))
                if back == number and math.type(back) == math.type(number) then good = good + 1 end
              end
              return good
            end)()
            """, limits: .quick(cpu: .seconds(10)))
        #expect(count == "10000")
    }

    @Test func `a damaged text never does more than raise`() throws {
        let text = #"{"a":[1,2.5e3,"x\u00e9\ud83d\ude00",null,true,{"b":{}}],"ü":"\\\""}"#
        let result = try evaluate(
            """
            (function()
              local text = \(text.luaLiteral)
              for round = 1, 20000 do
                local at, byte = math.random(#text), math.random(0, 255)
                local cut = math.random(0, 3) == 0 and text:sub(1, at) or text:sub(1, at - 1) .. string.char(byte) .. text:sub(at + 1)
                local ok, value = pcall(json.decode, cut)
                if ok then json.encode(value) end
              end
              return 'survived'
            end)()
            """, limits: .quick(cpu: .seconds(10)))
        #expect(result == "\"survived\"")
    }
}

extension String {
    /// As a Lua string literal; control characters as three decimal digits.
    fileprivate var luaLiteral: String {
        let escaped = unicodeScalars.map { scalar in
            switch scalar {
            case "\"", "\\": "\\\(scalar)"
            case _ where scalar.value < 10: "\\00\(scalar.value)"
            case _ where scalar.value < 0x20: "\\0\(scalar.value)"
            default: "\(scalar)"
            }
        }
        return "\"\(escaped.joined())\""
    }
}
