import MoonbusEvents
import MoonbusLane
import Testing

@Suite struct KvTests {
    /// A plugin whose handlers run whatever Lua their event brings.
    private func evaluator(_ host: TestHost) throws -> Int32 {
        try host.load(#"bus.subscribe("a", function(event) return assert(load(event.data))() end)"#).subscriptions[0].function
    }

    @Test func `a key is asked for once, then known with its version`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        try host.deliver(function, [#"return kv.get("k")"#])
        let call = try host.call()
        #expect(call.json == ["name": "kv.get", "key": "k"])
        try host.reply(call.id, ["value": ["n": 1], "version": 5])
        let first = try host.outcome()
        #expect(first.json == ["n": 1])
        #expect(first.effects == [.read("k", 5)])
        let second = try host.run(function, #"return { kv.get("k"), kv.get("k") }"#)
        #expect(second.json == [["n": 1], ["n": 1]])
        #expect(second.effects == [.read("k", 5)])
    }

    @Test func `an absent key is nil, and known to be absent`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        try host.deliver(function, [#"return kv.get("k") == nil"#])
        try host.reply(try host.call().id, ["value": .null, "version": 0])
        #expect(try host.outcome().effects == [.read("k", 0)])
        #expect(try host.run(function, #"return kv.get("k") == nil"#).json == true)
    }

    @Test func `a handler reads its own staged writes, without asking`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        let outcome = try host.run(
            function, #"kv.set("k", { a = 1 }) local a = kv.get("k").a kv.delete("k") return { a, kv.get("k") == nil }"#)
        #expect(outcome.json == [1, true])
        #expect(outcome.effects == [.set("k", #"{"a":1}"#, expiry: 0), .delete("k")])
    }

    @Test func `a run that was done is what the next one reads, with the version that it gave`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        try host.deliver(function, [#"kv.get("k") kv.set("k", "mine")"#])
        try host.reply(try host.call().id, ["value": "old", "version": 5])
        let first = try host.outcome()
        #expect(first.effects == [.read("k", 5), .set("k", #""mine""#, expiry: 0)])
        let next = try host.run(function, #"return kv.get("k")"#)
        #expect(next.json == "mine")
        #expect(next.effects == [.read("k", try #require(first.versions.last))])
        let deleted = try host.run(function, #"kv.delete("k")"#)
        #expect(deleted.effects == [.delete("k")])
        #expect(try host.run(function, #"return kv.get("k") == nil"#).effects == [.read("k", 0)])
    }

    @Test func `a run that failed changes nothing for the next one`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        try host.deliver(function, [#"kv.get("k")"#])
        try host.reply(try host.call().id, ["value": "old", "version": 5])
        _ = try host.outcome()
        #expect(try host.run(function, #"kv.set("k", "mine") error("no")"#).status == .failed)
        let next = try host.run(function, #"return kv.get("k")"#)
        #expect(next.json == "old")
        #expect(next.effects == [.read("k", 5)])
    }

    @Test func `a key that was written without being read is known by its last write`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        let written = try host.run(function, #"kv.set("k", 1) kv.set("k", 2)"#)
        let next = try host.run(function, #"return kv.get("k")"#)
        #expect(next.json == 2)
        #expect(next.effects == [.read("k", try #require(written.versions.last))])
    }

    // A run that met a conflict comes again under the same identity and attempt: others may have read what it wrote the first time.
    @Test func `no two writes have one version, whichever run makes them`() throws {
        let (host, other) = (try TestHost(), try TestHost())
        var versions: [UInt64] = []
        for host in [host, other] {
            let function = try evaluator(host)
            for _ in 0..<3 { versions += try host.run(function, #"kv.set("k", 1) kv.set("k", 1) kv.set("l", 1)"#).versions }
        }
        #expect(versions.count == 18)
        #expect(Set(versions).count == versions.count)
        #expect(versions.allSatisfy { 1...UInt64(Int64.max) ~= $0 })
    }

    @Test func `a key that the host tells to forget is asked for again`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        for key in ["k", ""] {
            try host.deliver(function, [#"return kv.get("k")"#])
            try host.reply(try host.call().id, ["value": 1, "version": 3])
            #expect(try host.outcome().status == .done)
            host.output.appendForget(context: 1, key: key)
        }
        try host.deliver(function, [#"return kv.get("k")"#])
        #expect(try host.call().json["name"] == "kv.get")
    }

    @Test func `counting reads and writes, in one handler and over several`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        try host.deliver(function, [#"return { kv.incr("n"), kv.incr("n", 10), kv.get("n") }"#])
        try host.reply(try host.call().id, ["value": 41, "version": 2])
        let first = try host.outcome()
        #expect(first.json == [42, 52, 52])
        #expect(first.effects == [.read("n", 2), .set("n", "42", expiry: 0), .set("n", "52", expiry: 0)])
        let version = try #require(first.versions.last)
        let second = try host.run(function, #"return kv.incr("n", -2)"#)
        #expect(second.json == 50)
        #expect(second.effects == [.read("n", version), .set("n", "50", expiry: 0)])
    }

    @Test func `what was read while waiting is settled, even if nothing follows`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        try host.deliver(function, [#"bus.emit("x") kv.incr("n")"#, #"return 2"#])
        let call = try host.call()
        #expect(try host.outcome().json == 2)
        try host.reply(call.id, ["value": .null, "version": 0])
        let outcome = try host.outcome()
        #expect(outcome.status == .done)
        #expect(outcome.effects.dropLast() == [.read("n", 0), .set("n", "1", expiry: 0)])
        try #require(outcome.effects.count == 3)
    }

    @Test(
        arguments: [
            (#"kv.set("", 1)"#, "bad_key: a key has 1 to 512 bytes"), (#"kv.get(("x"):rep(513))"#, "bad_key"),
            (#"kv.set("\xff", 1)"#, "bad_key: a key must be UTF-8"), (#"kv.set("k", nil)"#, "kv.delete"),
            (#"kv.set("k", ("x"):rep(300000))"#, "too_large"), (#"kv.set("k", 1, { tl = 1 })"#, #"did you mean "ttl"?"#),
            (#"kv.set("k", print)"#, "function"), (#"kv.set("k", "text") kv.incr("k")"#, "not a whole number"),
            (#"kv.set("k", math.maxinteger) kv.incr("k")"#, "64 bits"), (#"kv.scan("x", { limit = 0 })"#, "limit"),
        ])
    func `wrong arguments are refused`(script: String, message: String) throws {
        let host = try TestHost()
        let outcome = try host.run(try evaluator(host), .string(script))
        #expect(outcome.status == .failed)
        #expect(outcome.text.contains(message.replacing("\"", with: "\\\"")), "got: \(outcome.text)")
    }

    @Test func `a value expires by the delivery's clock`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        try host.deliver(function, [#"kv.get("k")"#], now: 1_000_000)
        try host.reply(try host.call().id, ["value": .null, "version": 0])
        _ = try host.outcome()
        let set = try host.run(function, #"kv.set("k", 1, { ttl = "1s" })"#, now: 1_000_000)
        #expect(set.effects == [.set("k", "1", expiry: 2_000_000)])
        #expect(try host.run(function, #"return kv.get("k")"#, now: 1_999_999).json == 1)
        try host.deliver(function, [#"return kv.get("k")"#], now: 2_000_000)
        #expect(try host.call().json["name"] == "kv.get")
    }

    @Test func `a scan overlays what the handler has written`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        try host.deliver(function, [#"kv.set("p:b", "new") kv.delete("p:c") kv.set("q", 1) return kv.scan("p:", { limit = 3 })"#])
        let call = try host.call()
        #expect(call.json == ["name": "kv.scan", "prefix": "p:", "limit": 4])
        try host.reply(
            call.id,
            [
                ["key": "p:a", "value": 1, "version": 1], ["key": "p:c", "value": 3, "version": 2],
                ["key": "p:d", "value": 4, "version": 3],
            ])
        let outcome = try host.outcome()
        #expect(
            outcome.json == [["key": "p:a", "value": 1], ["key": "p:b", "value": "new"], ["key": "p:d", "value": 4]])
        #expect(
            outcome.effects == [
                .read("p:a", 1), .read("p:c", 2), .read("p:d", 3), .set("p:b", #""new""#, expiry: 0), .delete("p:c"),
                .set("q", "1", expiry: 0),
            ])
    }

    @Test func `an empty scan is an empty array`() throws {
        let host = try TestHost()
        try host.deliver(try evaluator(host), [#"return kv.scan("p:")"#])
        try host.reply(try host.call().id, [])
        #expect(try host.outcome().json == [])
    }

    @Test func `values keep what JSON can say: 64-bit integers, empty arrays, null, depth`() throws {
        let host = try TestHost()
        let function = try evaluator(host)
        let value = #"{"big":9223372036854775807,"empty":[],"nothing":null,"text":"a\"\\ü"}"#
        try host.deliver(function, [#"local v = kv.get("k") kv.set("k", v) return v.big == math.maxinteger and v.nothing == json.null"#])
        let call = try host.call()
        "{\"value\": \(value), \"version\": 1}".withBytes { host.output.appendReply(call: call.id, value: $0) }
        try host.send()
        let outcome = try host.outcome()
        #expect(outcome.json == true)
        guard case .set("k", let text, _) = outcome.effects.last else { throw TestHost.Unexpected(answer: .outcome(outcome)) }
        #expect(try JSON(text).value == JSON(value).value)
    }

    @Test func `the store is out of reach while a plugin loads`() throws {
        let error = try TestHost().refusal(#"kv.set("k", 1)"#)
        #expect(error["message"]?.string?.contains("handlers only") == true)
    }
}
