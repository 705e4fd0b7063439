/// State of a debounce policy: the last event of each key that has not been quiet for long enough.
struct Debouncing {
    struct Pending {
        var slot: UInt32
        /// When the key has been quiet for long enough; nanoseconds on the owner's monotonic clock.
        var due: Int64
    }

    var pending: [UInt64: Pending] = [:]
}

/// State of a throttle policy: when each key's last event passed.
struct Throttling {
    private var passed: [UInt64: Int64] = [:]
    private var countMax = 1_024

    /// True, at most once within `interval`, for each key. Times are nanoseconds on the owner's monotonic clock.
    mutating func passes(_ key: UInt64, now: Int64, interval: Int64) -> Bool {
        if let last = passed[key], now - last < interval { return false }
        if passed.count >= countMax {
            // Keys whose time is over are like keys never seen. Doubling the bound keeps the cost of sweeping constant for each event.
            passed = passed.filter { now - $0.value < interval }
            countMax = max(1_024, passed.count * 2)
        }
        passed[key] = now
        return true
    }
}
