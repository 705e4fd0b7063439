import Logging
import MoonbusEvents
import MoonbusPlugins

/// What `moonbus run` shows: lines for a person on a terminal, JSON lines for a program.
///
/// One line a notice. A person gets errors with their source; a program gets every notice as an object with `time` and `event`.
struct LiveView: Sendable {
    let terminal: Terminal
    let isJSON: Bool
    /// Whether the debug lines of plugins are shown.
    var showsDebug = false

    /// The few lines at the start: where it is and what it runs.
    func ready(url: String, settings: Settings, plugins: [PluginStatus], milliseconds: Double) {
        if isJSON {
            line("ready") {
                $0.text("url", url).text("plugins", settings.plugins).number("lanes", settings.lanes)
                    .text("isolation", settings.isolation.rawValue).text("journal", settings.journalPlace.description)
                    .number("retention_age_seconds", settings.retentionAge.components.seconds)
                    .number("retention_bytes", settings.retentionBytes).number("milliseconds", milliseconds)
            }
            return
        }
        let states = plugins.map { status in
            status.state == .running ? "\(status.name) \(terminal.paint(.green, "✓"))" : "\(status.name) \(terminal.paint(.red, "✗"))"
        }
        let lanes = settings.isolation == .process ? "sandboxed process" : "thread"
        terminal.print(
            """
            \(terminal.paint(.bold, "moonbus \(MoonbusCommand.version)")) · up in \(Int(milliseconds.rounded())) ms
              http      \(url)
              plugins   \(states.isEmpty ? "none yet: moonbus new hello" : states.joined(separator: "  "))
              journal   \(journal(settings))
              lanes     \(settings.lanes) \(lanes)\(settings.lanes == 1 ? "" : settings.isolation == .process ? "es" : "s") · watching \(settings.plugins)/
              try       moonbus emit hello.asked '{"name": "Ada"}' --wait · moonbus tail
              Ctrl-C drains and ends
            """)
    }

    private func journal(_ settings: Settings) -> String {
        switch settings.journalPlace {
        case .memory: terminal.paint(.yellow, "in memory: nothing survives")
        case .folder(let path):
            "\(path)/ · what nobody is owed any more is kept \(DurationText.format(settings.retentionAge)), "
                + "up to \(ByteCountText.format(settings.retentionBytes))"
        }
    }

    /// The line in the place of lines that a slow reader misses.
    func skipped(_ count: Int) -> String {
        if isJSON { return JSONLine { $0.text("time", "\(Timestamp.now())").text("event", "skipped").number("lines", count) }.text }
        return "(\(counted(count, "line is", "lines are")) missing here: who reads this is too slow)"
    }

    /// Something that happened to a plugin or a lane.
    func show(_ notice: PluginNotice) {
        if case .log("debug", _) = notice.kind, !showsDebug { return }
        if isJSON { return showJSON(notice) }
        switch notice.kind {
        case .loaded, .restarted: print(notice.time, .green, "✓", notice.description)
        case .reloaded: print(notice.time, .green, "↻", notice.description)
        case .failed(let error, let serving):
            let rest = serving.map { ", v\($0) keeps running" } ?? ", and no version of it runs"
            print(notice.time, .red, "✗", "\(notice.plugin ?? "") not loaded\(rest)")
            showSource(error)
        case .quarantined(let error):
            print(notice.time, .red, "✗", notice.description)
            showSource(error)
        case .laneEnded, .secluded: print(notice.time, .yellow, "!", notice.description)
        case .unloaded, .disabled: print(notice.time, .dim, "-", notice.description)
        case .log(let level, _): print(notice.time, level == "error" ? .red : level == "warn" ? .yellow : .dim, "│", notice.description)
        }
    }

    /// A line of the service's own log.
    func show(_ level: Logger.Level, _ text: String, _ metadata: Logger.Metadata) {
        let now = Timestamp.now()
        let members = metadata.sorted { $0.key < $1.key }
        if isJSON {
            line("log", now) { writer in
                writer.text("level", "\(level)").text("text", text)
                for (key, value) in members { writer.text(key, "\(value)") }
            }
        } else {
            let rest = members.map { " \($0.key)=\($0.value)" }.joined()
            print(now, level >= .error ? .red : level == .warning ? .yellow : .dim, level >= .warning ? "!" : "·", printable(text + rest))
        }
    }

