import CLuaShim
import MoonbusLua
import Testing

@Suite struct EmitTests {
    private func run(_ body: String, limits: LuaLimits = .quick, allowed: [String]? = nil, sources: [String]? = nil) throws -> LuaOutcome {
        try onLane { lane in
            let script = try Script(
                on: lane, limits: limits,
                prelude: { context in
                    if let allowed { context.restrictEmit(to: allowed) }
                    if let sources { context.restrictSources(to: sources) }
                },
                "host.on(function(event) \(body) end)")
            return try #require(
                script.send(change: { $0.subscription_key = (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908) }))
        }
    }

    @Test func `an emit is staged as an effect, and its id derives from the delivery's identity and its ordinal`() throws {
        let outcome = try run(
            "return {bus.emit('order.priced', {total = 7}), bus.emit('ping'), bus.emit('named', nil, {id = 'mine', key = 'k'})}")
        #expect(outcome.text == #"["41HSK4P9KFY9C4ZSQ2RC88M201-0","41HSK4P9KFY9C4ZSQ2RC88M201-1","mine"]"#)
        let effects = try EmitEffect.all(in: outcome.effects)
        #expect(effects.map(\.type) == ["order.priced", "ping", "named"])
        #expect(effects.map(\.data) == [#"{"total":7}"#, "", ""])
        #expect(
            effects[0].options == "" && effects[2].options.contains(text: #""id":"mine""#)
                && effects[2].options.contains(text: #""key":"k""#))
    }

    @Test func `options arrive with units, and instants as they were written`() throws {
        let outcome = try run(
            "bus.emit('a', 1, {delay = '1m30s'}) bus.emit('b', 2, {delay = 0.25}) bus.emit('c', 3, {at = '2030-01-01T00:00:00+01:00'})")
        #expect(
            try EmitEffect.all(in: outcome.effects).map(\.options) == [
                #"{"delay_us":90000000}"#, #"{"delay_us":250000}"#, #"{"at":"2030-01-01T00:00:00+01:00"}"#,
            ])
    }

    @Test(arguments: [
        ("bus.emit()", "bad_type: an event's type is a string, got nothing"),
        ("bus.emit({})", "bad_type: an event's type is a string, got table"),
        ("bus.emit('')", "bad_type: \\\"\\\": it is empty"), ("bus.emit('a..b')", "it has an empty token"),
        ("bus.emit('a.*')", "wildcards are for patterns"),
        ("bus.emit('a.>')", "wildcards are for patterns"), ("bus.emit('a b')", "space or control"),
        ("bus.emit(('x'):rep(256))", "longer than 255"),
        ("bus.emit('\\xff')", "not valid UTF-8"), ("bus.emit('a', print)", "data: a function is not JSON"),
        ("bus.emit('a', {n = 0/0})", "data.n: NaN is not JSON"),
        ("bus.emit('a', ('x'):rep(300000))", "too_large: data is over 262144 bytes as JSON"),
        ("bus.emit('a', 1, {dely = 1})", "no option 'dely'; did you mean 'delay'?"),
        ("bus.emit('a', 1, {colour = 1})", "it has subject, key, id, delay, at, source"),
        ("bus.emit('a', 1, {['subject\\0x'] = 's'})", "bus.emit has no option"),
        ("bus.emit('a', 1, {delay = -1})", "delay must be a duration"),
        ("bus.emit('a', 1, {key = 5})", "key must be a string, got number"),
        ("bus.emit('a', 1, {key = ''})", "key must have 1 to 255 bytes"),
        ("bus.emit('a', 1, {subject = 'a\\nb'})", "subject has a control character at byte 2: take it out"),
        ("bus.emit('a', 1, {id = 'a\\0'})", "id has a control character at byte 2"),
        ("bus.emit('a', 1, {key = '\\xc2\\x85'})", "key has a control character at byte 1"),
        ("bus.emit('moonbus.x', 1)", "moonbus.\\\" are reserved for Moonbus itself: choose another first word"),
        ("bus.emit('moonbus')", "are reserved for Moonbus itself"),
        ("bus.emit('a', 1, {at = 'soon'})", "at must be an instant"), ("bus.emit('a', 1, 'x')", "table expected, got string"),
    ])
    func `an emit is refused with the reason`(call: String, expected: String) throws {
        let outcome = try run(call)
        #expect(outcome.status == .failed)
        #expect(outcome.message.contains(text: expected), "\(outcome.message)")
        #expect(outcome.effects.isEmpty)
    }

    @Test func `no code of a script runs while an emit is staged`() throws {
        let outcome = try run("bus.emit('outer', 1, setmetatable({}, {__index = function() bus.emit('inner') end}))")
        #expect(try EmitEffect.all(in: outcome.effects).map(\.type) == ["outer"])
    }

    @Test func `a plugin may emit what its manifest allows and nothing else`() throws {
        let outcome = try run(
            "bus.emit('report.day') bus.emit('alarm.x.y') return {pcall(bus.emit, 'report'), pcall(bus.emit, 'report.a.b'), (select(2, pcall(bus.emit, 'other')))}",
            allowed: ["report.*", "alarm.>"])
        #expect(
            outcome.text.contains(text: #"not allowed to emit \"other\": plugin.toml [permissions] emit allows report.*, alarm.>"#),
            "\(outcome.text)")
        #expect(try EmitEffect.all(in: outcome.effects).count == 2)
        #expect(try run("bus.emit('x')", allowed: []).message.contains(text: "emit allows nothing"))
    }

    @Test func `words that only begin like moonbus are anybody's`() throws {
        let outcome = try run("bus.emit('moonbuses.late') bus.emit('moon.bus') bus.emit('a.moonbus')")
        #expect(try EmitEffect.all(in: outcome.effects).map(\.type) == ["moonbuses.late", "moon.bus", "a.moonbus"])
    }

    @Test func `a plugin gives its events its own source, or one that its manifest permits`() throws {
        let permitted = ["/plugins/shop", "urn:till:*", "/door"]
        for source in ["/plugins/shop", "urn:till:7", "urn:till:", "/door"] {
            let outcome = try run("bus.emit('a', 1, {source = '\(source)', id = '7'})", sources: permitted)
            #expect(outcome.status == .done && !outcome.effects.isEmpty, "\(source): \(outcome.text)")
        }
        for source in ["/plugins/other", "/plugins/shop/", "/plugins/sho", "/doors", "urn:till", "urn:till:*x", "/door*", "*"] {
            let outcome = try run("bus.emit('a', 1, {source = '\(source)', id = '7'})", sources: permitted)
            let isExpected = source == "urn:till:*x"  // begins like what is permitted
            #expect((outcome.status == .done) == isExpected, "\(source): \(outcome.text)")
        }
        let refused = try run("bus.emit('a', 1, {source = '/their/shop'})", sources: permitted)
        #expect(refused.message.contains(text: #"the source \"/their/shop\" is not this plugin's"#), "\(refused.message)")
        #expect(refused.message.contains(text: #"leave source out, which makes it \"/plugins/shop\""#), "\(refused.message)")
        #expect(refused.message.contains(text: #"[permissions] sources = [\"/their/shop\"]"#), "\(refused.message)")
        #expect(refused.effects.isEmpty)
    }

    @Test func `a handler that fails leaves no effects behind, however many it staged`() throws {
        #expect(try run("bus.emit('a') bus.emit('b') error('no')").effects.isEmpty)
        #expect(try run("bus.emit('a') bus.reject('bad sku')").effects.isEmpty)
    }

    @Test func `effects are bounded in number and in bytes`() throws {
        var limits = LuaLimits.quick
        limits.effectCount = 3
        #expect(try run("for n = 1, 4 do bus.emit('a', n) end", limits: limits).message.contains(text: "one delivery may emit 3 events"))
        limits.effectCount = 1000
        limits.effectBytes = 100
        #expect(try run("for n = 1, 40 do bus.emit('a', n) end", limits: limits).message.contains(text: "too_large"))
        let kept = try run("local n = 0 while pcall(bus.emit, 'a', n) do n = n + 1 end return n", limits: limits)
        #expect(kept.status == .done && kept.text == "8")
    }

    @Test func `emitting while the plugin loads is refused`() throws {
        let fault = try onLane { lane in #expect(throws: LuaFault.self) { _ = try Script(on: lane, "bus.emit('a')") } }
        #expect(try #require(fault).json.contains(text: "cannot be called while the plugin loads"))
    }

    @Test func `reject and retry end the handler at once, and no pcall stops them`() throws {
        let rejected = try run("pcall(function() bus.reject('bad sku') end) return 'went on'")
        #expect(rejected.status == .rejected && rejected.text == "bad sku")
        let wrapped = try run("coroutine.wrap(function() xpcall(function() bus.reject('inner') end, print) end)() return 'went on'")
        #expect(wrapped.status == .rejected && wrapped.text == "inner")
        let retried = try run("pcall(bus.retry, '5s') return 'went on'")
        #expect(retried.status == .retry)
        #expect(retried.detail.withUnsafeBytes { $0.loadUnaligned(as: Int64.self) } == 5_000_000)
        #expect(try run("bus.retry('soon')").message.contains(text: "duration"))
    }

    @Test(
        arguments: [("1ms", 1_000), ("1.5s", 1_500_000), ("1h30m", 5_400_000_000), ("2d", 172_800_000_000), ("0s", 0)] as [(String, Int64)])
    func `a duration is read with its units`(text: String, expected: Int64) throws {
        let outcome = try run("return host.duration('\(text)')")
        #expect(outcome.text == "\(expected)")
    }

    @Test(arguments: ["", "5", "s", "5 s", "-1s", "1x", "1.s", "400d", "1e3s"])
    func `a text that is no duration is refused`(text: String) throws {
        #expect(try run("return host.duration('\(text)')").message.contains(text: "bad argument #1 to 'host.duration' (duration such as"))
    }
}

/// An emit effect (docs/frames.md, "Effects").
private struct EmitEffect {
    let type, data, options: String

    static func all(in bytes: [UInt8]) throws -> [EmitEffect] {
        var effects: [EmitEffect] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard rest.first == 1 else { throw Missing(what: "an emit") }
            let header = Array(rest.prefix(10))
            let (typeSize, dataSize, optionsSize) = header.withUnsafeBytes {
                (
                    Int($0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)), Int($0.loadUnaligned(fromByteOffset: 4, as: UInt32.self)),
                    Int($0.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
                )
            }
            rest = rest.dropFirst(10)
            func take(_ count: Int) -> String {
                defer { rest = rest.dropFirst(count) }
                return String(decoding: rest.prefix(count), as: UTF8.self)
            }
            effects.append(EmitEffect(type: take(typeSize), data: take(dataSize), options: take(optionsSize)))
        }
        return effects
    }
}
