import Glibc

/// How many log lines a context may write: 200 a second, 1,000 at once.
struct LogBudget {
    enum Answer: Equatable {
        /// Write it; first say how many were suppressed since the last one, if any.
        case write(suppressed: Int)
        /// Say that lines are being suppressed: this is the first.
        case warn
        case suppress
    }

    static let perSecond = 200.0
    static let burst = 1_000.0

    private var tokens = burst
    private var refilledAt: Int64?
    private var suppressed = 0

    /// - Parameter now: monotonic, in nanoseconds.
    mutating func take(now: Int64) -> Answer {
        let elapsed = Double(now - (refilledAt ?? now)) / 1e9
        refilledAt = now
        tokens = min(Self.burst, tokens + elapsed * Self.perSecond)
        // Once suppressing, a whole second's worth must be there again, so that the notices themselves stay few.
        guard tokens >= (suppressed > 0 ? Self.perSecond : 1) else {
            suppressed += 1
            return suppressed == 1 ? .warn : .suppress
        }
        defer { suppressed = 0 }
        tokens -= 1
        return .write(suppressed: suppressed)
    }
}
