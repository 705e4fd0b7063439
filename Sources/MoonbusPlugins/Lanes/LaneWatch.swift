import Glibc

/// What the watchdog remembers of a lane from one look at its page to the next.
///
/// Three things are wrong with a lane: it runs one piece of script code for longer than its limit in CPU time (its own watchdog failed to end
/// it); it has something to do and nothing happens, in wall time; or it has answered everything and does not give the memory of it back. Wall
/// time alone never convicts a lane that uses CPU: on a loaded machine everything takes long.
struct LaneWatch {
    struct Limits {
        /// CPU time over the limit of what runs.
        var overrun: Duration
        /// Wall time without any sign.
        var silence: Duration
    }

    enum Verdict: Equatable {
        case fine
        /// The same context was found running twice in a row.
        case slow(context: UInt64)
        case overran(CPU: Duration, limit: Duration)
        case silent(Duration)
        case hoarded(Duration)
    }

    /// The run that was seen last, its CPU clock when it was seen first, and the last time that clock moved.
    private var sequence: UInt64 = 0
    private var cpuThen: Duration = .zero
    private var cpuLast: Duration = .zero
    private var lastContext: UInt64?
    /// CPU time that the run which goes on has used since it was first seen; zero when none does, or the lane has no clock of its own.
    private(set) var ran: Duration = .zero
    /// When it was looked at last; CLOCK_MONOTONIC, nanoseconds.
    private var looked: UInt64?
    /// When there was last a sign of life: a frame, another run, CPU time. CLOCK_MONOTONIC, nanoseconds.
    private(set) var heard: UInt64 = monotonicNanoseconds()
    /// When it was first seen to keep the memory of what it has answered, on the same clock; nil while it does not.
    private var hoarding: UInt64?

    mutating func wasHeard() { heard = monotonicNanoseconds() }

    /// Its verdict was told, and nothing else can be done: it begins anew.
    mutating func forgive() {
        heard = monotonicNanoseconds()
        hoarding = nil
    }

    mutating func becameBusy() { heard = monotonicNanoseconds() }

    /// Judges a reading.
    ///
    /// - Parameters:
    ///   - cpu: the lane's CPU clock; nil when it has none of its own (a thread).
    ///   - isBusy: whether it has something to do, that does not wait for us.
    ///   - keepsMemory: whether it has nothing to answer, and has not given back the memory of what it had.
    mutating func look(at reading: LanePage.Reading, cpu: Duration?, isBusy: Bool, keepsMemory: Bool = false, limits: Limits) -> Verdict {
        look(at: reading, cpu: cpu, isBusy: isBusy, keepsMemory: keepsMemory, limits: limits, now: monotonicNanoseconds())
    }

    /// Looks come ten times a second. Time beyond this between two of them, in nanoseconds, is nobody's silence: the whole machine stood
    /// still, or we did.
    private static let gapMax: UInt64 = 1_000_000_000

    mutating func look(
        at reading: LanePage.Reading, cpu: Duration?, isBusy: Bool, keepsMemory: Bool = false, limits: Limits, now: UInt64
    ) -> Verdict {
        if let looked, now - looked > Self.gapMax {
            heard = min(now, heard + (now - looked - Self.gapMax))
            hoarding = hoarding.map { min(now, $0 + (now - looked - Self.gapMax)) }
        }
        looked = now
        hoarding = keepsMemory ? hoarding ?? now : nil
        let isSameContext = reading.isRunning && reading.context == lastContext
        lastContext = reading.isRunning ? reading.context : nil
        if reading.sequence != sequence || !isBusy {
            sequence = reading.sequence
            cpuThen = cpu ?? .zero
            heard = now
        } else if let cpu, cpu - cpuLast > .milliseconds(1) {
            heard = now
        }
        cpuLast = cpu ?? .zero
        ran = reading.isRunning ? cpuLast - cpuThen : .zero
        if reading.sequence == sequence, isBusy, let cpu {
            // Between two runs of script code the lane's own code works: it has no limit of its own, and needs milliseconds.
            let limit = reading.isRunning ? reading.limit : limits.silence
            let used = cpu - cpuThen
            if used > limit + limits.overrun { return .overran(CPU: used, limit: limit) }
        }
        if isBusy, now - heard > limits.silence.nanoseconds { return .silent(.nanoseconds(Int64(now - heard))) }
        if let hoarding {
            // What was given up may still run: until its limit it has a reason to keep it.
            let patience = limits.silence + (reading.isRunning ? reading.limit + limits.overrun : .zero)
            if now - hoarding > patience.nanoseconds { return .hoarded(.nanoseconds(Int64(now - hoarding))) }
        }
        return isSameContext ? .slow(context: reading.context) : .fine
    }
}
