import MoonbusEvents
import TOMLKit

extension Manifest {
    /// The largest `plugin.toml` that is read, in bytes.
    static let sizeMax = 64 << 10
    /// How deep keys and values may be nested, as in any event.
    static let depthMax = 64
    /// How many copies of a plugin may run side by side.
    static let contextsMax = 64

    /// Reads a manifest.
    ///
    /// - Parameters:
    ///   - plugin: the name of the plugin, as its folder says it.
    ///   - file: the manifest's path, for errors.
    /// - Throws: ``PluginError`` `.badManifest` with line, column, excerpt and, where a name is misspelt, the nearest one.
    package static func parse(_ text: String, plugin: String, file: String) throws(PluginError) -> Manifest {
        let reader = try ManifestReader(text: text, plugin: plugin, file: file)
        // TOMLKit 0.6 frees no document that it has parsed, but it empties a table: what stays behind is an empty table, and copies of the
        // keys and strings that were read. Goes when TOMLKit frees what it makes.
        defer { reader.root.clear() }
        return try reader.manifest()
    }
}

/// Walks a TOML document by hand: TOMLKit's decoder calls a value of the wrong type a missing key and tells no place.
private struct ManifestReader {
    let text: String
    let plugin: String
    let file: String
    let places: TOMLPlaces
    let root: TOMLTable

    init(text: String, plugin: String, file: String) throws(PluginError) {
        self.text = text
        self.plugin = plugin
        self.file = file
        guard text.utf8.count <= Manifest.sizeMax, !text.utf8.contains(0) else {
            throw PluginError(
                .badManifest, plugin: plugin, file: file, message: "the manifest is larger than 64 KiB or has NUL bytes",
                hint: "plugin.toml is a text file of a few lines")
        }
        if let line = TOMLDepth.firstLine(deeperThan: Manifest.depthMax, in: text) {
            throw PluginError(
                .badManifest, plugin: plugin, file: file, line: line, message: "a key is nested more than \(Manifest.depthMax) deep",
                source: text)
        }
        do {
            root = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw PluginError(
                .badManifest, plugin: plugin, file: file, line: error.source.begin.line, column: error.source.begin.column,
                message: firstLine(of: error.description), source: text)
        } catch {
            throw PluginError(.badManifest, plugin: plugin, file: file, message: "\(error)")
        }
        places = TOMLPlaces(text)
    }

    func manifest() throws(PluginError) -> Manifest {
        var manifest = Manifest()
        try refuseUnknown(root, at: [], known: ["name", "contexts", "limits", "permissions", "config"])
        if let value = root["name"] {
            let name = try string(value, at: ["name"])
            guard name == plugin else {
                throw error(
                    at: ["name"], "the manifest names '\(name)', but the plugin's folder is '\(plugin)'",
                    hint: "a plugin is called what its folder is called: rename one of the two, or leave `name` out")
            }
            manifest.name = name
        }
        if let value = root["contexts"] {
            guard let count = value.int else { throw wrongType(value, at: ["contexts"], wanted: "an integer") }
            guard (1...Manifest.contextsMax).contains(count) else {
                throw error(at: ["contexts"], "contexts is \(count), it must be 1…\(Manifest.contextsMax)")
            }
            manifest.contexts = count
        }
        manifest.limits = try limits()
        manifest.permissions = try permissions()
        if let value = root["config"] {
            guard let table = value.table else { throw wrongType(value, at: ["config"], wanted: "a table") }
            manifest.config = JSON(try json(table, at: ["config"], depth: 1))
        }
        return manifest
    }