    /// The service ends.
    func ending(_ why: String) {
        if isJSON {
            line("stopping") { $0.text("reason", why) }
        } else {
            print(.now(), .dim, "·", "\(why): finishing what is in flight; once more ends at once")
        }
    }

    /// The service has ended.
    func ended() {
        if isJSON { line("stopped") { _ in } } else { print(.now(), .dim, "·", "ended") }
    }

    private func showSource(_ error: PluginError) {
        for line in error.render(color: terminal.hasColor).split(separator: "\n") { terminal.print("    \(line)") }
    }

    private func showJSON(_ notice: PluginNotice) {
        let plugin = notice.plugin
        switch notice.kind {
        case .loaded(let version, let milliseconds):
            line("loaded", notice.time) { $0.text("plugin", plugin).number("version", version).number("milliseconds", milliseconds) }
        case .reloaded(let version, let milliseconds, let draining):
            line("reloaded", notice.time) {
                $0.text("plugin", plugin).number("version", version).number("milliseconds", milliseconds).number("draining", draining)
            }
        case .failed(let error, let serving):
            line("failed", notice.time) { writer in
                writer.text("plugin", plugin)
                if let serving { writer.number("serving", serving) }
                writer.error(error)
            }
        case .quarantined(let error): line("quarantined", notice.time) { $0.text("plugin", plugin).error(error) }
        case .unloaded(let limit):
            line("unloaded", notice.time) { members in
                members.text("plugin", plugin)
                if let limit { members.number("kept_seconds", limit.components.seconds) }
            }
        case .disabled: line("disabled", notice.time) { $0.text("plugin", plugin) }
        case .secluded(let reason): line("secluded", notice.time) { $0.text("plugin", plugin).text("reason", reason) }
        case .restarted(let milliseconds): line("restarted", notice.time) { $0.text("plugin", plugin).number("milliseconds", milliseconds) }
        case .laneEnded(let lane, let reason, let plugins):
            line("lane_ended", notice.time) { $0.number("lane", lane).text("reason", reason).texts("plugins", plugins) }
        case .log(let level, let text): line("log", notice.time) { $0.text("plugin", plugin).text("level", level).text("text", text) }
        }
    }

    private func print(_ time: Timestamp, _ paint: Terminal.Paint, _ mark: String, _ text: String) {
        let clock = time.description.split(separator: "T").last.map { String($0.prefix(12)) } ?? ""
        terminal.print("\(terminal.paint(.dim, clock)) \(terminal.paint(paint, mark)) \(Self.indented(text, by: clock.count + 3))")
    }

    /// A text of several lines, the following ones moved in: what a plugin logs must not look like a line of ours.
    static func indented(_ text: String, by count: Int) -> String {
        text.replacing("\n", with: "\n" + String(repeating: " ", count: count))
    }

    private func line(_ event: String, _ time: Timestamp = .now(), _ members: (JSONLine.Members) -> Void) {
        terminal.print(
            JSONLine { writer in
                writer.text("time", time.description).text("event", event)
                members(writer)
            }.text)
    }
}

extension JSONLine.Members {
    /// Writes an error as `moonbus check --json` and `moonbus run --json` show it.
    @discardableResult
    func error(_ error: PluginError) -> JSONLine.Members {
        object("error") { writer in
            writer.text("code", error.code.description).text("message", error.message).text("file", error.file)
            if let line = error.line { writer.number("line", line) }
            if let column = error.column { writer.number("column", column) }
            if let excerpt = error.excerpt { writer.texts("excerpt", excerpt.lines).number("excerpt_line", excerpt.firstLine) }
            writer.text("hint", error.hint)
        }
    }
}

/// Shows swift-log's lines in the live view.
struct LiveLog: LogHandler {
    let view: LiveView
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        view.show(event.level, "\(event.message)", metadata.merging(event.metadata ?? [:]) { $1 })
    }
}
