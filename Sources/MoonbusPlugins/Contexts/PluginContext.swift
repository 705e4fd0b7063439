/// One running copy of a plugin's version on a lane, seen from the host. State of the owner thread.
final class PluginContext {
    enum Phase {
        /// The lane was asked to load it and has not answered.
        case loading
        case serving
        /// It was told to go; what it had is still being answered.
        case leaving
        /// Cut, or gone with its lane.
        case gone
    }

    /// Deliveries that a context may have unanswered altogether, those that wait for a call included.
    static let flightsMax = 4_096
    /// The most, and the first, `window`.
    static let windowMax = 512, windowFirst = 64
    /// Calls that may wait for their answer at the same time; one more is answered with an error.
    static let callsMax = 4_096

    /// Never used twice by one host.
    let number: UInt32
    let lane: Lane
    let version: PluginVersion
    var phase: Phase = .loading
    /// Deliveries that it has and has not answered.
    var flightCount = 0
    /// Those of them that wait for a call, and so hold no CPU.
    var waitingCount = 0
    /// Calls of its deliveries that were not answered.
    var callCount = 0
    /// Deliveries that it has answered.
    private(set) var answerCount: UInt64 = 0
    /// How many deliveries the lane may have queued for this context. A lane runs what it gets in order, so this is how long others on the
    /// lane wait behind us: it doubles while a window's worth is answered quickly, and halves when the watchdog finds us running twice in a row.
    private(set) var window = PluginContext.windowFirst
    /// Answers since the window was last looked at, and when that was.
    private var answered = 0
    private var windowBegan: UInt64 = 0

    /// A window's worth answered within this time, in nanoseconds, shows that a larger one would not keep others waiting for long.
    private static let quick: UInt64 = 20_000_000

    init(number: UInt32, lane: Lane, version: PluginVersion) {
        self.number = number
        self.lane = lane
        self.version = version
    }

    /// How many more deliveries it takes now.
    var room: Int {
        guard phase == .serving, lane.takesMore() else { return 0 }
        return max(0, min(window - (flightCount - waitingCount), Self.flightsMax - flightCount))
    }

    /// Notes that deliveries were answered.
    ///
    /// - Parameter now: CLOCK_MONOTONIC, nanoseconds; may be that of the frame.
    func answered(_ count: Int, at now: UInt64) {
        flightCount -= count
        answerCount &+= UInt64(truncatingIfNeeded: count)
        answered += count
        if answered >= window { review(at: now) }
    }

    private func review(at now: UInt64) {
        if now - windowBegan < Self.quick { window = min(window * 2, Self.windowMax) }
        answered = 0
        windowBegan = now
    }

    /// Notes that it was found running by two looks of the watchdog in a row.
    func wasSlow() { window = max(1, window / 2) }
}
