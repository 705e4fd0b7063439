import Foundation
import Logging
import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins
import Testing

/// The 35 scripts of `Tests/Data/hostile`, each on a process lane of its own service, with the witness plugin beside it.
///
/// Each head says what may happen (`expect`); in all cases the witness must go on answering, nothing may escape, and the host must
/// be the same process afterwards. Serialized: two busy loops at once on two cores would measure each other.
@Suite(.serialized) struct HostileCorpusTests {
    @Test(arguments: HostileScript.all) func `a hostile script is contained as its head says, and its neighbour notices nothing`(
        _ script: HostileScript
    ) async throws {
        let prelude = try HostileScript.text(of: "prelude")
        let bus = EventBus(journal: InMemoryJournal(), logger: Logger(label: "hostile", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await bus.start()
        let host = PluginHost(
            bus: bus, folder: nil, configuration: .init(lanes: .processes(executable: try LaneExecutable.path(), count: 1)),
            logger: Logger(label: "hostile", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await host.start()

        let escapes = bus.events(matching: try EventPattern("hostile.result"), buffer: 10_000)
        try await host.load("witness", source: prelude + HostileScript.text(of: "_witness"))
        var outcomes: Set<String> = []
        do {
            try await host.load("hostile", source: prelude + script.text)
        } catch {
            outcomes.insert(Self.word(for: error.message))
        }

        let go = try JSON(#"{"value": "original", "nested": {"list": ["first"]}}"#)
        for _ in 0..<(outcomes.isEmpty ? script.eventCount : 1) {
            let receipt = try await bus.emit(
                Event(type: EventType("hostile.go"), data: go), until: .settled, within: .seconds(10))
            for result in receipt.results where result.subscription.hasPrefix("hostile.") {
                outcomes.insert(result.error.map { Self.word(for: $0.kind) } ?? "ok")
            }
            if !outcomes.isDisjoint(with: ["memory", "timeout"]) { break }
        }
        if outcomes.isEmpty { outcomes.insert("ok") }
        #expect(script.allows(outcomes), "\(script.name) expects \(script.expectations), was \(outcomes)")

        let reports = bus.events(matching: try EventPattern("witness.report"))
        _ = try await bus.emit(
            Event(type: EventType("witness.ping"), data: JSON(#"{"n": 1}"#)), until: .settled, within: .seconds(10))
        await host.stop()
        await bus.stop(within: .seconds(2))
        // Both end with the bus: a report that never came is a failure here, not a test that waits for ever.
        var answers: [JSON?] = []
        for await report in reports { answers.append(report.data) }
        #expect(answers.count == 1 && answers.first??.value(at: ["ok"]) == .boolean(true), "witness: \(answers)")
        for await event in escapes {
            #expect(event.data?.value(at: ["escaped"]) != .boolean(true), "\(event.data?.text ?? "")")
        }
    }

    private static func word(for kind: Fault.Kind) -> String {
        switch kind {
        case .timeout, .killed: "timeout"
        case .memory: "memory"
        default: "error"
        }
    }

    private static func word(for message: String) -> String {
        if message.contains("memory") { return "memory" }
        return message.contains("limit") || message.contains("CPU") || message.contains("killed") ? "timeout" : "error"
    }
}

/// One script of the corpus, with what its head says.
struct HostileScript: Sendable, CustomTestStringConvertible {
    let name: String
    let text: String

    var testDescription: String { name }
    var expectations: Set<String> { Set(header("expect").split(separator: "|").map(String.init)) }
    var eventCount: Int { header("trigger") == "every-event" ? 500 : 1 }

    /// "blocked" means refused or absent, which a script sees as an error or handles itself; "ok-isolated" that it may finish. A script
    /// that gets many events may end well on some of them, if one of them comes to what is expected.
    func allows(_ outcomes: Set<String>) -> Bool {
        let mayFinish = !expectations.isDisjoint(with: ["blocked", "ok-isolated"])
        if outcomes.contains("ok"), !mayFinish, eventCount == 1 || outcomes.count == 1 { return false }
        return outcomes.subtracting(["ok"]).allSatisfy { outcome in
            expectations.contains(outcome) || (outcome == "error" && mayFinish)
        }
    }

    private func header(_ key: String) -> String {
        for line in text.split(separator: "\n") where line.hasPrefix("-- \(key): ") { return String(line.dropFirst(key.count + 5)) }
        return ""
    }

    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Data/hostile")

    static func text(of name: String) throws -> String {
        try String(contentsOf: folder.appending(path: "\(name).lua"), encoding: .utf8)
    }

    static let all: [HostileScript] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasPrefix("s") }.sorted().compactMap { file in
            let name = String(file.dropLast(4))
            return (try? text(of: name)).map { HostileScript(name: name, text: $0) }
        }
    }()
}

/// The `moonbus` executable beside the test bundle, which is also the lane.
enum LaneExecutable {
    struct Missing: Error, CustomStringConvertible {
        let path: String
        var description: String { "\(path) is missing: run `swift build` first" }
    }

    static func path() throws -> String {
        let folder = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
        for candidate in [folder, URL(filePath: FileManager.default.currentDirectoryPath).appending(path: ".build/debug")] {
            let path = candidate.appending(path: "moonbus").path
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw Missing(path: folder.appending(path: "moonbus").path)
    }
}
