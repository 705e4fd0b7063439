import MoonbusEvents

/// What `moonbus run` is told. For each one: a flag wins over the environment, that over `moonbus.toml`, that over the default.
///
/// | key in `moonbus.toml` | environment | flag | default |
/// |---|---|---|---|
/// | `plugins` | `MOONBUS_PLUGINS` | `--plugins` | `plugins` |
/// | `lanes` | `MOONBUS_LANES` | `--lanes` | one for each processor, at most 8 |
/// | `isolation` | `MOONBUS_ISOLATION` | `--isolation` | `process` |
/// | `journal` | `MOONBUS_JOURNAL` | `--journal` | `.moonbus` beside the plugins folder; `memory`: nothing survives |
/// | `retention.age` | `MOONBUS_RETENTION_AGE` | `--retention-age` | `7d`: how long events are kept that nobody is owed |
/// | `retention.bytes` | `MOONBUS_RETENTION_BYTES` | `--retention-bytes` | `4GiB`: above, the oldest of those go first |
/// | `ephemeral` | `MOONBUS_EPHEMERAL` (commas) | | none: types whose events are never journaled, e.g. `["sensor.raw.>"]` |
/// | `http.host` | `MOONBUS_HTTP_HOST` | `--host` | `127.0.0.1` |
/// | `http.port` | `MOONBUS_HTTP_PORT` | `--port` | `7070` |
/// | `http.hosts` | `MOONBUS_HTTP_HOSTS` (commas) | `--allow-host` | none |
/// | `http.wait` | `MOONBUS_HTTP_WAIT` | `--wait` | none: answers once recorded |
/// | `log.level` | `MOONBUS_LOG_LEVEL` | `--log-level` | `info` |
///
/// Ours, not swift-configuration: its providers hand out values without the place in the file where they stand, and the point of a
/// settings file is that a wrong line in it is shown. With twelve keys, the table is shorter than the adapter would be.
struct Settings: Equatable {
    enum Isolation: String, CaseIterable {
        /// Lanes are sandboxed processes.
        case process
        /// Lanes are threads of the service.
        case thread
    }

    var plugins = "plugins"
    var lanes = Settings.processors
    var isolation = Isolation.process
    /// Nil: beside the plugins folder.
    var journal: JournalPlace?
    var retentionAge = Duration.seconds(7 * 86_400)
    var retentionBytes = 4 << 30
    var ephemeral: [EventPattern] = []
    var host = "127.0.0.1"
    var port = 7070
    var hosts: [String] = []
    var wait: Duration?
    var logLevel = "info"

    static let logLevels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]

    /// Values that were given, by key; later layers go over earlier ones.
    struct Layer {
        /// Where a value was said: `--port`, `MOONBUS_HTTP_PORT`, `moonbus.toml:3`.
        var values: [String: (text: String, origin: String)] = [:]

        mutating func set(_ key: String, _ text: String?, origin: String) {
            if let text { values[key] = (text, origin) }
        }
    }

    /// The names of the keys, for "did you mean".
    static let keys = [
        "plugins", "lanes", "isolation", "journal", "retention.age", "retention.bytes", "ephemeral", "http.host", "http.port", "http.hosts",
        "http.wait", "log.level",
    ]

    /// The environment's name of a key.
    static func variable(_ key: String) -> String { "MOONBUS_" + key.uppercased().map { $0 == "." ? "_" : String($0) }.joined() }

    /// Variables that others read: other verbs, our scripts and our tests.
    private static let foreignVariables: Set = ["MOONBUS_URL", "MOONBUS_PARTS", "MOONBUS_TORTURE_CYCLES", "MOONBUS_CORPUS"]

    /// What Kubernetes and Docker set in every container beside a service that is called moonbus, or moonbus-web: nobody has misspelt anything.
    private static func isOfAService(_ name: String) -> Bool {
        name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || environment(name)?.contains("://") == true
            || name.contains("_PORT_") && (name.contains("_TCP") || name.contains("_UDP"))
    }

    /// The key that a misspelt one, or one without its table, most likely stands for: `port` is `http.port`.
    static func nearest(to key: String) -> String? {
        let whole = keys.filter { $0.hasSuffix(".\(key)") }
        return whole.count == 1 ? whole.first : Suggestion.nearest(to: key, in: keys)
    }

    /// What the environment says.
    ///
    /// - Parameter names: of the variables that are set.
    /// - Throws: ``CommandError`` 78 for a variable `MOONBUS_…` that nobody reads, with the nearest one.
    static func environmentLayer(_ names: [String] = variableNames()) throws -> Layer {
        let known = Set(keys.map(variable)).union(foreignVariables)
        for name in names where name.hasPrefix("MOONBUS_") && !known.contains(name) && environment(name) != nil && !isOfAService(name) {
            let key = name.dropFirst("MOONBUS_".count).lowercased()
            let hint =
                nearest(to: key).map { "; did you mean \"\(variable($0))\"?" }
                ?? ": there are \(keys.map(variable).joined(separator: ", "))"
            throw CommandError(.badSettings, "the environment: \(printable(name)) is not a setting\(hint)")
        }
        var layer = Layer()
        for key in keys { layer.set(key, environment(variable(key)), origin: variable(key)) }
        return layer
    }

    /// Puts the layers together, the first one being the weakest.
    ///
    /// - Throws: ``CommandError`` 78 that says which value is wrong, where it was said, and what would be right.
    init(_ layers: [Layer]) throws {
        var values: [String: (text: String, origin: String)] = [:]
        for layer in layers { values.merge(layer.values) { $1 } }
        func read<Value>(_ key: String, _ expected: String, _ parse: (String) -> Value?) throws -> Value? {
            guard let (text, origin) = values[key] else { return nil }
            guard let value = parse(text) else { throw CommandError(.badSettings, "\(origin): '\(text)' is not \(expected)") }
            return value
        }
        plugins = try read("plugins", "a folder") { $0.isEmpty ? nil : $0 } ?? plugins
        lanes = try read("lanes", "a number from 1 to 64") { Int($0).flatMap { (1...64).contains($0) ? $0 : nil } } ?? lanes
        isolation = try read("isolation", "'process' or 'thread'", Isolation.init(rawValue:)) ?? isolation
        journal = try read("journal", "a folder, or 'memory'", JournalPlace.init)
        retentionAge = try read("retention.age", "a duration, like 7d or 12h") { try? DurationText.parse($0) } ?? retentionAge
        retentionBytes = try read("retention.bytes", "a number of bytes, like 500MiB or 4GiB", ByteCountText.parse) ?? retentionBytes
        ephemeral =
            try read("ephemeral", "a list of patterns, like sensor.raw.>") { text in
                try? text.split(separator: ",").map { try EventPattern(String($0)) }
            } ?? ephemeral
        host = try read("http.host", "an address") { $0.isEmpty ? nil : $0 } ?? host
        port = try read("http.port", "a port from 0 to 65535") { Int($0).flatMap { (0...65_535).contains($0) ? $0 : nil } } ?? port
        hosts = try read("http.hosts", "a list of names") { $0.split(separator: ",").map { String($0) } } ?? hosts
        wait = try read("http.wait", "a duration from 0s to 60s, like 2s") { text in
            (try? DurationText.parse(text)).flatMap { $0 <= .seconds(60) ? $0 : nil }
        }
        logLevel =
            try read("log.level", "one of \(Self.logLevels.joined(separator: ", "))") { Self.logLevels.contains($0) ? $0 : nil } ?? logLevel
    }
}