    private func limits() throws(PluginError) -> Manifest.Limits {
        var limits = Manifest.Limits()
        guard let value = root["limits"] else { return limits }
        guard let table = value.table else { throw wrongType(value, at: ["limits"], wanted: "a table") }
        try refuseUnknown(table, at: ["limits"], known: ["memory", "cpu", "wait", "state"])
        if let value = table["memory"] {
            limits.memoryBytes = try bytes(value, at: ["limits", "memory"], within: 1 << 20...4 << 30, shown: "1MB…4GB")
        }
        if let value = table["state"] {
            limits.stateBytes = try bytes(value, at: ["limits", "state"], within: 1 << 20...1 << 40, shown: "1MB…1TB")
        }
        if let value = table["cpu"] {
            limits.cpu = try duration(value, at: ["limits", "cpu"], within: .milliseconds(1)...(.seconds(60)), shown: "1ms…60s")
            limits.boundsCPU = true
        }
        if let value = table["wait"] {
            limits.wait = try duration(value, at: ["limits", "wait"], within: .milliseconds(10)...(.seconds(3600)), shown: "10ms…1h")
            limits.boundsWait = true
        }
        return limits
    }

    private func permissions() throws(PluginError) -> Manifest.Permissions {
        var permissions = Manifest.Permissions()
        guard let value = root["permissions"] else { return permissions }
        guard let table = value.table else { throw wrongType(value, at: ["permissions"], wanted: "a table") }
        try refuseUnknown(table, at: ["permissions"], known: ["emit", "sources", "subscribe"])
        if let value = table["emit"] {
            permissions.emit = try patterns(value, at: ["permissions", "emit"])
            if let reserved = permissions.emit?.first(where: { $0.text == "moonbus" || $0.text.hasPrefix("moonbus.") }) {
                throw error(
                    at: ["permissions", "emit"], "'\(reserved)': types below 'moonbus.' are the host's own",
                    hint: "choose another first token for the plugin's types")
            }
        }
        if let value = table["sources"] { permissions.sources = try sources(value, at: ["permissions", "sources"]) }
        if let value = table["subscribe"] { permissions.subscribe = try patterns(value, at: ["permissions", "subscribe"]) }
        return permissions
    }

    // MARK: Values

    private func string(_ value: any TOMLValueConvertible, at path: [String]) throws(PluginError) -> String {
        guard let string = value.string else { throw wrongType(value, at: path, wanted: "a string") }
        return string
    }

    private func duration(
        _ value: any TOMLValueConvertible, at path: [String], within range: ClosedRange<Duration>, shown: String
    ) throws(PluginError) -> Duration {
        let duration: Duration
        if let seconds = value.int {
            duration = .seconds(min(max(seconds, -1), 1 << 31))
        } else if let seconds = value.double, seconds.isFinite {
            duration = .seconds(min(max(seconds, -1), 0x1p31))
        } else if let text = value.string {
            do { duration = try DurationText.parse(text) } catch {
                throw self.error(
                    at: path, "\(path.last ?? ""): \(error.message)", hint: "durations look like \"250ms\", \"5s\" or \"1m30s\"")
            }
        } else {
            throw wrongType(value, at: path, wanted: "a duration such as \"250ms\" or \"5s\"")
        }
        guard range.contains(duration) else { throw error(at: path, "\(path.last ?? "") must be \(shown)") }
        return duration
    }

    private func bytes(
        _ value: any TOMLValueConvertible, at path: [String], within range: ClosedRange<Int>, shown: String
    ) throws(PluginError) -> Int {
        let bytes: Int
        if let count = value.int {
            bytes = count
        } else if let text = value.string {
            guard let count = byteCount(text) else {
                throw error(at: path, "'\(text)' is not an amount of bytes", hint: "amounts look like \"512KB\", \"64MB\" or \"1GB\"")
            }
            bytes = count
        } else {
            throw wrongType(value, at: path, wanted: "an amount of bytes such as \"64MB\"")
        }
        guard range.contains(bytes) else { throw error(at: path, "\(path.last ?? "") must be \(shown)") }
        return bytes
    }

    private func patterns(_ value: any TOMLValueConvertible, at path: [String]) throws(PluginError) -> [EventPattern] {
        guard let array = value.array else { throw wrongType(value, at: path, wanted: "a list of patterns such as [\"orders.>\"]") }
        var patterns: [EventPattern] = []
        for index in 0..<array.count {
            let text = try string(array[index], at: path)
            do { patterns.append(try EventPattern(text)) } catch { throw self.error(at: path, error.message) }
        }
        return patterns
    }

