internal import Glibc

/// An instant: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Arithmetic saturates at the ends of the range, so that a hostile delay cannot trap.
public struct Timestamp: Sendable, Hashable, Comparable {
    /// Microseconds since 1970 UTC; negative before that.
    public var microseconds: Int64

    /// Creates the instant that many microseconds after 1970 UTC.
    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// The operating system's clock, now.
    public static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) &* 1_000_000 &+ Int64(time.tv_nsec) / 1_000)
    }

    /// 0000-01-01T00:00:00Z, the first instant that RFC 3339 can write.
    public static let earliest = Timestamp(microseconds: -62_167_219_200_000_000)
    /// 9999-12-31T23:59:59.999999Z, the last instant that RFC 3339 can write.
    public static let latest = Timestamp(microseconds: 253_402_300_799_999_999)

    /// The order of time.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microseconds < right.microseconds
    }

    /// The instant that much later, rounded down to a microsecond.
    public static func + (instant: Timestamp, duration: Duration) -> Timestamp {
        let (sum, overflow) = instant.microseconds.addingReportingOverflow(duration.microseconds)
        guard overflow else { return Timestamp(microseconds: sum) }
        return Timestamp(microseconds: duration < .zero ? .min : .max)
    }

    /// The instant that much earlier, rounded to a microsecond.
    public static func - (instant: Timestamp, duration: Duration) -> Timestamp {
        let (difference, overflow) = instant.microseconds.subtractingReportingOverflow(duration.microseconds)
        guard overflow else { return Timestamp(microseconds: difference) }
        return Timestamp(microseconds: duration < .zero ? .max : .min)
    }

    /// How much time lies between two instants; negative if the first one is the earlier.
    public static func - (left: Timestamp, right: Timestamp) -> Duration {
        .microseconds(left.microseconds) - .microseconds(right.microseconds)
    }
}

extension Duration {
    /// Whole microseconds, rounded down; saturates at the ends of `Int64`.
    package var microseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        // Attoseconds carry the sign of the whole; rounding them down keeps -0.5 µs at -1 µs.
        let quotient = attoseconds / 1_000_000_000_000
        let part = attoseconds < 0 && quotient * 1_000_000_000_000 != attoseconds ? quotient - 1 : quotient
        let (sum, carry) = product.addingReportingOverflow(part)
        guard overflow || carry else { return sum }
        return seconds < 0 ? .min : .max
    }
}
