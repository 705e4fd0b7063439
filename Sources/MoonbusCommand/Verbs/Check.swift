import ArgumentParser
import Logging
import Moonbus
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins

/// `moonbus check`: what is wrong with plugins, without running them.
struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check plugins without running them.",
        discussion: """
            Reads manifests, compiles every file, loads each plugin in a sandbox and looks at what it declares.
            Ends with 1 when something is wrong.
            """)

    @Argument(help: "A plugins folder, a plugin's folder or a .lua file (default: plugins).")
    var path: String?

    @Flag(help: "Print JSON, one plugin a line.")
    var json = false

    func run() async throws {
        try await reporting(json: json) {
            let target = try Target(path ?? environment("MOONBUS_PLUGINS") ?? "plugins")
            let start = ContinuousClock().now
            let checks = try await check(target)
            let elapsed = (ContinuousClock().now - start) / .milliseconds(1)
            for check in checks { show(check) }
            let wrong = checks.count { $0.error != nil }
            if !json {
                let terminal = Terminal.standardOutput
                let verdict = wrong == 0 ? terminal.paint(.green, "no errors") : terminal.paint(.red, "\(wrong) with errors")
                terminal.print("\(counted(checks.count, "plugin")), \(verdict), in \(Int(elapsed.rounded())) ms")
            }
            if wrong > 0 { throw ExitCode(CommandError.Code.found.rawValue) }
        }
    }

    private func check(_ target: Target) async throws -> [PluginCheck] {
        let bus = EventBus(journal: InMemoryJournal(), logger: .silent)
        try await bus.start()
        let host = PluginHost(
            bus: bus, folder: nil, configuration: .init(lanes: .processes(executable: try ownExecutable(), count: 1)), logger: .silent)
        let outcome: Result<[PluginCheck], CommandError>
        do throws(PluginError) {
            try await host.start()
            outcome = .success(try await host.check(folder: target.folder, names: target.name.map { [$0] }))
        } catch {
            let code: CommandError.Code = error.code == .notFound || error.code == .unreadable ? .badData : .internal
            outcome = .failure(CommandError(code, "\(error)\(error.hint.map { ": \($0)" } ?? "")"))
        }
        await host.stop()
        await bus.stop()
        return try outcome.get()
    }

    private func show(_ check: PluginCheck) {
        let terminal = Terminal.standardOutput
        if json {
            let line = JSONLine { writer in
                writer.text("plugin", check.name).flag("ok", check.error == nil).number("declarations", check.declarationCount)
                if let error = check.error { writer.error(error) }
            }
            return terminal.print(line.text)
        }
        guard let error = check.error else {
            let count = check.declarationCount
            return terminal.print(
                "\(terminal.paint(.green, "✓")) \(check.name)  \(terminal.paint(.dim, "\(counted(count, "declaration"))"))")
        }
        terminal.print("\(terminal.paint(.red, "✗")) \(check.name)")
        for line in error.render(color: terminal.hasColor).split(separator: "\n") { terminal.print("    \(line)") }
    }
}

/// What a path means to `check`: a folder of plugins, or one plugin in the folder around it.
private struct Target {
    var folder: String
    var name: String?

    init(_ given: String) throws {
        let path = given.count > 1 && given.hasSuffix("/") ? String(given.dropLast()) : given
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let parent = parts.count > 1 ? parts.dropLast().joined(separator: "/") : "."
        let last = String(parts.last ?? "")
        if !hasFolder(at: path) {
            guard hasFile(at: path) else {
                throw CommandError(.badData, "there is no \(path): name a plugins folder, a plugin's folder or a .lua file")
            }
            guard last.hasSuffix(".lua") else {
                throw CommandError(.badData, "\(path) is not a plugin: plugins are .lua files or folders with a main.lua")
            }
            // `plugins/alerts/main.lua` means the plugin, not a plugin called main.
            if last == "main.lua", parts.count > 1 {
                self = try Target(parent)
            } else {
                (folder, name) = (parent, String(last.dropLast(4)))
            }
        } else if hasFile(at: "\(path)/main.lua") || hasFile(at: "\(path)/plugin.toml") {
            (folder, name) = (parent.isEmpty ? "/" : parent, last)
        } else {
            (folder, name) = (path, nil)
        }
    }
}
