/// How a ``PluginHost`` runs its plugins.
public struct PluginHostConfiguration: Sendable {
    /// Where contexts run.
    public enum Lanes: Sendable, Hashable {
        /// In sandboxed child processes: `executable lane`, this many of them. What a plugin's code can break is then its lane.
        ///
        /// - Parameters:
        ///   - executable: the path of the `moonbus` command.
        ///   - count: 1…64; more are started for plugins that broke theirs.
        case processes(executable: String, count: Int)
        /// On threads of this process, for embedding and tests: the same worker over the same frames, without the sandbox. A crash in
        /// the Lua library is a crash of this process, and a thread that never comes back can't be killed, only reported.
        case threads(count: Int)
    }

    /// Where contexts run.
    public var lanes: Lanes
    /// How long the old version of a plugin may finish what it began after a reload; then it is cut and its deliveries are due again.
    public var drain: Duration = .seconds(10)
    /// How long what a plugin is owed is kept when its files are gone: a moved file, a checkout or a slow copy brings them back. Then, or when the
    /// journal is full, its subscriptions are retired.
    public var absence: Duration = .seconds(60)
    /// Wall time that loading a plugin may take; its CPU time has the manifest's limit.
    public var load: Duration = .seconds(10)
    /// A plugin that broke its lane this often…
    public var strikes = 3
    /// …within this time is quarantined.
    public var strikesWithin: Duration = .seconds(600)
    /// How often the lanes' pages are read.
    public var watchdog: Duration = .milliseconds(100)
    /// What a lane may overrun the limit of what it is running, in CPU time, before it is killed: the time that the lane itself needs
    /// for its interrupt and its own hard kill, with a margin.
    public var overrun: Duration = .milliseconds(750)
    /// CPU time that one run may hold a lane process on which other plugins wait; then its plugin gets a lane of its own.
    /// So does one whose shorter runs have most of the lane: ``LaneTenure``.
    public var hold: Duration = .milliseconds(200)
    /// How long a lane that has something to do may stand still, in wall time, before it is killed.
    public var silence: Duration = .seconds(10)
    /// Lines that a plugin may log each second; those above are counted, not written. Its lane has a lower bound of its own; this one holds when
    /// the lane doesn't keep it.
    public var logLines = 1_000

    /// True: plugins only handle events, once each; their timers and sources don't run. For rehearsals with recorded events.
    package var rehearses = false

    /// A configuration with the default limits.
    public init(lanes: Lanes) { self.lanes = lanes }
}
