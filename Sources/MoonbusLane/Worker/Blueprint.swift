import MoonbusEvents

/// All that a context is made of: its own copy of a `load` frame, kept so that the context can be made again after a hard kill.
final class Blueprint {
    struct File {
        let path: String
        let bytes: [UInt8]

        /// What `require` calls it: `lib/a/b.lua` is `a.b`. Nil for `main.lua` and for what is no module.
        var module: String? {
            guard path.hasPrefix("lib/"), path.hasSuffix(".lua") else { return nil }
            return String(path.dropFirst(4).dropLast(4)).split(separator: "/", omittingEmptySubsequences: false).joined(separator: ".")
        }
    }

    /// What the host wants of the context.
    struct Settings {
        var plugin = ""
        /// 0: the shim's default.
        var memorySize = 0
        /// Microseconds; 0: the shim's default.
        var cpuLimit: UInt64 = 0
        var config: JSON?
        /// Nil: no restriction.
        var emit: [EventPattern]?
        var subscribe: [EventPattern]?
        /// What its events may have as a source, its own first; one that ends with `*` permits all that begin so. Nil: no restriction.
        var sources: [String]?
        /// What errors call `main.lua`: the file of a plugin that is one file.
        var main = Blueprint.main
        /// Only compiles and loads, then is gone.
        var isCheck = false
    }

    static let main = "main.lua"

    let context: UInt32
    let settings: Settings
    let files: [File]

    /// - Throws: what is wrong with the header, or that `main.lua` is missing: a mistake of the host.
    init(_ frame: LoadFrame) throws(FrameError) {
        context = frame.context
        files = frame.files.map { File(path: $0.path, bytes: Array($0.bytes)) }
        guard files.contains(where: { $0.path == Self.main }) else { throw FrameError(.badValue, "no main.lua among the files to load") }
        settings = try Settings(frame.header)
    }

    var mainFile: File { files.first { $0.path == Self.main } ?? File(path: Self.main, bytes: []) }
}

extension Blueprint.Settings {
    init(_ header: UnsafeRawBufferPointer) throws(FrameError) {
        let json: JSON
        do { json = try JSON(validating: header) } catch { throw FrameError(.badText, "load header: \(error)") }
        guard let object = json.value.object else { throw FrameError(.badValue, "the load header is not an object") }
        plugin = object["plugin"]?.string ?? ""
        memorySize = Int(object["memory_bytes"]?.integer ?? 0)
        cpuLimit = UInt64(clamping: object["cpu_us"]?.integer ?? 0)
        config = object["config"].map { JSON($0) }
        emit = try Self.patterns(object["emit"])
        subscribe = try Self.patterns(object["subscribe"])
        sources = try Self.texts(object["sources"])
        main = object["main"]?.string ?? main
        isCheck = object["check"]?.boolean ?? false
    }

    private static func texts(_ value: JSONValue?) throws(FrameError) -> [String]? {
        guard let value, !value.isNull else { return nil }
        guard let elements = value.array else { throw FrameError(.badValue, "permissions in the load header are not a list") }
        return elements.map { $0.string ?? "" }
    }

    private static func patterns(_ value: JSONValue?) throws(FrameError) -> [EventPattern]? {
        guard let texts = try texts(value) else { return nil }
        var patterns: [EventPattern] = []
        for text in texts {
            do { patterns.append(try EventPattern(text)) } catch { throw FrameError(.badValue, "load header: \(error)") }
        }
        return patterns
    }
}
