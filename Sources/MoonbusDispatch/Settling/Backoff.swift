extension RetryPolicy {
    /// The longest wait before the next run, after `failures` (at least 1) runs have failed. The wait itself is drawn below it (``Jitter``).
    func ceiling(afterFailures failures: Int) -> Duration {
        guard backoff > .zero else { return .zero }
        // 2^30 seconds are more than any `backoffMax` that makes sense; beyond that the shift would overflow.
        let doublings = min(max(0, failures - 1), 30)
        let nanoseconds = backoff.wholeNanoseconds.multipliedReportingOverflow(by: Int64(1) << Int64(doublings))
        return nanoseconds.overflow ? backoffMax : min(.nanoseconds(nanoseconds.partialValue), backoffMax)
    }
}

/// Draws the wait from its ceiling.
package struct Jitter: Sendable {
    package let draw: @Sendable (Duration) -> Duration

    /// A draw that a test decides.
    package init(_ draw: @escaping @Sendable (Duration) -> Duration) {
        self.draw = draw
    }

    /// Anything between 0 and the ceiling: deliveries that failed together do not come back together.
    /// Origin: M. Brooker, "Exponential Backoff And Jitter".
    package static let full = Jitter { ceiling in
        let nanoseconds = ceiling.wholeNanoseconds
        return nanoseconds > 0 ? .nanoseconds(Int64.random(in: 0...nanoseconds)) : .zero
    }
}
