import ArgumentParser
import MoonbusEvents
import NIOHTTP1

/// `moonbus dead`: deliveries that gave up.
struct Dead: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at dead letters, try them again, or give them up.",
        discussion: """
            A delivery whose attempts are used up becomes a dead letter: it waits for you.
              moonbus dead list                       moonbus dead show 7
              moonbus dead retry 7                    moonbus dead retry 7 --edit fixed.json
              moonbus dead drop 7 --yes               moonbus dead list --journal .moonbus    (service stopped)
            """,
        subcommands: [List.self, Show.self, Retry.self, Drop.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List dead letters, newest first.")

        @Option(help: "At most this many.")
        var limit = 100

        @OptionGroup var records: RecordOptions

        func run() async throws {
            try await reporting(json: records.client.json) {
                let limit = try checked(limit: limit)
                let letters = try await records.read { try await $0.letters(limit: limit) }
                let terminal = Terminal.standardOutput
                if records.client.json { return letters.forEach { terminal.print(JSON($0).text) } }
                if letters.isEmpty { return Terminal.standardError.print("no dead letters") }
                var table = Table(.name("ID"), .time("DIED"), .word("SUBSCRIPTION"), .word("TYPE"), .word("ATTEMPTS"), .rest("ERROR"))
                for letter in letters.compactMap(\.object) {
                    let failure = letter["failures"]?.array?.last?.object?["error"]?.object
                    table.add(
                        shown(letter["id"]), shown(letter["died"]), shown(letter["subscription"]),
                        shown(letter["event"]?.object?["type"]), shown(letter["attempts"]), place(failure))
                }
                table.print(to: terminal)
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a dead letter: its event and every error.")

        @Argument(help: "Its number, as `moonbus dead list` shows it.")
        var id: UInt64

        @OptionGroup var records: RecordOptions

        func run() async throws {
            try await reporting(json: records.client.json) {
                let letter = try await records.read { try await $0.letter(id) }
                let terminal = Terminal.standardOutput
                if records.client.json { return terminal.print(JSON(letter).text) }
                guard let object = letter.object else { return }
                terminal.print(
                    "\(terminal.paint(.bold, "dead letter \(id)")) for \(shown(object["subscription"])), died \(shown(object["died"]))")
                for failure in object["failures"]?.array?.compactMap(\.object) ?? [] {
                    let error = failure["error"]?.object
                    let mark = terminal.paint(.red, "✗")
                    terminal.print("  \(mark) attempt \(shown(failure["attempt"]))  \(shown(failure["time"]))  \(place(error))")
                    let traceback = failure["traceback"]?.string?.split(separator: "\n") ?? []
                    for line in traceback { terminal.print("      \(printable(String(line)))") }
                }
                if let event = object["event"] { terminal.print(printable(JSON(event).text)) }
            }
        }
    }

    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make dead letters due again.")

        @Argument(help: "Their numbers.")
        var ids: [UInt64]

        @Option(help: "Replace the event's data with the JSON in this file (- is standard input); for one letter.")
        var edit: String?

        @OptionGroup var records: RecordOptions

        func run() async throws {
            try await reporting(json: records.client.json) {
                if edit != nil, ids.count != 1 { throw CommandError(.usage, "--edit is for one letter") }
                let data = try edit.map { try jsonFile($0) }
                try await records.change { client in
                    try await each(ids, client, json: records.client.json) { id in
                        let answer = try await client.ask("/deliveries/\(id)/retry", .POST, body: data)
                        records.client.tell(answer, "dead letter \(id) is due again")
                    }
                }
            }
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Give up dead letters for good.")

        @Argument(help: "Their numbers.")
        var ids: [UInt64]

        @Flag(help: "Don't ask.")
        var yes = false

        @OptionGroup var records: RecordOptions

        func run() async throws {
            try await reporting(json: records.client.json) {
                try await records.change { client in
                    let names = ids.map { "\($0)" }.joined(separator: ", ")
                    let what = ids.count == 1 ? "dead letter \(names), with its event" : "dead letters \(names), with their events"
                    try confirm("give up \(what)", isGiven: yes)
                    try await each(ids, client, json: records.client.json) { id in
                        let answer = try await client.ask("/deliveries/\(id)", .DELETE)
                        records.client.tell(answer, "dead letter \(id) is gone")
                    }
                }
            }
        }
    }
}

/// Does something with each letter, whatever becomes of the others, and says of each what went wrong.
///
/// - Throws: `ExitCode` with the code of the first that failed; ``CommandError`` when the connection is gone, with the letters that were not tried.
private func each(_ ids: [UInt64], _ client: ServiceClient, json: Bool, _ work: (UInt64) async throws -> Void) async throws {
    var first: CommandError?
    for (index, id) in ids.enumerated() {
        do {
            try await work(id)
        } catch let error as CommandError {
            guard client.isConnected else {
                let rest = ids[(index + 1)...].map { "\($0)" }.joined(separator: ", ")
                throw CommandError(error.code, error.message + (rest.isEmpty ? "" : " (not tried: \(rest))"))
            }
            error.show(json: json)
            first = first ?? error
        }
    }
    if let first { throw ExitCode(first.code.rawValue) }
}

/// What went wrong, and where.
private func place(_ error: JSONObject?) -> String {
    let place = error?["file"]?.string.map { file in " (\(file)\(error?["line"]?.integer.map { ":\($0)" } ?? ""))" } ?? ""
    return printable("\(shown(error?["kind"])): \(shown(error?["message"]))\(place)")
}
