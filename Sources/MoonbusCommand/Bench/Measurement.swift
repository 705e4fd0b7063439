/// What one workload came to.
struct Measurement {
    /// Workload and way of running it: `dispatch, process lane`.
    var name: String
    var operations: Int
    /// In seconds.
    var wall: Double
    /// Host and lanes, in seconds; nil where it says nothing.
    var cpu: Double?
    /// Operations per CPU second of the same work in plain C, taken in the same run.
    var floor: Double?
    /// More figures, with their units in their names.
    var extra: [(name: String, value: Double)] = []

    /// Operations per second and busy core.
    var rate: Double { Double(operations) / max(cpu ?? wall, 1e-9) }
    /// Against the floor.
    var ratio: Double? { floor.map { rate / $0 } }
    /// By the clock, with all cores that it keeps busy, against the floor on its one.
    var wallRatio: Double? { cpu == nil ? nil : floor.map { Double(operations) / max(wall, 1e-9) / $0 } }

    /// `RESULT …`, as the scripts that compare many servers read it.
    var resultLine: String {
        let times = "ops=\(operations) wall=\(rounded(wall, 6))\(cpu.map { " cpu=\(rounded($0, 6))" } ?? "")"
        // A name that is one word tells the lines of one run apart.
        let name = self.name.contains(" ") ? "" : "name=\(self.name) "
        return (["RESULT \(name)\(times)"] + extra.map { "\($0.name)=\(rounded($0.value, 3))" }).joined(separator: " ")
    }

    var jsonLine: String {
        JSONLine { writer in
            writer.text("name", name).number("operations", operations).number("wall_seconds", wall)
            if let cpu { writer.number("cpu_seconds", cpu) }
            writer.number("operations_per_second", rate)
            if let ratio { writer.number("ratio_to_floor", ratio) }
            if let wallRatio { writer.number("wall_ratio_to_floor", wallRatio) }
            for (name, value) in extra { writer.number(name, value) }
        }.text
    }

    /// A line of the table.
    func row(_ terminal: Terminal) -> String {
        let figures = extra.map { "\($0.name) \(rounded($0.value, 1))" }.joined(separator: "  ")
        let wall = wallRatio.map { ", \(rounded($0, 2))x by the clock" } ?? ""
        let ratio = self.ratio.map { terminal.paint(.bold, "\(rounded($0, 2))x the C floor") + wall } ?? ""
        return
            "  \(name.padded(34)) \(short(rate).padded(8)) \(cpu == nil ? "/s        " : "/s a core ") \(ratio)  \(terminal.paint(.dim, figures))"
    }
}

extension String {
    /// The text with blanks after it, up to a width.
    func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

/// A number with a few decimals.
func rounded(_ value: Double, _ decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    return "\((value * scale).rounded() / scale)"
}

/// A rate for people: `4.61M`, `230k`.
func short(_ value: Double) -> String {
    switch value {
    case 1e6...: "\(rounded(value / 1e6, 2))M"
    case 1e4...: "\(rounded(value / 1e3, 0).split(separator: ".")[0])k"
    default: rounded(value, 1)
    }
}
