internal import Glibc

/// Where the bus gets the time from, so that a test can decide what time it is.
///
/// Both readings are cheap (no system call on Linux) and may be taken from any thread.
package protocol WallClock: Sendable {
    /// The time of day; may jump when the operator sets the clock. For what people and journals see.
    func now() -> Timestamp
    /// Time since some fixed moment; never goes back. For how long something took, and for timers.
    func monotonic() -> Duration
}

/// The operating system's clocks.
package struct SystemClock: WallClock {
    /// Creates a clock; it has no state.
    package init() {}

    /// CLOCK_REALTIME.
    package func now() -> Timestamp {
        Timestamp.now()
    }

    /// CLOCK_MONOTONIC.
    package func monotonic() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
    }
}
