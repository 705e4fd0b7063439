import MoonbusEvents
import MoonbusLane
import Testing

@Suite struct ModuleTests {
    private func evaluate(_ script: String, seed: UInt64 = 7) throws -> TestHost.Outcome {
        let host = try TestHost()
        let function = try host.load(#"bus.subscribe("a", function(event) return assert(load(event.data))() end)"#).subscriptions[0]
            .function
        return try host.run(function, .string(script), seed: seed)
    }

    @Test(
        arguments: [
            ("crypto.sha256('abc')", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("crypto.sha256('')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (
                "crypto.sha512('abc')",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
            ),
            ("crypto.hmac('Jefe', 'what do ya want for nothing?')", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            ("crypto.hex('\\0\\255az')", "00ff617a"),
            ("crypto.base64_encode('')", ""), ("crypto.base64_encode('f')", "Zg=="), ("crypto.base64_encode('fo')", "Zm8="),
            ("crypto.base64_encode('foobar')", "Zm9vYmFy"), ("crypto.base64_decode('Zm9vYg==')", "foob"),
            ("time.format(0)", "1970-01-01T00:00:00Z"), ("time.format(1234567890.5)", "2009-02-13T23:31:30.500Z"),
            ("time.format(time.parse('2026-03-01T07:30:00.250+01:00'))", "2026-03-01T06:30:00.250Z"),
        ])
    func `a function gives what its standard says`(expression: String, result: String) throws {
        #expect(try evaluate("return " + expression).json == .string(result))
    }

    @Test(arguments: ["Zg=", "Zg", "Zh==", "Z===", "Zm 9", "Zm9v====", "Z_8="])
    func `text that is not base64 is refused`(text: String) throws {
        #expect(try evaluate("return pcall(crypto.base64_decode, '\(text)')").json == false)
    }

    @Test func `base64 brings any bytes back`() throws {
        let script = """
            for size = 0, 300 do
              local bytes = {}
              for i = 1, size do bytes[i] = string.char((i * 7 + size) % 256) end
              local text = table.concat(bytes)
              if crypto.base64_decode(crypto.base64_encode(text)) ~= text then return size end
            end
            return "all"
            """
        #expect(try evaluate(script).json == "all")
    }

    @Test(arguments: [
        "time.parse('yesterday')", "time.format(0/0)", "time.format(1e300)", "crypto.sha256(('x'):rep(9000000))", "crypto.sha256(1)",
    ])
    func `wrong arguments raise`(expression: String) throws {
        #expect(try evaluate("return (pcall(function() return \(expression) end))").json == false)
    }

    @Test func `equal compares bytes`() throws {
        let script = "return { crypto.equal('a', 'a'), crypto.equal('a', 'b'), crypto.equal('a', 'aa'), crypto.equal('', '') }"
        #expect(try evaluate(script).json == [true, false, false, true])
    }

    @Test func `ids are of version 4, differ, and are the same when a delivery runs again`() throws {
        let script = "return { crypto.uuid(), crypto.uuid() }"
        let first = try evaluate(script, seed: 1)
        let ids = (first.json?.array ?? []).compactMap(\.string)
        try #require(ids.count == 2)
        #expect(ids.allSatisfy { $0.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil })
        #expect(ids[0] != ids[1])
        #expect(try evaluate(script, seed: 1).json == first.json)
        #expect(try evaluate(script, seed: 2).json != first.json)
    }

    @Test func `log lines carry level, text, fields and delivery`() throws {
        let host = try TestHost()
        let declared = try host.load(
            """
            bus.subscribe("a", function()
              log.debug("one", { n = 1 })
              log.error("tw\\"o\\n\\xff")
              print("three", 3, 4.5, nil, true)
            end)
            """)
        let id = Int64(try host.deliver(declared.subscriptions[0].function)[0])
        var lines: [JSONValue] = []
        while case .log(let json) = try host.next() { lines.append(json.value) }
        #expect(
            lines == [
                ["level": "debug", "text": "one", "fields": ["n": 1], "delivery": .integer(id)],
                ["level": "error", "text": "tw\"o\n\u{FFFD}", "delivery": .integer(id)],
                ["level": "info", "text": "three 3 4.5 nil true", "delivery": .integer(id)],
            ])
    }

    @Test func `a flood of log lines is cut, and says so`() throws {
        let host = try TestHost()
        let declared = try host.load(#"bus.subscribe("a", function() for i = 1, 5000 do print(i) end end)"#)
        try host.deliver(declared.subscriptions[0].function)
        var texts: [String] = []
        while case .log(let json) = try host.next() { texts.append(json.value["text"]?.string ?? "") }
        #expect(texts.count < 2_500, "1,000 at once, and 200 for each second that the test takes")
        #expect(texts.prefix(1_000) == (1...1_000).map { "\($0)" }[...])
        #expect(texts.contains { $0.hasPrefix("too many log lines") })
    }
}
