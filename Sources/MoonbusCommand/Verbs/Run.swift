import ArgumentParser
import Dispatch
import Glibc
import Logging
import Moonbus
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins
import MoonbusService
import UnixSignals

/// `moonbus run`: the service.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the service: plugins, bus and HTTP.",
        discussion: """
            Plugins are loaded from a folder that is watched: save a file and the next event runs the
            new code. Settings come from flags, then MOONBUS_* variables, then moonbus.toml.
            """)

    @Option(help: "The plugins folder (default: plugins).")
    var plugins: String?

    @Option(help: "The loopback address to listen on (default: 127.0.0.1).")
    var host: String?

    @Option(help: "The port (default: 7070); 0 takes a free one.")
    var port: String?

    @Option(help: "How many lanes run plugins (default: one for each processor, at most 8).")
    var lanes: String?

    @Option(help: "Where plugins run: process (sandboxed) or thread.")
    var isolation: String?

    @Option(help: "The journal's folder, or 'memory' (default: .moonbus beside the plugins folder).")
    var journal: String?

    @Option(help: "How long events are kept that nobody is owed any more (default: 7d).")
    var retentionAge: String?

    @Option(help: "The journal's size above which the oldest of those go first (default: 4GiB).")
    var retentionBytes: String?

    @Flag(help: "Open a damaged journal although events that had been recorded are gone. Copy the folder first.")
    var acceptLoss = false

    @Option(help: "Another name by which requests may call this service; can be repeated.")
    var allowHost: [String] = []

    @Option(help: "How long POST /events waits for results when the request doesn't say.")
    var wait: String?

    @Option(help: "The least level of the service's own log lines (default: info). Debug lines of plugins are shown with debug only.")
    var logLevel: String?

    @Option(help: "The settings file (default: moonbus.toml, if there is one).")
    var config: String?

    @Flag(help: "Print JSON lines; also without this when the output is no terminal.")
    var json = false

    func run() async throws {
        defer { for terminal in [Terminal.standardOutput, .standardError] { terminal.drain(within: .milliseconds(250)) } }
        try await reporting(json: json) {
            let settings = try settings()
            let view = LiveView(
                terminal: .standardOutput, isJSON: json || !Terminal.standardOutput.isInteractive,
                showsDebug: ["trace", "debug"].contains(settings.logLevel))
            signal(SIGPIPE, SIG_IGN)
            for terminal in [Terminal.standardOutput, .standardError] { terminal.outliveReader(note: view.skipped) }
            try await Server(settings, view, acceptsLoss: acceptLoss).run()
        }
    }

    private func settings() throws -> Settings {
        var flags = Settings.Layer()
        flags.set("plugins", plugins, origin: "--plugins")
        flags.set("http.host", host, origin: "--host")
        flags.set("http.port", port, origin: "--port")
        flags.set("lanes", lanes, origin: "--lanes")
        flags.set("isolation", isolation, origin: "--isolation")
        flags.set("journal", journal, origin: "--journal")
        flags.set("retention.age", retentionAge, origin: "--retention-age")
        flags.set("retention.bytes", retentionBytes, origin: "--retention-bytes")
        flags.set("http.hosts", allowHost.isEmpty ? nil : allowHost.joined(separator: ","), origin: "--allow-host")
        flags.set("http.wait", wait, origin: "--wait")
        flags.set("log.level", logLevel, origin: "--log-level")
        let file = try Settings.fileLayer(path: config ?? "moonbus.toml", isOptional: config == nil)
        do {
            return try Settings([file, try Settings.environmentLayer(), flags])
        } catch let error as CommandError where error.message.hasPrefix("--") {
            throw CommandError(.usage, error.message)
        }
    }
}

/// The service from its start to its end.
private struct Server {
    /// How long it may take from the signal to the end, all in all…
    private static let drain = Duration.seconds(10)
    /// …of which clients may wait so long for answers: handlers run meanwhile, and after it.
    private static let answering = Duration.seconds(4)

    let settings: Settings
    let view: LiveView
    let journal: OpenJournal
    let runtime: MoonbusRuntime
    let service: HTTPService

