import MoonbusEvents
import Testing

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-11-23T10:44:07Z", 1_795_430_647_000_000),
        ("2026-11-23T10:44:07.25Z", 1_795_430_647_250_000),
        ("2026-11-23t10:44:07z", 1_795_430_647_000_000),
        ("2026-11-23 10:44:07Z", 1_795_430_647_000_000),
        ("2026-11-23T11:44:07+01:00", 1_795_430_647_000_000),
        ("2026-11-23T04:14:07-06:30", 1_795_430_647_000_000),
        ("2026-11-23T10:44:07-00:00", 1_795_430_647_000_000),
        ("2000-02-29T00:00:00Z", 951_782_400_000_000),
        ("2024-02-29T23:59:59Z", 1_709_251_199_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("2017-01-01T00:59:60+01:00", 1_483_228_800_000_000),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ("2026-11-23T10:44:07.1234569Z", 1_795_430_647_123_456),
    ])
    func `an RFC 3339 instant is read to the microsecond`(text: String, microseconds: Int64) throws {
        #expect(Timestamp(rfc3339: text)?.microseconds == microseconds)
    }

    @Test(arguments: [
        "", "2026", "2026-11-23", "2026-11-23T10:44Z", "2026-11-23T10:44:07", "2026-11-23T10:44:07.Z", "2026-11-23T10:44:07+0100",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-04-31T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
        "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T12:00:60Z",
        "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00Z ", " 2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00ZZ", "+026-01-01T00:00:00Z", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
        "２026-01-01T00:00:00Z",
    ])
    func `anything else is refused`(text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59.999999Z"), (1_795_430_647_250_000, "2026-11-23T10:44:07.250Z"),
        (1_795_430_647_250_001, "2026-11-23T10:44:07.250001Z"), (1_795_430_647_000_010, "2026-11-23T10:44:07.000010Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00Z"), (Int64.min, "0000-01-01T00:00:00Z"), (Int64.max, "9999-12-31T23:59:59.999999Z"),
    ])
    func `an instant is written in UTC with as few digits as say it all`(microseconds: Int64, text: String) {
        #expect(Timestamp(microseconds: microseconds).description == text)
    }

    @Test func `what was written is read back the same, in 900 years`() {
        var random = SeededRandom(seed: 1)
        for day in stride(from: -160_000, to: 170_000, by: 23) {
            let instant = Timestamp(microseconds: Int64(day) * 86_400_000_000 + Int64.random(in: 0..<86_400_000_000, using: &random))
            guard Timestamp(rfc3339: instant.description) == instant else {
                Issue.record("\(instant.microseconds) became \(instant)")
                return
            }
        }
    }

    @Test func `arithmetic is exact and saturates instead of trapping`() {
        let instant = Timestamp(microseconds: 1_000_000)
        #expect((instant + .milliseconds(1)).microseconds == 1_001_000)
        #expect((instant - .seconds(2)).microseconds == -1_000_000)
        #expect(instant - Timestamp(microseconds: 250_000) == .milliseconds(750))
        #expect((Timestamp(microseconds: .max) + .seconds(1)).microseconds == .max)
        #expect((Timestamp(microseconds: .min) - .seconds(1)).microseconds == .min)
        #expect((instant + .seconds(Int64.max)).microseconds == .max)
        #expect((Timestamp(microseconds: -1) + .seconds(Int64.min)).microseconds == .min)
        #expect(Timestamp(microseconds: .min) - Timestamp(microseconds: .max) < .zero)
    }

    @Test func `the system clock is later than this test was written, and never goes back`() {
        let clock = SystemClock()
        #expect(clock.now() > Timestamp(microseconds: 1_767_225_600_000_000))
        let first = clock.monotonic()
        #expect(clock.monotonic() >= first)
    }
}
