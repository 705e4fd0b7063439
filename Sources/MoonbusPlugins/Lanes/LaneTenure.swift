/// Who had a shared lane lately, from one look of the watchdog to the next: finds the plugin whose runs, each within its limits, leave the others
/// of the lane next to nothing.
///
/// A stretch between two looks counts as a plugin's if both found it running, it answered few deliveries in between, and another plugin's
/// waited at both. Few, because short runs take turns with the others' and keep nobody waiting, however many
/// they are. All time is the lane's CPU time: on a loaded machine everybody waits, and nobody is to blame.
struct LaneTenure {
    /// What one look finds.
    struct Look {
        /// CLOCK_MONOTONIC, nanoseconds.
        var time: UInt64
        /// The lane's CPU clock.
        var cpu: Duration
        /// The plugin that runs, in whichever of its contexts; nil: none does.
        var plugin: String?
        /// Deliveries that its contexts on the lane have answered.
        var answerCount: UInt64 = 0
        /// Whether another plugin has something to do on the lane.
        var othersWait = false
    }

    private struct Stretch {
        var end: UInt64
        /// Whose it is; nil: nobody's.
        var plugin: String?
        var cpu: Duration
    }

    /// How far back it looks, in the lane's CPU time, and in wall time at most.
    static let window: Duration = .seconds(2)
    private static let ageMax: Duration = .seconds(10)
    /// What one may hold of the window while others wait. Less than half: runs of just under ``PluginHostConfiguration/hold`` leave every other
    /// stretch to whatever runs between them.
    static let heldMax: Duration = .milliseconds(800)
    /// With this many answers in a stretch its runs were short.
    static let answersMax: UInt64 = 10

    private var last: Look?
    private var stretches: [Stretch] = []
    private var ran: Duration = .zero

    /// Notes a look.
    ///
    /// - Returns: CPU time that the plugin which runs has held within the window, if that is too much.
    mutating func note(_ look: Look) -> Duration? {
        defer { last = look }
        guard let last else { return nil }
        let isHeld =
            look.plugin != nil && last.plugin == look.plugin && last.othersWait && look.othersWait
            && look.answerCount &- last.answerCount < Self.answersMax
        add(Stretch(end: look.time, plugin: isHeld ? look.plugin : nil, cpu: look.cpu - last.cpu))
        guard isHeld else { return nil }
        let held = stretches.reduce(.zero) { $1.plugin == look.plugin ? $0 + $1.cpu : $0 }
        return held > Self.heldMax ? held : nil
    }

    private mutating func add(_ stretch: Stretch) {
        stretches.append(stretch)
        ran += stretch.cpu
        let gone = stretches.prefix { first in
            guard ran - first.cpu >= Self.window || first.end + Self.ageMax.nanoseconds < stretch.end else { return false }
            ran -= first.cpu
            return true
        }
        stretches.removeFirst(gone.count)
    }
}
