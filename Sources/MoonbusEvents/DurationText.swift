/// Durations as people write them: `"250ms"`, `"5s"`, `"1m30s"`, `"2h"`, `"1d"`, `"0.5s"`.
///
/// One or more numbers, each with a unit (`d`, `h`, `m`, `s`, `ms`, `us`, `ns`), the larger unit first, each unit at
/// most once. No sign, no spaces: a duration is never negative.
public enum DurationText {
    /// Reads a duration.
    ///
    /// - Parameter text: as described above; at most 100,000 days. Fractions finer than a nanosecond are cut off.
    /// - Throws: ``EventError`` `.badDuration`, with the text and an example of what would be accepted.
    public static func parse(_ text: String) throws(EventError) -> Duration {
        var rest = text[...].utf8
        var nanoseconds: Int64 = 0
        var unitsLeft = units[...]
        guard !rest.isEmpty else { throw refusal(text, "it is empty") }
        while !rest.isEmpty {
            let digits = rest.prefix { isDigit($0) || $0 == UInt8(ascii: ".") }
            rest = rest[digits.endIndex...]
            let name = rest.prefix { !isDigit($0) && $0 != UInt8(ascii: ".") }
            rest = rest[name.endIndex...]
            let unit = String(Substring(name))
            if unit.isEmpty { throw refusal(text, "\(Substring(digits)) has no unit") }
            guard units.contains(where: { $0.name == unit }) else {
                throw refusal(text, "\"\(unit)\" is not a unit (d, h, m, s, ms, us, ns)")
            }
            guard let index = unitsLeft.firstIndex(where: { $0.name == unit }) else {
                throw refusal(text, "units go from large to small, each once")
            }
            unitsLeft = unitsLeft[(index + 1)...]
            guard let part = scaled(digits, unit: units[index].nanoseconds) else {
                throw refusal(text, "\"\(Substring(digits))\" is not a number")
            }
            let (sum, overflow) = nanoseconds.addingReportingOverflow(part)
            guard !overflow, sum <= nanosecondsMax else { throw refusal(text, "it is longer than 100,000 days") }
            nanoseconds = sum
        }
        return .nanoseconds(nanoseconds)
    }

    /// Writes a duration so that ``parse(_:)`` reads the same one, with as few units as say it exactly: `1m30s`, `250ms`.
    ///
    /// - Parameter duration: cut off to nanoseconds; a negative one is shown with a minus, which ``parse(_:)`` refuses.
    public static func format(_ duration: Duration) -> String {
        if duration < .zero { return "-" + format(.zero - duration) }
        let (seconds, attoseconds) = duration.components
        var text = ""
        var left = seconds
        for (name, size) in [("d", Int64(86_400)), ("h", 3_600), ("m", 60), ("s", 1)] where left >= size {
            text += "\(left / size)\(name)"
            left %= size
        }
        var nanoseconds = attoseconds / 1_000_000_000
        for (name, size) in [("ms", Int64(1_000_000)), ("us", 1_000), ("ns", 1)] where nanoseconds >= size {
            text += "\(nanoseconds / size)\(name)"
            nanoseconds %= size
        }
        return text.isEmpty ? "0s" : text
    }

    /// Far beyond any use, and far from the end of `Int64` nanoseconds (106,751 days).
    private static let nanosecondsMax: Int64 = 100_000 * 86_400 * 1_000_000_000

    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
        ("ms", 1_000_000), ("us", 1_000), ("ns", 1),
    ]

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    /// `digits` × `unit` without going through a Double, saturating; `nil` when it is not `1`, `1.5` or the like.
    private static func scaled(_ digits: Substring.UTF8View, unit: Int64) -> Int64? {
        let parts = digits.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        var total: Int64 = 0
        for byte in parts[0] {
            let (product, overflow) = total.multipliedReportingOverflow(by: 10)
            guard !overflow, product <= .max - 9 else { return .max }
            total = product + Int64(byte - 48)
        }
        let (whole, overflow) = total.multipliedReportingOverflow(by: unit)
        guard !overflow else { return .max }
        var numerator: UInt128 = 0
        var denominator: UInt128 = 1
        if parts.count == 2 {
            for byte in parts[1].prefix(18) {
                numerator = numerator * 10 + UInt128(byte - 48)
                denominator *= 10
            }
        }
        let fraction = Int64(numerator * UInt128(unit) / denominator)
        let (sum, carry) = whole.addingReportingOverflow(fraction)
        return carry ? .max : sum
    }

    private static func refusal(_ text: String, _ reason: String) -> EventError {
        EventError(
            .badDuration, "\"\(text.prefix(80))\" is not a duration: \(reason). Examples: \"250ms\", \"5s\", \"1m30s\", \"2h\", \"1d\"")
    }
}
