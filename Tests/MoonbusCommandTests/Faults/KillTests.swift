import Foundation
import Testing

extension Faults {
    @Suite(.timeLimit(.minutes(Cycles.minutes))) struct KillTests {
        @Test func `kill -9 at any moment loses nothing that was acknowledged, and makes nothing twice`() async throws {
            let torture = Torture(cycles: Cycles.count(50), fault: .killed)
            let audit = try await torture.run(in: try Scratch(), progress: Cycles.show)
            Cycles.show(audit, of: torture)
            #expect(audit.isClean, "seed \(torture.seed): \(audit)")
            #expect(audit.acknowledged > torture.cycles)
        }
    }
}

/// How long `scripts/torture` wants it, and its table.
enum Cycles {
    private static let asked = ProcessInfo.processInfo.environment["MOONBUS_TORTURE_CYCLES"].flatMap { Int($0) }

    static func count(_ usual: Int) -> Int { asked ?? usual }

    /// After which a test hangs; a cycle takes half a second.
    static let minutes = 5 + (asked ?? 0) / 25

    static func show(_ cycle: Int, _ ledger: Ledger) {
        guard asked != nil, cycle % 50 == 0 else { return }
        print("cycle \(cycle): \(ledger.acknowledgedCount) acknowledged")
    }

    static func show(_ audit: Audit, of torture: Torture) {
        guard asked != nil else { return }
        let columns = [
            ("fault", torture.fault.rawValue), ("cycles", "\(torture.cycles)"), ("acknowledged", "\(audit.acknowledged)"),
            ("unknown", "\(audit.unknown)"), ("refused", "\(audit.refused)"), ("handled", "\(audit.handled)"),
            ("lost", "\(audit.lost)"), ("doubled", "\(audit.doubled)"), ("split", "\(audit.split)"),
            ("disorder", "\(audit.disorder)"), ("strange", "\(audit.strange)"),
        ]
        func row(_ cells: [String]) -> String {
            zip(cells, columns).map { String(repeating: " ", count: max($1.0.count, $1.1.count) - $0.count) + $0 }.joined(separator: "  ")
        }
        print(row(columns.map(\.0)))
        print(row(columns.map(\.1)))
        print("seed \(torture.seed)")
    }
}
