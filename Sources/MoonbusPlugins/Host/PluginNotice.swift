public import MoonbusEvents

/// Something that happened to a plugin or a lane, for the live view and the log.
public struct PluginNotice: Sendable, CustomStringConvertible {
    /// What happened.
    public enum Kind: Sendable {
        /// The plugin serves for the first time. `milliseconds` count from the first sign of the file, or from the call.
        case loaded(version: Int, milliseconds: Double)
        /// A new version took over; `draining` deliveries are still with the old one.
        case reloaded(version: Int, milliseconds: Double, draining: Int)
        /// A version was refused; `serving` is the version that goes on, if there is one.
        case failed(PluginError, serving: Int?)
        /// The plugin is gone from the folder, or was unloaded by hand. What it is owed is kept for so long, in case its files come back; nil: it
        /// is forgotten.
        case unloaded(keptFor: Duration?)
        /// The plugin was switched off by hand; its queues wait.
        case disabled
        /// The plugin broke its lane, or hogs it, and has a lane of its own from now on.
        case secluded(reason: String)
        /// The plugin broke its lane too often: it is not run any more, its queues wait. A new version or `enable` lifts it.
        case quarantined(PluginError)
        /// The plugin was loaded again after its lane ended.
        case restarted(milliseconds: Double)
        /// A lane ended unasked and is replaced; the plugins on it are loaded again.
        case laneEnded(lane: Int, reason: String, plugins: [String])
        /// A line that the plugin logged.
        case log(level: String, text: String)
    }

    /// When it happened.
    public var time: Timestamp
    /// The plugin; nil for what concerns a lane.
    public var plugin: String?
    /// What happened.
    public var kind: Kind

    package init(time: Timestamp, plugin: String?, kind: Kind) {
        self.time = time
        self.plugin = plugin
        self.kind = kind
    }

    /// The notice on one line.
    public var description: String {
        let name = plugin ?? ""
        switch kind {
        case .loaded(let version, let milliseconds): return "\(name) v\(version) live in \(rounded(milliseconds)) ms"
        case .reloaded(let version, let milliseconds, let draining):
            let rest = draining > 0 ? " (\(draining) still with the version before)" : ""
            return "\(name) v\(version) live in \(rounded(milliseconds)) ms\(rest)"
        case .failed(let error, let serving):
            return "\(name) not loaded\(serving.map { ", v\($0) keeps running" } ?? ""): \(error)"
        case .unloaded(let limit):
            return "\(name) unloaded\(limit.map { "; if it is back within \(DurationText.format($0)), it goes on where it was" } ?? "")"
        case .disabled: return "\(name) disabled"
        case .secluded(let reason): return "\(name) has a lane of its own now: \(reason)"
        case .quarantined(let error): return "\(name) quarantined: \(error.message)"
        case .restarted(let milliseconds): return "\(name) loaded again in \(rounded(milliseconds)) ms"
        case .laneEnded(let lane, let reason, let plugins):
            return "lane \(lane) ended (\(reason)); loading again: \(plugins.joined(separator: ", "))"
        case .log(let level, let text): return "\(name) \(level): \(clean(text))"
        }
    }
}

/// A number of milliseconds with one decimal.
private func rounded(_ milliseconds: Double) -> String { "\((milliseconds * 10).rounded() / 10)" }
