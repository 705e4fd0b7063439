import ArgumentParser
import MoonbusEvents
import MoonbusService

/// `moonbus events`: what is recorded.
struct Events: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at recorded events.",
        discussion: """
            Without --after the newest are shown, in the order in which they were recorded.
              moonbus events list 'orders.>' --since 1h      moonbus events show 01JDXZ…
            """,
        subcommands: [List.self, Show.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List events.")

        @Argument(help: "Types to show: * is one token, > the rest.")
        var pattern = ">"

        @Option(help: "Only what happened since: a time, or how long ago, like 1h.")
        var since: String?

        @Option(help: "The first ones after this position, instead of the newest.")
        var after: UInt64?

        @Option(help: "At most this many.")
        var limit = 100

        @OptionGroup var records: RecordOptions

        func run() async throws {
            try await reporting(json: records.client.json) {
                let search = try search()
                let events = try await records.read { try await $0.events(search) }
                let terminal = Terminal.standardOutput
                if records.client.json { return events.forEach { terminal.print(JSON($0).text) } }
                if events.isEmpty { return Terminal.standardError.print("no such events") }
                var table = Table(.name("POSITION"), .time("TIME"), .word("TYPE"), .name("ID"), .rest("DATA"))
                for recorded in events.compactMap(\.object) {
                    let event = recorded["event"]?.object
                    table.add(
                        shown(recorded["position"]), shown(event?["time"]), shown(event?["type"]), shown(event?["id"]),
                        event?["data"].map { JSON($0).text } ?? "")
                }
                table.print(to: terminal)
            }
        }

        private func search() throws -> EventSearch {
            do throws(EventError) {
                let instant = try since.map { text throws(EventError) in
                    if let time = Timestamp(rfc3339: text) { return time }
                    return .now() - (try DurationText.parse(text))
                }
                return EventSearch(pattern: try EventPattern(pattern), since: instant, after: after, limit: try limitChecked())
            } catch {
                throw CommandError(.usage, error.message)
            }
        }

        private func limitChecked() throws(EventError) -> Int {
            guard (1...10_000).contains(limit) else { throw EventError(.badAttribute, "--limit is a number from 1 to 10000") }
            return limit
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show an event as JSON: the newest one with this id.")

        @Argument(help: "The event's id.")
        var id: String

        @OptionGroup var records: RecordOptions

        func run() async throws {
            try await reporting(json: records.client.json) {
                guard (1...255).contains(id.utf8.count) else {
                    throw CommandError(
                        .usage, "an event's id has 1 to 255 bytes, this one has \(id.utf8.count): `moonbus events list` shows them")
                }
                let recorded = try await records.read { try await $0.event(id) }
                Terminal.standardOutput.print(records.client.json ? JSON(recorded).text : printable(JSON(recorded).text))
            }
        }
    }
}
