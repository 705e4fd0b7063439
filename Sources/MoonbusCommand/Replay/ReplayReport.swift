import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal

/// Shows what a plugin made of recorded events, for people or as JSON lines.
struct ReplayReport {
    private var comparison: Comparison?
    private let json: Bool
    private let terminal = Terminal.standardOutput
    private var eventCount = 0
    private var emitCount = 0
    private var differenceCount = 0
    private var failureCount = 0

    /// True when a handler failed, or something differs from the first time.
    var isWrong: Bool { differenceCount + failureCount > 0 }

    /// - Parameter comparison: nil: nothing is compared.
    init(_ comparison: Comparison?, json: Bool) {
        self.comparison = comparison
        self.json = json
    }

    mutating func show(_ scene: Rehearsal.Scene) {
        eventCount += 1
        if scene.hasFailed { failureCount += 1 }
        let emitted = scene.emitted.map { (event: $0, verdict: comparison?.verdict(on: $0)) }
        let missing = comparison?.missing(for: scene.recorded.event) ?? []
        emitCount += emitted.count
        differenceCount += missing.count + emitted.count { $0.verdict != nil && $0.verdict != .same }
        if json { printLine(scene, emitted, missing) } else { printText(scene, emitted, missing) }
    }

    func end(isCut: Bool) {
        guard !json else { return }
        var text = "\(counted(eventCount, "event")) replayed, \(emitCount) emitted"
        if comparison != nil { text += differenceCount == 0 ? ", as the first time" : ", \(differenceCount) different" }
        if failureCount > 0 { text += ", \(failureCount) failed" }
        if isCut { text += "; there are more: raise --limit" }
        Terminal.standardError.print(text)
    }

    // MARK: For people

    private func printText(_ scene: Rehearsal.Scene, _ emitted: [(event: Event, verdict: Comparison.Verdict?)], _ missing: [Event]) {
        let event = scene.recorded.event
        var lines = [
            "\(terminal.paint(.bold, "\(scene.recorded.position) \(event.typeText)")) \(terminal.paint(.dim, printable(event.id)))"
        ]
        for result in scene.results {
            let paint: Terminal.Paint = result.status == .done ? .green : .red
            let reason = result.error.map { ": \(printable("\($0)"))" } ?? ""
            lines.append("  \(result.subscription) \(terminal.paint(paint, result.status.rawValue))\(reason)")
        }
        if scene.pending > 0 { lines.append("  \(terminal.paint(.red, "\(scene.pending) not done within a minute"))") }
        for (event, verdict) in emitted {
            lines.append("  emit \(event.typeText) \(text(event.data))\(verdict.map { mark($0) } ?? "")")
            if case .changed(let before)? = verdict { lines.append("    was \(before.typeText) \(text(before.data))") }
        }
        for event in missing { lines.append("  \(terminal.paint(.yellow, "missing")) \(event.typeText) \(text(event.data))") }
        for write in scene.writes {
            lines.append("  \(write.value == nil ? "delete" : "set") \(printable(write.key)) \(text(write.value))")
        }
        for letter in scene.refused { lines.append("  \(terminal.paint(.red, "refused")) \(letter.event.typeText): a loop") }
        terminal.print(lines.joined(separator: "\n"))
    }

    private func text(_ data: JSON?) -> String { printable(data?.text ?? "") }

    private func mark(_ verdict: Comparison.Verdict) -> String {
        " " + terminal.paint(verdict == .same ? .dim : .yellow, verdict.word)
    }

    // MARK: For programs

    private func printLine(_ scene: Rehearsal.Scene, _ emitted: [(event: Event, verdict: Comparison.Verdict?)], _ missing: [Event]) {
        let results = scene.results.map { result -> JSONValue in
            var object: JSONObject = ["subscription": .string(result.subscription), "status": .string(result.status.rawValue)]
            object["result"] = result.result?.value
            object["error"] = result.error.map { .string("\($0)") }
            return .object(object)
        }
        let emits = emitted.map { event, verdict -> JSONValue in
            var object = Self.shown(event)
            object["compared"] = verdict.map { .string($0.word) }
            if case .changed(let before)? = verdict { object["was"] = .object(Self.shown(before)) }
            return .object(object)
        }
        let writes = scene.writes.map { write -> JSONValue in
            .object(["key": .string(write.key), "value": write.value?.value ?? .null, "deleted": .boolean(write.value == nil)])
        }
        var object: JSONObject = [
            "position": .integer(Int64(clamping: scene.recorded.position)), "id": .string(scene.recorded.event.id),
            "type": .string(scene.recorded.event.typeText), "results": .array(results), "pending": .integer(Int64(scene.pending)),
            "emits": .array(emits), "writes": .array(writes),
        ]
        if comparison != nil { object["missing"] = .array(missing.map { .object(Self.shown($0)) }) }
        terminal.print(JSON(.object(object)).text)
    }

    private static func shown(_ event: Event) -> JSONObject {
        var object: JSONObject = ["type": .string(event.typeText), "id": .string(event.id)]
        object["subject"] = event.subject.map { .string($0) }
        object["data"] = event.data?.value
        return object
    }
}
