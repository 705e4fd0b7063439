import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins

/// One plugin on a bus of its own, which handles recorded events without anything of it happening.
///
/// Its handlers run in a sandboxed lane, once for each event: no second attempts, no timers, no sources. Events come one after the other, each
/// when the one before is done with.
struct Rehearsal {
    /// One event, and what the plugin made of it.
    struct Scene {
        let recorded: RecordedEvent
        /// One for each subscription that matched.
        let results: [HandlerResult]
        /// How many subscriptions had not ended within ``patience``.
        let pending: Int
        let commits: [Commit]

        /// What was emitted, delayed events last.
        var emitted: [Event] { commits.flatMap { $0.events + $0.delayed.map(\.event) } }
        var writes: [StateWrite] { commits.flatMap { $0.state?.writes ?? [] } }
        /// Events that had gone through too many handlers.
        var refused: [DeadLetter] { commits.flatMap(\.deadLetters) }
        var hasFailed: Bool { pending > 0 || !refused.isEmpty || results.contains { $0.status == .dead } }
    }

    /// How long one event may take.
    private static let patience = Duration.seconds(60)

    private let journal: RehearsalJournal
    private let bus: EventBus

    /// Loads the plugin, and hands over the rehearsal for as long as `body` runs.
    ///
    /// - Throws: ``CommandError`` 1 when the plugin is not there, 65 when it cannot be loaded.
    static func open(
        plugin: String, in folder: String, state: [StateEntry], _ body: (Rehearsal) async throws -> Void
    ) async throws {
        let journal = RehearsalJournal()
        journal.adopt(state, of: plugin)
        let bus = EventBus(journal: journal, logger: .silent)
        try await bus.start()
        var configuration = PluginHostConfiguration(lanes: .processes(executable: try ownExecutable(), count: 1))
        configuration.rehearses = true
        let host = PluginHost(bus: bus, folder: nil, configuration: configuration, logger: .silent)
        let outcome: Result<Void, any Error>
        do {
            try await host.start()
            try await host.load(plugin, from: folder)
            try await body(Rehearsal(journal: journal, bus: bus))
            outcome = .success(())
        } catch let error as PluginError {
            outcome = .failure(CommandError(error.code == .notFound ? .found : .badData, "\(error)\(error.hint.map { ": \($0)" } ?? "")"))
        } catch {
            outcome = .failure(error)
        }
        await host.stop()
        await bus.stop()
        try outcome.get()
    }

    /// Lets the plugin handle one event.
    func play(_ recorded: RecordedEvent) async throws -> Scene {
        journal.expect(recorded.event)
        let receipt: Receipt
        do {
            receipt = try await bus.emit(recorded.event, until: .settled, within: Self.patience)
        } catch {
            throw CommandError(.internal, "event \(recorded.position) could not be rehearsed: \(error)")
        }
        return Scene(recorded: recorded, results: receipt.results, pending: receipt.pending, commits: journal.commits)
    }
}
