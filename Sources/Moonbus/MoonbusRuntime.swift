public import Logging
public import ServiceLifecycle
import Synchronization

/// An event bus and its plugins as one service of a Swift program.
///
///     let runtime = MoonbusRuntime(plugins: "plugins", logger: logger)
///     let group = ServiceGroup(services: [runtime], gracefulShutdownSignals: [.sigterm], logger: logger)
///     async let running: Void = group.run()
///
///     try await runtime.subscribe("orders.*.created", name: "audit", of: Order.self) { order, context in
///         try context.emit("audit.noted", order.id)
///     }
///     let receipt = try await runtime.emit("orders.eu.created", Order(id: "o-7", total: 12), until: .settled)
///     for await event in runtime.events(matching: "orders.>") { … }
///
/// Create it, give it to a `ServiceGroup` (or call ``run()`` yourself), and use it from anywhere: emits and subscriptions wait until the
/// bus runs. When the group shuts down, intake ends, handlers finish what they have within ``Configuration/drain``, and ``run()`` returns.
public final class MoonbusRuntime: Service {
    /// The bus; accepts nothing before ``run()``.
    public let bus: EventBus
    /// The plugins; nil when the runtime was made without a folder.
    public let plugins: PluginHost?
    private let configuration: Configuration
    private let progress = Mutex(Progress())

    /// How far the start is; it only goes up.
    private enum Phase: Int, Comparable {
        case created
        /// The bus runs: handlers may subscribe, plugins are being loaded.
        case subscribing
        /// Everybody who was there at the start is subscribed: events may come.
        case running
        case ended

        static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
    }

    private struct Progress {
        var phase = Phase.created
        var waiting: [(for: Phase, continuation: CheckedContinuation<Void, Never>)] = []
    }

    /// How a runtime works.
    public struct Configuration: Sendable {
        /// Where plugins run. By default on threads of this process: right for plugins that you wrote yourself. For code that you don't
        /// trust, name a `moonbus` executable: `.processes(executable: "/usr/bin/moonbus", count: 2)`.
        public var lanes: PluginHostConfiguration.Lanes = .threads(count: 1)
        /// The bounds of the bus.
        public var bus = BusConfiguration()
        /// How long handlers may take to finish when the runtime ends; what is not done then is owed.
        public var drain: Duration = .seconds(10)

        /// The defaults.
        public init() {}
    }

    /// Creates a runtime that does nothing before ``run()``.
    ///
    /// - Parameters:
    ///   - folder: the plugins folder, loaded and watched; nil for Swift handlers only.
    ///   - journal: where events and state are kept; the default forgets them when the process ends.
    ///   - logger: yours: a library sets up no logging of its own.
    public convenience init(
        plugins folder: String? = nil, journal: any Journal = InMemoryJournal(), configuration: Configuration = .init(), logger: Logger
    ) {
        self.init(plugins: folder, journal: journal, configuration: configuration, logger: logger, pluginLogger: logger)
    }

    /// The same, with another logger for what plugins do: for a program that shows their notices itself.
    package init(plugins folder: String?, journal: any Journal, configuration: Configuration, logger: Logger, pluginLogger: Logger) {
        self.configuration = configuration
        let bus = EventBus(journal: journal, configuration: configuration.bus, logger: logger)
        self.bus = bus
        plugins = folder.map { PluginHost(bus: bus, folder: $0, configuration: .init(lanes: configuration.lanes), logger: pluginLogger) }
    }

    /// Starts the bus and the plugins, and returns when the runtime is told to end and has drained.
    ///
    /// - Throws: ``JournalError`` or ``PluginError`` when it can't start. A plugin that can't be loaded is not an error of this call.
    public func run() async throws {
        try await start()
        // Returns at graceful shutdown; throws when the task is cancelled, which means the same to us.
        try? await gracefulShutdown()
        await stop()
    }

    /// Starts the bus and the plugins. ``run()`` does this; call it yourself only together with ``stop()``.
    ///
    /// - Throws: as ``run()``; the runtime has then ended.
    public func start() async throws {
        do {
            try await bus.start()
            move(to: .subscribing)
            try await plugins?.start()
            move(to: .running)
        } catch {
            await stop()
            throw error
        }
    }

    /// Ends intake, lets handlers finish, and stops plugins and bus, within ``Configuration/drain`` altogether. Idempotent.
    public func stop() async { await stop(within: configuration.drain) }

    /// The same within another limit: for who has spent a part of it on something else.
    package func stop(within limit: Duration) async {
        move(to: .ended)
        let deadline = ContinuousClock.now + limit
        await plugins?.stop(within: limit)
        await bus.stop(within: max(.zero, deadline - .now))
    }

    /// Returns once the bus runs and the plugins of the folder were loaded (or the runtime has ended: what is asked of it then is refused).
    public func whenRunning() async { await when(.running) }

    /// Returns once handlers can subscribe: before the plugins' sources have anything to say.
    func whenSubscribing() async { await when(.subscribing) }

    private func when(_ phase: Phase) async {
        await withCheckedContinuation { continuation in
            let isThere = progress.withLock { progress in
                if progress.phase >= phase { return true }
                progress.waiting.append((phase, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    private func move(to next: Phase) {
        let arrived = progress.withLock { progress in
            progress.phase = max(progress.phase, next)
            let phase = progress.phase
            defer { progress.waiting.removeAll { $0.for <= phase } }
            return progress.waiting.filter { $0.for <= phase }
        }
        for waiting in arrived { waiting.continuation.resume() }
    }
}
