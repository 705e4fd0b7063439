import Glibc

/// The line that says how far a long command is; only drawn where a person sees it.
struct Progress {
    private let label: String
    private let isShown: Bool
    private let start = ContinuousClock().now
    private var lastShown: ContinuousClock.Instant?
    /// What is done.
    private(set) var count = 0

    init(label: String, isShown: Bool) {
        self.label = label
        self.isShown = isShown && Terminal.standardError.isInteractive
    }

    /// Since the beginning.
    var seconds: Double {
        let elapsed = (ContinuousClock().now - start).components
        return Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18
    }

    /// Counts more, and draws ten times a second at most.
    mutating func add(_ more: Int, fraction: Double?) {
        count += more
        guard isShown else { return }
        let now = ContinuousClock().now
        if let lastShown, now - lastShown < .milliseconds(100) { return }
        lastShown = now
        let rate = Int(Double(count) / max(seconds, 0.001))
        let done = fraction.map { fraction in
            let cells = Int((fraction * 20).rounded())
            return "\(String(repeating: "█", count: cells))\(String(repeating: "░", count: 20 - cells)) \(Int(fraction * 100)) %  "
        }
        Terminal.standardError.show(status: "\(label)  \(done ?? "")\(counted(count, "event"))  \(rate)/s")
    }

    /// Takes the line away.
    func finish() {
        if isShown { Terminal.standardError.clearStatus() }
    }
}
