import Foundation
import MoonbusEvents
import Testing

@testable import MoonbusCommand

/// The documents' examples, run as they stand there.
@Suite(.timeLimit(.minutes(2))) struct DocsTests {
    private static func examples(_ language: DocumentedExample.Language) -> [DocumentedExample] {
        DocumentedExample.all.filter { $0.language == language && $0.reasonNotToRun == nil }
    }

    @Test func `each fenced block says what it is, and what can't be run says why`() {
        #expect(DocumentedExample.all.count > 10, "the documents were found")
        for example in DocumentedExample.all {
            #expect(
                example.language != nil,
                "\(example.file):\(example.line): the fence says '\(example.heading)', not lua, sh, json, toml or text")
            #expect(
                example.language != .toml || ["toml moonbus.toml", "toml plugin.toml"].contains(example.heading),
                "\(example.file):\(example.line): a toml block says which file it is")
            #expect(example.language != .json, "\(example.file):\(example.line): json is the answer to the sh block right before it")
        }
        let left = DocumentedExample.all.filter { $0.reasonNotToRun != nil }
        #expect(
            left.map { "\($0.file): \($0.reasonNotToRun ?? "")" } == ["README.md: it is how you came here"],
            "what is not run is listed here, too, so that nobody adds to it by the way")
    }

    @Test(arguments: examples(.lua)) func `a plugin in the documents loads`(_ example: DocumentedExample) async throws {
        let scratch = try Scratch()
        if let manifest = example.manifest {
            let name = String(manifest.firstMatch(of: /(?m)^name = "(.*)"/)?.1 ?? "example")
            try scratch.write(example.text, to: "plugins/\(name)/main.lua")
            try scratch.write(manifest, to: "plugins/\(name)/plugin.toml")
        } else {
            try scratch.write(example.text, to: "plugins/example.lua")
        }
        let outcome = try await Executable.run(["check"], in: scratch.url)
        #expect(outcome.status == 0, "\(outcome.output)")
        // Its first line may say that it is one of the shipped plugins: then it is that one, up to comments.
        guard let name = example.text.firstMatch(of: /^-- (plugins\/[a-z.\/-]+\.lua)/)?.1 else { return }
        let shipped = try String(contentsOf: repository.appending(path: String(name)), encoding: .utf8)
        #expect(Self.code(example.text) == Self.code(shipped), "\(name)")
    }

    private static func code(_ text: String) -> [Substring] { text.split(separator: "\n").filter { !$0.hasPrefix("--") } }

    /// Those of one document one after the other against one service, as a reader would type them.
    @Test(arguments: Set(examples(.sh).map(\.file)).sorted())
    func `commands in a document do what it says`(_ file: String) async throws {
        let scratch = try Scratch()
        let plugins = scratch.url.appending(path: "plugins")
        try FileManager.default.copyItem(at: repository.appending(path: "plugins"), to: plugins)
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        let url = try #require(environment["MOONBUS_URL"])
        let path = try Executable.url.deletingLastPathComponent().path + ":/usr/bin:/bin"
        for example in Self.examples(.sh) where example.file == file {
            let script = example.text.replacing("http://127.0.0.1:7070", with: url)
            let outcome = try await Executable.run(
                ["-euc", script], of: URL(filePath: "/bin/sh"), in: scratch.url, environment: ["PATH": path, "MOONBUS_URL": url])
            let place = "\(example.file):\(example.line)"
            #expect(outcome.status == 0, "\(place): \(outcome.errors)\(outcome.output)")
            guard let shown = example.answer else { continue }
            let answer = try? JSON(outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)).value
            let difference = Self.difference(between: try JSON(shown).value, and: answer ?? .null, at: "")
            #expect(difference == nil, "\(place): \(difference ?? "")\n\(outcome.output)\(outcome.errors)")
        }
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    /// Where an answer is another than the document shows: other members, other types, other text. Numbers may be any, and so may a text that is
    /// shown with `…`.
    private static func difference(between shown: JSONValue, and answer: JSONValue, at path: String) -> String? {
        switch (shown, answer) {
        case (.object(let shown), .object(let answer)):
            // A Lua table has no order.
            let names = (shown.map(\.key).sorted(), answer.map(\.key).sorted())
            guard names.0 == names.1 else { return "\(path): the document shows \(names.0), the answer has \(names.1)" }
            for member in shown {
                if let found = difference(between: member.value, and: answer[member.key] ?? .null, at: "\(path).\(member.key)") {
                    return found
                }
            }
            return nil
        case (.array(let shown), .array(let answer)):
            guard shown.count == answer.count else { return "\(path): the document shows \(shown.count), the answer has \(answer.count)" }
            for (index, (shown, answer)) in zip(shown, answer).enumerated() {
                if let found = difference(between: shown, and: answer, at: "\(path)[\(index)]") { return found }
            }
            return nil
        case (.string(let shown), .string) where shown.contains("…"): return nil
        default:
            if shown.number != nil, answer.number != nil { return nil }
            return shown == answer ? nil : "\(path): the document shows \(JSON(shown).text), the answer has \(JSON(answer).text)"
        }
    }

    // MARK: docs/settings.md

    private static let settings: String = {
        (try? String(contentsOf: repository.appending(path: "docs/settings.md"), encoding: .utf8)) ?? ""
    }()

    @Test func `the settings file in the documents has every key, each is understood, and the table has its row`() throws {
        let examples = Self.examples(.toml).filter { $0.heading == "toml moonbus.toml" }
        #expect(!examples.isEmpty)
        for example in examples {
            let scratch = try Scratch()
            try scratch.write(example.text, to: "moonbus.toml")
            let layer = try Settings.fileLayer(path: scratch.url.appending(path: "moonbus.toml").path, isOptional: false)
            _ = try Settings([layer])
            #expect(Set(layer.values.keys) == Set(Settings.keys), "\(example.file):\(example.line)")
        }
        let rows = Self.settings.split(separator: "\n").filter { $0.hasPrefix("| `") }
        for key in Settings.keys {
            #expect(rows.contains { $0.hasPrefix("| `\(key)` |") && $0.contains("| `\(Settings.variable(key))` |") }, "\(key)")
        }
    }

    /// A manifest that nobody loads would be one that nobody has tried.
    @Test func `each plugin manifest in the documents goes with a plugin that is checked`() {
        let manifests = Self.examples(.toml).filter { $0.heading == "toml plugin.toml" }.map(\.text)
        #expect(!manifests.isEmpty)
        #expect(manifests == Self.examples(.lua).compactMap(\.manifest))
    }

    @Test func `the conditions in the table of operators are taken`() async throws {
        let conditions = Self.settings.matches(of: /(?m)^\|.*\| `(\{ .+ \})` \|$/).map { String($0.1) }
        #expect(conditions.count == 9)
        let scratch = try Scratch()
        let plugin = conditions.map { "bus.subscribe(\"a\", { where = \($0) }, function() end)\n" }.joined()
        try scratch.write(plugin, to: "plugins/example.lua")
        let outcome = try await Executable.run(["check"], in: scratch.url)
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(outcome.output.contains("\(conditions.count) declarations"))
    }

    @Test func `the commands in the table of exit codes end with them`() async throws {
        let rows = Self.settings.matches(of: /(?m)^\| (\d+) \|.*\| `([^`]*moonbus [^`]+)` \|$/)
        #expect(rows.count >= 7)
        let scratch = try Scratch()
        try scratch.write("bus.subscribe(\"hello.asked\", function() end)", to: "plugins/hello.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        let path = try Executable.url.deletingLastPathComponent().path + ":/usr/bin:/bin"
        for row in rows {
            let outcome = try await Executable.run(
                ["-c", String(row.2)], of: URL(filePath: "/bin/sh"), in: scratch.url,
                environment: environment.merging(["PATH": path]) { $1 })
            #expect(outcome.status == Int32(row.1), "\(row.2): \(outcome.errors)\(outcome.output)")
        }
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    // MARK: What editors know

    /// `plugins/.luals/moonbus.lua` is what editors know of Moonbus.
    @Test func `what the annotations declare is there, and what is there is declared`() async throws {
        let text = try String(contentsOf: repository.appending(path: "plugins/.luals/moonbus.lua"), encoding: .utf8)
        let declared = Set(text.matches(of: /(?m)^function ([a-z]+)\.([a-z0-9_]+)\(/).map { "\($0.1).\($0.2)" })
        #expect(declared.count > 30)
        let modules = Set(declared.map { $0.prefix { $0 != "." } })
        let scratch = try Scratch()
        let list = modules.sorted().map { "\($0) = \($0)" }.joined(separator: ", ")
        try scratch.write(
            """
            local found = {}
            for module, members in pairs({ \(list) }) do
              for name, member in pairs(members) do
                if type(member) == "function" then found[#found + 1] = module .. "." .. name end
              end
            end
            bus.subscribe("found.asked", function() return found end)
            """, to: "plugins/found.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url)
        let outcome = try await Executable.run(["emit", "found.asked", "--wait", "--json"], in: scratch.url, environment: environment)
        let receipt = try JSON(try #require(outcome.lines.first)).value
        let found = Set(receipt["results"]?.array?.first?["result"]?.array?.compactMap(\.string) ?? [])
        #expect(found.subtracting(declared) == [], "not annotated")
        #expect(declared.subtracting(found) == [], "annotated, and not there")
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }
}
