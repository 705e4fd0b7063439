import ArgumentParser
import MoonbusEvents
import NIOHTTP1

/// `moonbus kv`: what plugins have stored.
struct Kv: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at what plugins have stored, and change it.",
        discussion: """
            A handler that has read a value which you change runs again and sees yours.
              moonbus kv list counter              moonbus kv get counter count
              moonbus kv set counter count 7       moonbus kv delete counter count
            """,
        subcommands: [List.self, Get.self, Set.self, Delete.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List a plugin's values, in the order of their keys.")

        @Argument(help: "The plugin.")
        var plugin: String

        @Option(help: "Only keys that start with this.")
        var prefix = ""

        @Option(help: "At most this many.")
        var limit = 100

        @OptionGroup var records: RecordOptions

        func run() async throws {
            try await reporting(json: records.client.json) {
                try checked(plugin: plugin)
                let limit = try checked(limit: limit)
                let entries = try await records.read { try await $0.entries(plugin, prefix: prefix, limit: limit) }
                let terminal = Terminal.standardOutput
                if records.client.json { return entries.forEach { terminal.print(JSON($0).text) } }
                if entries.isEmpty { return Terminal.standardError.print("plugin '\(printable(plugin))' has stored nothing like that") }
                var table = Table(.name("KEY"), .time("EXPIRES"), .rest("VALUE"))
                for entry in entries.compactMap(\.object) {
                    table.add(shown(entry["key"]), shown(entry["expires"]), entry["value"].map { JSON($0).text } ?? "")
                }
                table.print(to: terminal)
            }
        }
    }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print a value as JSON; with --json its version too.")

        @Argument(help: "The plugin.")
        var plugin: String

        @Argument(help: "The key.")
        var key: String

        @OptionGroup var records: RecordOptions

        func run() async throws {
            try await reporting(json: records.client.json) {
                try checked(plugin: plugin)
                try checked(key: key)
                let entry = try await records.read { try await $0.entry(plugin, key) }
                let value = entry.object?["value"] ?? .null
                Terminal.standardOutput.print(records.client.json ? JSON(entry).text : printable(JSON(value).text))
            }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Store a value.")

        @Argument(help: "The plugin.")
        var plugin: String

        @Argument(help: "The key.")
        var key: String

        @Argument(help: "The value: JSON, @FILE, or - for standard input.")
        var value: String

        @Option(help: "The value goes away by itself after this time, like 1h.")
        var expires: String?

        @Option(help: "Only if this version is there, as `moonbus kv get --json` shows it; 0: only if nothing is.")
        var ifVersion: UInt64?

        @OptionGroup var records: RecordOptions

        func run() async throws {
            try await reporting(json: records.client.json) {
                try checked(plugin: plugin)
                try checked(key: key)
                let json = value == "-" || value.hasPrefix("@") ? try jsonFile(value) : try parsed(Array(value.utf8), "the value")
                let target = "\(path(plugin, key))\(expires.map { "?expires=\(percentEncoded($0))" } ?? "")"
                try await records.change { client in
                    let answer = try await client.ask(target, .PUT, body: json, fields: condition(ifVersion))
                    records.client.tell(answer, "stored")
                }
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Delete a value.")

        @Argument(help: "The plugin.")
        var plugin: String

        @Argument(help: "The key.")
        var key: String

        @Option(help: "Only if this version is there, as `moonbus kv get --json` shows it.")
        var ifVersion: UInt64?

        @OptionGroup var records: RecordOptions

        func run() async throws {
            try await reporting(json: records.client.json) {
                try checked(plugin: plugin)
                try checked(key: key)
                try await records.change { client in
                    let answer = try await client.ask(path(plugin, key), .DELETE, fields: condition(ifVersion))
                    records.client.tell(answer, "deleted")
                }
            }
        }
    }
}

private func path(_ plugin: String, _ key: String) -> String { "/plugins/\(percentEncoded(plugin))/kv/\(percentEncoded(key))" }

private func condition(_ version: UInt64?) -> [(String, String)] {
    guard let version else { return [] }
    return version == 0 ? [("If-None-Match", "*")] : [("If-Match", "\"\(version)\"")]
}
