public import Logging
public import MoonbusDispatch
import MoonbusEvents
import MoonbusLane
import Synchronization

/// Runs plugins on a bus: reads them, places their contexts on lanes, replaces them while events flow, and keeps what they break to themselves.
///
///     let host = PluginHost(bus: bus, folder: "plugins", configuration: .init(lanes: .threads(count: 2)), logger: logger)
///     try await host.start()                              // every plugin of the folder is loaded, or its failure told
///     for await notice in host.notices() { print(notice) }
///
/// | folder | what is there |
/// |---|---|
/// | `Errors/` | what is shown to a plugin's author |
/// | `Reading/` | manifest, files, the watcher |
/// | `Lanes/` | one lane: process or thread, socket, page, watchdog |
/// | `Contexts/` | a version and its contexts: deliveries out, outcomes, effects and calls back |
/// | `Host/` | what becomes of a plugin: loaded, replaced, restarted, secluded, quarantined, unloaded |
///
/// The host outlives neither its bus nor the bus's thread: stop it first.
///
/// `@unchecked Sendable`: everything that changes belongs to the bus's owner thread; public methods may be called from anywhere and go there.
public final class PluginHost: @unchecked Sendable {
    /// The bus that the plugins serve.
    public let bus: EventBus
    /// How the plugins run.
    public let configuration: PluginHostConfiguration
    let folder: PluginFolder?
    let logger: Logger
    let noticeboard = Noticeboard()
    let watcher = Mutex<FolderWatcher?>(nil)

    // MARK: State of the owner thread

    enum Phase { case created, running, stopping, stopped }
    var phase = Phase.created
    var plugins: [String: Plugin] = [:]
    var lanes: [Lane] = []
    /// Lanes with something to send at the end of the turn.
    var markedLanes: [Lane] = []
    var lastLaneNumber = 0
    var lastContextNumber: UInt32 = 0
    /// Lanes in a row that ended before they were ready.
    var failedLaneCount = 0
    var spareAnswers = Answers()
    /// Bytes that may wait for a lane when a call is answered; above, the answer is an error, and a lane that still calls at four times as
    /// much is ended: it doesn't read. Sources of plugins that load wait there too, hence the distance.
    var answersSizeMax = 64 << 20
    /// Loads that are under way.
    var loadCount = 0
    /// Who waits for the last delivery while the host stops.
    var whenStopped: (() -> Void)?
    /// Who waits until no plugin is loading.
    var idleWaiters: [() -> Void] = []
    /// Thread lanes that were told to end; joined by `stop`.
    var endedThreads: [(thread: ThreadLane, lane: Lane)] = []
    var watchdogTimer: OwnerTimer?

    /// Creates a host that does nothing until ``start()``.
    ///
    /// - Parameters:
    ///   - folder: the folder that holds the plugins, watched while the host runs; nil: plugins come from ``load(_:source:manifest:)`` only.
    public init(bus: EventBus, folder: String?, configuration: PluginHostConfiguration, logger: Logger) {
        self.bus = bus
        self.folder = folder.map { PluginFolder(path: $0) }
        self.configuration = configuration
        self.logger = logger
    }

    /// Starts the lanes, loads every plugin of the folder, and watches it from then on.
    ///
    /// Returns when each plugin serves or has failed; failures are notices, not errors of this call. Call it once, on a bus that runs.
    ///
    /// - Throws: ``PluginError`` `.unreadable` when there is no such folder or it can't be watched, `.laneDied` when no lane can be started,
    ///   `.stopped` when the bus is not running. The host is then stopped.
    public func start() async throws(PluginError) {
        guard let begun = await bus.owner.perform({ Result { () throws(PluginError) in try self.begin() } }) else {
            throw Self.stoppedError
        }
        try begun.get()
        guard let folder else { return }
        let watched = await withCheckedContinuation { (continuation: CheckedContinuation<Result<Void, PluginError>, Never>) in
            do throws(PluginError) {
                let watcher = try FolderWatcher(
                    folder: folder, onChange: { change in self.bus.owner.post { self.take(change) } },
                    onFolder: { [logger] error in
                        if let error {
                            logger.warning("\(error); its plugins go on as they are, and are read again when it is back")
                        } else {
                            logger.notice("the plugins folder is back")
                        }
                    },
                    started: {
                        let isOpen = self.bus.owner.post { self.whenIdle { continuation.resume(returning: .success(())) } }
                        if !isOpen { continuation.resume(returning: .failure(Self.stoppedError)) }
                    })
                self.watcher.withLock { $0 = watcher }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        if case .failure(let error) = watched {
            await stop()
            throw error
        }
        // Every plugin that the folder has is known now.
        await bus.owner.perform { self.bus.endReplays(exceptOf: Set(self.plugins.keys)) }
    }

    private func begin() throws(PluginError) {
        precondition(phase == .created, "a plugin host starts once")
        phase = .running
        bus.owner.atTurnEnd { [weak self] in self?.flushLanes() }
        bus.onStateChange { [weak self] plugin, news in self?.take(news, of: plugin) }
        do throws(PluginError) {
            for _ in 0..<laneCount { try startLane(resident: nil) }
        } catch {
            endAllLanes()
            phase = .stopped
            throw error
        }
        scheduleWatchdog()
    }

    /// What happens to plugins and lanes from now on, for a live view. A reader that is slower misses the oldest notices.
    ///
    /// - Parameter buffer: how many notices wait for the reader.
    public func notices(buffer: Int = 1_024) -> AsyncStream<PluginNotice> { noticeboard.stream(buffer: buffer) }

    static let stoppedError = PluginError(.stopped, plugin: "moonbus", message: "the plugin host is not running")

    // MARK: Telling

    func tell(_ kind: PluginNotice.Kind, about plugin: String? = nil) {
        let notice = PluginNotice(time: bus.owner.clock.now(), plugin: plugin, kind: kind)
        noticeboard.post(notice)
        let metadata: Logger.Metadata? = plugin.map { ["plugin": "\($0)"] }
        switch kind {
        case .failed, .quarantined, .laneEnded: logger.error("\(notice)", metadata: metadata)
        case .secluded, .disabled: logger.warning("\(notice)", metadata: metadata)
        case .loaded, .reloaded, .restarted, .unloaded: logger.info("\(notice)", metadata: metadata)
        case .log(let level, let text): logger.log(level: Logger.Level(lane: level), "\(clean(text))", metadata: metadata)
        }
    }
}

extension Logger.Level {
    /// The level that a plugin logged at; unknown words are information.
    init(lane level: String) {
        switch level {
        case "debug": self = .debug
        case "warn", "warning": self = .warning
        case "error": self = .error
        default: self = .info
        }
    }
}
