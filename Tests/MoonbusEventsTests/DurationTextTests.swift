import MoonbusEvents
import Testing

@Suite struct DurationTextTests {
    @Test(arguments: [
        ("0s", Duration.zero), ("250ms", .milliseconds(250)), ("5s", .seconds(5)), ("1m30s", .seconds(90)), ("2h", .seconds(7_200)),
        ("1d", .seconds(86_400)), ("0.5s", .milliseconds(500)), ("1.5h", .seconds(5_400)),
        ("1d2h3m4s5ms6us7ns", .nanoseconds(93_784_005_006_007)),
        ("0.0000000019s", .nanoseconds(1)), ("0.1d", .seconds(8_640)), ("100000d", .seconds(8_640_000_000)), ("90m", .seconds(5_400)),
        ("0.3m", .seconds(18)), ("007s", .seconds(7)),
    ])
    func `a duration is read exactly`(text: String, duration: Duration) throws {
        #expect(try DurationText.parse(text) == duration)
    }

    @Test(arguments: [
        ("", "it is empty"), ("5", "5 has no unit"), ("s", "\"\" is not a number"), ("5x", "\"x\" is not a unit"),
        ("5 s", "\" s\" is not a unit"),
        ("-5s", "\"-\" is not a unit"), ("1s1m", "from large to small"), ("1s1s", "each once"), ("1.2.3s", "\"1.2.3\" is not a number"),
        (".5s", "\".5\" is not a number"), ("5.s", "\"5.\" is not a number"), ("1e3s", "\"e\" is not a unit"),
        ("100001d", "longer than 100,000 days"),
        ("99999999999999999999s", "longer than 100,000 days"), ("100000d1ns", "longer than 100,000 days"), ("5S", "\"S\" is not a unit"),
    ])
    func `a text that is none is refused with the reason`(text: String, reason: String) throws {
        let error = try #require(refusal { () throws(EventError) in _ = try DurationText.parse(text) })
        #expect(error.code == .badDuration)
        #expect(error.message.contains(reason), "\(error)")
    }

    @Test(arguments: [
        (Duration.zero, "0s"), (.milliseconds(250), "250ms"), (.seconds(90), "1m30s"), (.seconds(86_400), "1d"), (.nanoseconds(1), "1ns"),
        (.microseconds(1_500), "1ms500us"), (.seconds(-5), "-5s"),
    ])
    func `a duration is written with as few units as say it exactly`(duration: Duration, text: String) {
        #expect(DurationText.format(duration) == text)
    }

    @Test func `what was written is read back the same`() throws {
        var random = SeededRandom(seed: 2)
        for _ in 0..<2_000 {
            let duration = Duration.nanoseconds(
                Int64.random(in: 0...1_000_000_000_000_000_000, using: &random) >> Int64.random(in: 0..<60, using: &random))
            #expect(try DurationText.parse(DurationText.format(duration)) == duration)
        }
    }
}
