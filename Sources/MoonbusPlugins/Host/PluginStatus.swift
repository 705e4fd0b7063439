public import MoonbusEvents

/// How a plugin is, at one moment.
public struct PluginStatus: Sendable {
    /// What a plugin can be.
    public enum State: Sendable, Hashable {
        /// Its handlers run.
        case running
        /// It is being loaded and has no version that serves.
        case loading
        /// It could not be loaded, and no earlier version serves.
        case failed
        /// Its lane ended and it is being loaded again; its queues wait.
        case restarting
        /// Switched off by hand; its queues wait.
        case disabled
        /// It broke its lane too often; its queues wait.
        case quarantined

        /// The name as it appears in JSON.
        public var name: String { "\(self)" }
    }

    /// The plugin's name.
    public var name: String
    /// What it is.
    public var state: State
    /// The version that serves, or served last: 1 for the first that was loaded, 0 when none was.
    public var version: Int
    /// A fingerprint of that version's files.
    public var digest: UInt64
    /// When that version took over.
    public var since: Timestamp?
    /// The lanes on which its contexts run.
    public var lanes: [Int]
    /// Its subscriptions, sources and timers, as `plugin.name`.
    public var subscriptions: [String]
    /// Deliveries that its contexts have and have not answered.
    public var inFlight: Int
    /// How often it broke its lane lately.
    public var strikes: Int
    /// Why the last attempt to load it failed, or why it is quarantined; nil once a version was loaded.
    public var error: PluginError?
}