    init(_ settings: Settings, _ view: LiveView, acceptsLoss: Bool) throws {
        self.settings = settings
        journal = try OpenJournal(settings, acceptsLoss: acceptsLoss)
        self.view = view
        let level = Logger.Level(rawValue: settings.logLevel) ?? .info
        let logger = Logger(label: "moonbus") { _ in LiveLog(view: view, logLevel: level) }
        var configuration = MoonbusRuntime.Configuration()
        configuration.lanes =
            settings.isolation == .process
            ? .processes(executable: try ownExecutable(), count: settings.lanes) : .threads(count: settings.lanes)
        configuration.drain = Self.drain
        configuration.bus.ephemeral = settings.ephemeral
        // What plugins do is shown from their notices; as log lines, too, everything would be there twice.
        runtime = MoonbusRuntime(
            plugins: settings.plugins, journal: journal.journal, configuration: configuration, logger: logger, pluginLogger: .silent)
        var face = ServiceConfiguration()
        face.host = settings.host
        face.port = settings.port
        face.hosts = settings.hosts
        face.wait = settings.wait
        service = HTTPService(bus: runtime.bus, plugins: runtime.plugins, configuration: face, logger: logger)
    }

    func run() async throws {
        let start = ContinuousClock().now
        // From here on a signal is a request, not a death.
        let signals = await UnixSignalsSequence(trapping: [.sigterm, .sigint] + (isToOutliveTerminal() ? [] : [.sighup]))
        let port = try await startAll()
        let milliseconds = (ContinuousClock().now - start) / .milliseconds(1)
        let host = settings.host == "::1" ? "[::1]" : settings.host
        let url = "http://\(host):\(port)"
        if case .folder(let folder) = settings.journalPlace { ServiceNote.write(url, in: folder) }
        let plugins = await runtime.plugins?.plugins() ?? []
        view.ready(url: url, settings: settings, plugins: plugins, milliseconds: milliseconds)
        // Notices are read from here on: what could not be loaded at the start would stay a cross without a reason.
        for plugin in plugins where plugin.version == 0 {
            guard let error = plugin.error else { continue }
            view.show(PluginNotice(time: .now(), plugin: plugin.name, kind: .failed(error, serving: nil)))
        }
        let notices = Task { await showNotices() }
        let (asked, ask) = AsyncStream.makeStream(of: UnixSignal.self)
        // The sequence has one iterator, so one task reads it: the first signal asks, the second one means it. But for SIGHUP: when a terminal
        // is closed, the system and the shell both send one.
        let listener = Task {
            var hasAsked = false
            for await signal in signals {
                if hasAsked, signal == .sighup { continue }
                if hasAsked { _exit(130) }
                hasAsked = true
                ask.yield(signal)
            }
        }
        var requests = asked.makeAsyncIterator()
        switch await requests.next() {
        case .sigint: view.ending("interrupted")
        case .sighup: view.ending("the terminal was closed")
        default: view.ending("told to end")
        }
        defer { listener.cancel() }
        let deadline = ContinuousClock.now + Self.drain
        await service.stop(within: Self.answering)
        // Half a second for what comes behind it: cut lanes, the last commits, the closing of the journal.
        await runtime.stop(within: max(.zero, deadline - .now - .milliseconds(500)))
        if case .folder(let folder) = settings.journalPlace { ServiceNote.remove(in: folder) }
        journal.close()
        await notices.value
        view.ended()
    }

    /// Whether it was started by `nohup` or the like, with SIGHUP ignored.
    private func isToOutliveTerminal() -> Bool {
        let before = signal(SIGHUP, SIG_IGN)
        if unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) { return true }
        signal(SIGHUP, before)
        return false
    }

    /// - Returns: the port.
    private func startAll() async throws -> Int {
        do {
            try await runtime.start()
        } catch let error as PluginError {
            throw CommandError(.badSettings, "\(error)\(error.hint.map { ": \($0)" } ?? "")")
        } catch let error as JournalError {
            journal.close()
            throw CommandError(opening: error)
        } catch {
            throw CommandError(.internal, "\(error)")
        }
        do throws(ServiceError) {
            return try await service.start()
        } catch {
            await runtime.stop()
            throw CommandError(
                error.code == .notLoopback ? .badSettings : error.code == .portTaken ? .cannotCreate : .unreachable, error.message)
        }
    }

    private func showNotices() async {
        guard let plugins = runtime.plugins else { return }
        for await notice in plugins.notices() { view.show(notice) }
    }
}

extension Logger {
    /// Logs nothing.
    static let silent = Logger(label: "silent") { _ in SwiftLogNoOpLogHandler() }
}
