import Testing

@testable import MoonbusLane

@Suite struct KvCacheTests {
    private static func key(_ number: Int) -> KvKey { KvKey(Array("key \(number)".utf8)) }

    @Test func `it stays bounded, and keeps what is used`() {
        var cache = KvCache()
        let favourite = Self.key(-1)
        cache.store(KvCache.Entry(value: [49], version: 1), for: favourite)
        for number in 0..<100_000 {
            cache.store(KvCache.Entry(value: [50], version: 1), for: Self.key(number))
            #expect(cache.entry(favourite, now: 0) != nil)
        }
        let kept = (0..<100_000).count { cache.entry(Self.key($0), now: 0) != nil }
        #expect(kept <= 10_000)
        #expect(cache.entry(Self.key(99_999), now: 0) != nil)
    }

    @Test func `large values push out others before the lane's memory fills`() {
        var cache = KvCache()
        let value = [UInt8](repeating: 120, count: 256 << 10)
        for number in 0..<200 { cache.store(KvCache.Entry(value: value, version: 1), for: Self.key(number)) }
        let kept = (0..<200).count { cache.entry(Self.key($0), now: 0) != nil }
        #expect(kept * value.count <= 9 << 20)
    }

    @Test func `it forgets what the host knows to be wrong, and keeps what may be newer`() {
        var cache = KvCache()
        let entry = KvCache.Entry(value: [49], version: 7)
        for (forgetting, isKept) in [
            (.always, false), (.version(7), false), (.version(6), true), (.othersThan(7), true), (.othersThan(6), false),
        ] as [(KvForgetting, Bool)] {
            cache.store(entry, for: Self.key(1))
            cache.forget(Self.key(1).text, forgetting)
            #expect((cache.entry(Self.key(1), now: 0) != nil) == isKept, "\(forgetting)")
        }
        cache.store(.absent, for: Self.key(1))
        cache.forget(Self.key(1).text, .version(0))
        #expect(cache.entry(Self.key(1), now: 0) == nil)
    }

    @Test func `a run that saw an older version than is known leaves nothing, whatever it wrote`() {
        var cache = KvCache()
        cache.store(KvCache.Entry(value: [49], version: 7), for: Self.key(1))
        var staged = StagedKv()
        _ = staged.read(Self.key(1), version: 6)
        staged.write(.set([50], expiry: 0, version: 8), to: Self.key(1))
        staged.write(.set([50], expiry: 0, version: 9), to: Self.key(2))
        staged.apply(to: &cache, now: 0)
        #expect(cache.entry(Self.key(1), now: 0)?.version == 7)
        #expect(cache.entry(Self.key(2), now: 0) == nil)
    }
}

@Suite struct RawJSONTests {
    private func member(_ name: StaticString, of text: String) -> String? {
        text.withBytes { RawJSON($0).member(name)?.text }
    }

    @Test func `members are found as they are written`() {
        let text = #" { "a" : [1, {"value": 2}] , "s":"x\"},{" , "value" : {"b": [ ]} ,"n":-1.5e3, "z":null } "#
        #expect(member("value", of: text) == #"{"b": [ ]}"#)
        #expect(member("a", of: text) == #"[1, {"value": 2}]"#)
        #expect(member("s", of: text) == #""x\"},{""#)
        #expect(member("n", of: text) == "-1.5e3")
        #expect(member("z", of: text) == "null")
        #expect(member("y", of: text) == nil)
        #expect(member("y", of: "{}") == nil)
        #expect(member("y", of: "[1]") == nil)
    }

    @Test func `elements are found as they are written`() {
        #expect(
            #"[1, "a,b" ,[2,3],{"c":4}, true]"#.withBytes { RawJSON($0).elements().map(\.text) } == [
                "1", #""a,b""#, "[2,3]", #"{"c":4}"#, "true",
            ])
        #expect("[]".withBytes { RawJSON($0).elements().count } == 0)
    }

    @Test func `text that is no JSON is never read beyond its end`() {
        var random = SplitMix(state: 1)
        let pieces = ["{", "}", "[", "]", "\"", "\\", ":", ",", "a", "1", " "]
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0...12, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            text.withBytes { bytes in
                _ = RawJSON(bytes).member("a")
                _ = RawJSON(bytes).elements()
            }
        }
    }
}
