public import MoonbusEvents

/// What a plugin's `plugin.toml` says: its limits, what it may do, and its configuration.
///
/// The manifest is TOML so that policy can be read without running code. Every key is optional, an unknown one is an error.
///
///     name = "thermostat"        # if given: the folder's name
///     contexts = 2               # copies that run side by side, on different lanes; 1…64, default 1
///
///     [limits]
///     memory = "64MB"            # of one context: 1MB…4GB, in bytes when a number; default 64MB (units are powers of 1,024)
///     cpu = "1s"                 # CPU time of one run of a handler, 1ms…60s; default 1s. Said here, no subscription may ask for more
///     wait = "30s"               # wall time of one delivery, waiting included, 10ms…1h; default 30s; likewise
///     state = "64MB"             # what `kv` holds, of all contexts together: 1MB…1TB; default 64MB
///
///     [permissions]
///     emit = ["climate.>"]       # patterns of the types that it may emit; without the key: every type but `moonbus.>`
///     sources = ["urn:shop:*"]   # what its events may have as `source`, beside "/plugins/thermostat": whole, or how they begin and a `*`
///     subscribe = ["temp.*"]     # patterns that its subscriptions must lie within; without the key: everything
///
///     [config]                   # anything; what Lua sees as `config`. Dates and times become strings.
///     threshold = 40.0
public struct Manifest: Sendable, Hashable {
    /// The plugin's name, when the manifest repeats it.
    public var name: String?
    /// How many copies of the plugin run side by side.
    public var contexts = 1
    /// What it may use.
    public var limits = Limits()
    /// What the plugin may do.
    public var permissions = Permissions()
    /// A JSON object: what Lua sees as `config`.
    public var config = Manifest.noConfig

    /// One for all that have none: most plugins do.
    private static let noConfig = JSON(.object([:]))

    /// The manifest of a plugin that has none.
    public init() {}

    /// What one context may use, and what the plugin may store.
    public struct Limits: Sendable, Hashable {
        /// Memory of one context's Lua state.
        public var memoryBytes = 64 << 20
        /// CPU time of one run: loading, or a handler up to where it waits.
        public var cpu: Duration = .seconds(1)
        /// Wall time of one delivery, waiting included, unless the subscription says otherwise.
        public var wait: Duration = .seconds(30)
        /// Whether the manifest says `cpu`, and `wait`: then no subscription may ask for more.
        public var boundsCPU = false, boundsWait = false
        /// Bytes of the plugin's state: of each value its key, its JSON, and 64 more.
        public var stateBytes = 64 << 20

        /// The limits of a plugin without a manifest.
        public init() {}
    }

    /// What the plugin may do. A list that is nil permits what is permitted without a manifest.
    public struct Permissions: Sendable, Hashable {
        /// Types that it may emit.
        public var emit: [EventPattern]?
        /// Patterns that its subscriptions must lie within.
        public var subscribe: [EventPattern]?
        /// Sources that its events may have beside its own; one that ends with `*` permits all that begin so.
        ///
        /// An event's identity is its source and its id, and what comes second under the same identity is a duplicate that nobody handles. So
        /// a plugin that may use a publisher's source can keep that publisher's events from being handled.
        public var sources: [String] = []

        /// What is permitted without a manifest.
        public init() {}

        /// Whether the plugin may emit events of this type. Types below `moonbus.` are the host's own, whatever the manifest says.
        public func permitsEmitting(_ type: EventType) -> Bool {
            if type.isReserved { return false }
            return emit?.contains { $0.matches(type) } ?? true
        }

        /// Whether the plugin's events may have this source, which is not its own.
        public func permitsSource(_ source: String) -> Bool {
            sources.contains { permitted in
                permitted.utf8.last == UInt8(ascii: "*")
                    ? source.utf8.starts(with: permitted.utf8.dropLast()) : source.utf8.elementsEqual(permitted.utf8)
            }
        }

        /// Whether the plugin may subscribe to everything that `pattern` matches.
        public func permitsSubscribing(to pattern: EventPattern) -> Bool {
            subscribe?.contains { $0.covers(pattern) } ?? true
        }
    }
}
