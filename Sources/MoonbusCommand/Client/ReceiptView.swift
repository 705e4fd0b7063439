import MoonbusEvents

/// What became of one emitted event, for a person.
struct ReceiptView {
    let text: String
    /// Deliveries that ended badly.
    let failed: Int
    /// The event is recorded nowhere: what failed is lost, and no dead letter.
    let isEphemeral: Bool

    init(_ receipt: JSONValue, waited: Duration?) {
        let terminal = Terminal.standardOutput
        let members = receipt.object
        let results = members?["results"]?.array ?? []
        let id = members?["id"]?.string ?? ""
        var lines: [String] = []
        var failed = 0
        for result in results.compactMap(\.object) {
            let name = printable(result["subscription"]?.string ?? "")
            if result["status"]?.string == "done" {
                lines.append("  \(terminal.paint(.green, "✓")) \(name)\(result["result"].map { "  " + printable(JSON($0).text) } ?? "")")
            } else {
                failed += 1
                let reason = printable(result["error"]?.object?["message"]?.string ?? result["status"]?.string ?? "")
                lines.append("  \(terminal.paint(.red, "✗")) \(name)  \(reason)")
            }
        }
        if let pending = members?["pending"]?.integer, pending > 0, let waited {
            let why = "slower than \(DurationText.format(waited)), or switched off"
            lines.append("  \(terminal.paint(.yellow, "…")) \(pending) not done yet: \(why)")
        }
        isEphemeral = members?["ephemeral"]?.boolean == true
        let taken = isEphemeral ? "taken (ephemeral: not recorded)" : "recorded"
        let note =
            if members?["duplicate"]?.boolean == true { "recorded before" } else if waited != nil, lines.isEmpty {
                "\(taken); nobody wanted it"
            } else { taken }
        text = (["\(terminal.paint(.dim, id)) \(note)"] + lines).joined(separator: "\n")
        self.failed = failed
    }
}
