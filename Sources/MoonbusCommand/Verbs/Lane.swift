import ArgumentParser
import MoonbusLane

/// `moonbus lane`: what the service starts as a sandboxed child. Here only so that `moonbus help lane` says so: the real entry
/// is at the top of ``Main``, before anything else runs.
struct Lane: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run plugins for a service (started by `moonbus run`, not by hand).", shouldDisplay: false)

    func run() async throws { LaneProcess.main() }
}
