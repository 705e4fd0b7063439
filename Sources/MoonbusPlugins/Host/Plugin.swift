import MoonbusEvents

/// A plugin by name, with everything that the host knows of it. State of the owner thread.
final class Plugin {
    /// Whether it is meant to run.
    enum Standing {
        case active
        case disabled
        case quarantined(PluginError)
    }

    let name: String
    var standing = Standing.active
    /// What the bus delivers to; also while its lane is being replaced, when it has no contexts.
    var serving: PluginVersion?
    /// Since when it serves.
    var since: Timestamp?
    /// The load in progress: never two at once.
    var loading: PluginLoad?
    /// What is to be loaded when that one is done; a newer request takes the place of an older one.
    var next: LoadRequest?
    /// The newest files that were seen, for `enable` and for restarts.
    var latest: PluginSource?
    /// Why the last load failed; nil once one has succeeded.
    var failure: PluginError?
    var versionCount = 0
    var strikes = StrikeRecord()
    /// It broke its lane or hogged it: its contexts are on a lane that no other plugin shares.
    var isSecluded = false
    /// Restarts in a row that failed: the next one waits longer.
    var failedRestartCount = 0
    var logBudget = LogBudget()
    /// Manifests are kept by their text: TOMLKit doesn't free all that it makes of one, so the same text is parsed once.
    var manifest: (text: String, manifest: Manifest)?

    init(name: String) { self.name = name }

    /// What its events have as their source, unless the manifest permits others.
    var eventSource: String { "/plugins/\(name)" }
}

/// A wish to load a plugin.
struct LoadRequest {
    enum Cause {
        /// The files changed, or are there for the first time.
        case change
        /// Someone called `reload`, `enable` or `load`.
        case asked
        /// Its lane or its context is gone.
        case restart
        /// It gets a lane of its own.
        case move
    }

    var source: PluginSource
    var cause: Cause
    /// CLOCK_MONOTONIC nanoseconds of the first sign of it.
    var began: UInt64
    /// Who waits for the end of it.
    var waiting: [(Result<Void, PluginError>) -> Void] = []
}

/// How many lines a plugin may still log in this second.
struct LogBudget {
    private var second: UInt64 = 0
    private var count = 0
    /// Lines that were left out and not told yet.
    private(set) var leftOut = 0

    /// Whether one more line may be written; counts it otherwise.
    mutating func take(limit: Int) -> Bool {
        let now = monotonicNanoseconds() / 1_000_000_000
        if now != second { (second, count) = (now, 0) }
        count += 1
        if count > limit { leftOut += 1 }
        return count <= limit
    }

    /// How many lines were left out since this was asked last.
    mutating func takeLeftOut() -> Int {
        defer { leftOut = 0 }
        return leftOut
    }
}
