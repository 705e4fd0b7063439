/// One plugin's share of what all plugins have together: how much of it this plugin may hold.
///
/// A settlement that would take more is not committed (``Settled/beyondShare(_:)``); one that frees something always is. Whoever is no plugin
/// has no share: only the journal's own limits hold.
public struct Share: Sendable, Hashable {
    /// Whose it is: the plugin's name.
    public var plugin: String
    /// Bytes of state: of each value its key, its JSON, and ``StateEntry/overhead``.
    public var stateSizeMax: Int
    /// Events that wait for their time.
    public var delayedMax: Int
    /// Bytes of their records.
    public var delayedSizeMax: Int

    /// Creates a share; without bounds of its own it is only counted.
    public init(plugin: String, stateSizeMax: Int = .max, delayedMax: Int = .max, delayedSizeMax: Int = .max) {
        self.plugin = plugin
        self.stateSizeMax = stateSizeMax
        self.delayedMax = delayedMax
        self.delayedSizeMax = delayedSizeMax
    }
}

/// What a plugin wanted beyond its share.
public struct ShareExcess: Sendable, Hashable {
    /// What there was too much of.
    public enum Kind: Sendable, Hashable {
        /// Bytes of state.
        case state
        /// Events that wait for their time.
        case delayed
        /// Bytes of those events.
        case delayedSize
    }

    /// What there was too much of.
    public var kind: Kind
    /// What the plugin holds.
    public var held: Int
    /// What it would hold.
    public var wanted: Int
    /// What it may hold.
    public var limit: Int

    /// Says what was wanted beyond a share.
    public init(_ kind: Kind, held: Int, wanted: Int, limit: Int) {
        self.kind = kind
        self.held = held
        self.wanted = wanted
        self.limit = limit
    }
}