    private func sources(_ value: any TOMLValueConvertible, at path: [String]) throws(PluginError) -> [String] {
        guard let array = value.array else { throw wrongType(value, at: path, wanted: "a list of sources such as [\"urn:shop:*\"]") }
        var sources: [String] = []
        for index in 0..<array.count {
            let text = try string(array[index], at: path)
            guard !text.dropLast().contains("*") else {
                throw error(
                    at: path, "'\(text)': a '*' stands at the end of a source only",
                    hint: "\"urn:shop:*\" permits every source that begins with \"urn:shop:\"")
            }
            // As an event would have it: making one checks it.
            do { _ = try Event(type: EventType("a"), source: text) } catch { throw self.error(at: path, "'\(text)': \(error.message)") }
            sources.append(text)
        }
        return sources
    }

    private func json(_ table: TOMLTable, at path: [String], depth: Int) throws(PluginError) -> JSONValue {
        var object = JSONObject()
        for key in table.keys.sorted() {
            guard let value = table[key] else { continue }
            object[key] = try json(value, at: path + [key], depth: depth)
        }
        return .object(object)
    }

    private func json(_ value: any TOMLValueConvertible, at path: [String], depth: Int) throws(PluginError) -> JSONValue {
        guard depth < Manifest.depthMax else {
            throw error(at: path, "\(path.prefix(3).joined(separator: "."))… is nested more than \(Manifest.depthMax) deep")
        }
        switch value.type {
        case .table: return try value.table.map { table throws(PluginError) in try json(table, at: path, depth: depth + 1) } ?? .null
        case .array:
            var elements: [JSONValue] = []
            if let array = value.array {
                for index in 0..<array.count { elements.append(try json(array[index], at: path, depth: depth + 1)) }
            }
            return .array(elements)
        case .string: return .string(value.string ?? "")
        case .int: return .integer(Int64(value.int ?? 0))
        case .bool: return .boolean(value.bool ?? false)
        case .double:
            guard let number = value.double, number.isFinite else {
                throw error(at: path, "\(path.joined(separator: ".")) is not a finite number, which JSON can't hold")
            }
            return .number(number)
        case .date, .time, .dateTime: return .string(value.debugDescription)
        }
    }

    // MARK: Errors

    private func refuseUnknown(_ table: TOMLTable, at path: [String], known: [String]) throws(PluginError) {
        for key in table.keys.sorted() where !known.contains(key) {
            let place = path.isEmpty ? "" : " in [\(path.joined(separator: "."))]"
            let hint =
                Suggestion.nearest(to: key, in: known).map { "did you mean '\($0)'?" } ?? "known here: \(known.joined(separator: ", "))"
            throw error(at: path + [key], "unknown key '\(key)'\(place)", hint: hint)
        }
    }

    private func wrongType(_ value: any TOMLValueConvertible, at path: [String], wanted: String) -> PluginError {
        error(at: path, "\(path.joined(separator: ".")) must be \(wanted), not \(article(value.type.description))")
    }

    private func error(at path: [String], _ message: String, hint: String? = nil) -> PluginError {
        let place = places[path]
        return PluginError(
            .badManifest, plugin: plugin, file: file, line: place?.line, column: place?.column, message: message, source: text, hint: hint)
    }
}

/// `"64MB"` as a count of bytes; units are powers of 1,024, with or without an `i`.
private func byteCount(_ text: String) -> Int? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let count = Int(digits) else { return nil }
    let units = ["": 0, "b": 0, "kb": 10, "kib": 10, "mb": 20, "mib": 20, "gb": 30, "gib": 30, "tb": 40, "tib": 40]
    guard let shift = units[text.dropFirst(digits.count).drop { $0 == " " }.lowercased()] else { return nil }
    let (product, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
    return overflow ? nil : product
}

private func article(_ noun: String) -> String { ("aeiou".contains(noun.first ?? "x") ? "an " : "a ") + noun }

private func firstLine(of text: String) -> String { String(text.prefix { $0 != "\n" }) }
