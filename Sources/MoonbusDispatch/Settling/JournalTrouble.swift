/// Whether settling works, so that the log hears of it once when it stops and once when it works again.
struct JournalTrouble {
    private(set) var failures = 0

    /// Notes a refused call.
    ///
    /// - Returns: how long to wait before the next try.
    mutating func note() -> Duration {
        failures += 1
        return min(.milliseconds(50) * (1 << min(failures - 1, 10)), .seconds(5))
    }

    /// Notes that it works.
    ///
    /// - Returns: true if it did not before.
    mutating func clear() -> Bool {
        defer { failures = 0 }
        return failures > 0
    }
}
