import ArgumentParser
import MoonbusEvents
import MoonbusJournal

/// `moonbus replay`: recorded events, in order, into one plugin.
struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let one plugin handle recorded events once more: for show, or with effects.",
        discussion: """
            --dry-run and --compare read events of a running service and let the plugin's files, as they are now, handle them in a
            sandbox: one after the other, once each, with the plugin's state as it is now. What handlers emit is shown and nobody gets
            it; what they store holds until the command ends.
            --live lets the running service do it for good: what handlers emit is recorded under new ids and goes to whoever
            subscribes to it, what they store stays, what fails is tried again. It goes on over restarts, with or without this command.
            Timers and sources don't run. Events of ephemeral types were never recorded.
              moonbus replay --plugin alerts --type 'orders.>' --from 1h --dry-run
              moonbus replay --plugin alerts --from 2026-01-01T00:00:00Z --compare     ends with 1 if anything differs
              moonbus replay --plugin alerts --type 'orders.>' --from 1h --live        ends with 1 if there are dead letters
            """)

    @Option(help: "The plugin that handles them.")
    var plugin: String

    @Option(help: "The plugins folder (default: plugins).")
    var plugins: String?

    @Option(help: "Types to replay: * is one token, > the rest.")
    var type = ">"

    @Option(help: "Only what happened since: a time, or how long ago, like 1h.")
    var from: String?

    @Option(help: "Only what happened until: a time, or how long ago.")
    var to: String?

    @Option(help: "At most this many events, the first ones (default: 1000). Not with --live.")
    var limit: Int?

    @Flag(help: "With effects: what handlers emit and store happens.")
    var live = false

    @Flag(help: "With --live: don't wait for its end.")
    var detach = false

    @Flag(help: "Show what handlers want.")
    var dryRun = false

    @Flag(help: "Show how it differs from what they emitted the first time.")
    var compare = false

    @Flag(help: "Begin with no state, instead of the present one.")
    var fresh = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        try await reporting(json: client.json) {
            try checkModes()
            try checked(plugin: plugin)
            let pattern: EventPattern
            do throws(EventError) { pattern = try EventPattern(type) } catch { throw CommandError(.usage, error.message) }
            let (since, until) = (try instant(from, "--from"), try instant(to, "--to"))
            if let since, let until, since > until { throw CommandError(.usage, "--from (\(since)) is after --to (\(until))") }
            if live {
                let replay = LiveReplay(plugin: plugin, json: client.json)
                return try await replay.run(at: try client.address(), type: pattern, since, until, waits: !detach)
            }
            let past = try await ServiceClient.connect(to: try client.address()) { client in
                try await Past(RecordedPast(client: client), self, pattern, since, until)
            }
            var report = ReplayReport(past.comparison, json: client.json)
            try await Rehearsal.open(plugin: plugin, in: plugins ?? environment("MOONBUS_PLUGINS") ?? "plugins", state: past.state) {
                rehearsal in
                for recorded in past.events { report.show(try await rehearsal.play(recorded)) }
            }
            report.end(isCut: past.isCut)
            if report.isWrong { throw ExitCode(CommandError.Code.found.rawValue) }
        }
    }

    private func checkModes() throws {
        guard [live, dryRun, compare].count(where: { $0 }) == 1 else {
            throw CommandError(.usage, "say one of --dry-run (shows effects), --compare (shows differences) and --live (effects happen)")
        }
        guard !live || !fresh && limit == nil && plugins == nil else {
            throw CommandError(
                .usage, "--live is about what the service runs and has stored: it goes without --fresh, --limit and --plugins")
        }
        guard live || !detach else { throw CommandError(.usage, "--detach is for --live") }
        guard (1...100_000).contains(limit ?? 1) else { throw CommandError(.usage, "--limit is a number from 1 to 100000") }
    }

    private func instant(_ text: String?, _ option: String) throws -> Timestamp? {
        guard let text else { return nil }
        if let time = Timestamp(rfc3339: text) { return time }
        do throws(EventError) {
            return .now() - (try DurationText.parse(text))
        } catch {
            throw CommandError(.usage, "\(option): '\(text)' is neither a time like 2026-01-01T00:00:00Z nor a duration like 1h")
        }
    }

    /// What was recorded, as far as the replay needs it.
    private struct Past {
        var events: [RecordedEvent] = []
        var state: [StateEntry] = []
        var comparison: Comparison?
        private static let limit = 1_000
        /// There were more events than the limit.
        var isCut = false

        init(
            _ past: RecordedPast, _ replay: Replay, _ pattern: EventPattern, _ since: Timestamp?, _ until: Timestamp?
        ) async throws {
            var (events, isCut) = ([RecordedEvent](), false)
            try await past.events(pattern, since: since) { recorded in
                if let until, recorded.event.time > until { return true }
                isCut = events.count == replay.limit ?? Self.limit
                if !isCut { events.append(recorded) }
                return !isCut
            }
            if replay.compare, let first = events.first {
                var comparison = Comparison()
                let causes = Set(events.map(\.event.id))
                try await past.events(try EventPattern(">"), since: nil, after: first.position) { recorded in
                    comparison.note(recorded.event, of: replay.plugin, causes: causes)
                    return true
                }
                self.comparison = comparison
            }
            if !replay.fresh { state = try await past.state(of: replay.plugin) }
            (self.events, self.isCut) = (events, isCut)
        }
    }
}
