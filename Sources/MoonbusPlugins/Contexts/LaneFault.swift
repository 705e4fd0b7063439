import MoonbusEvents
import MoonbusJournal
import MoonbusLane

/// An error as a lane tells it: `{"message", "kind", "file", "line", "traceback"}`. A lane is not believed: what is missing or odd is left out.
struct LaneFault {
    private static let textSizeMax = 4 << 10

    let kind: Fault.Kind
    let message: String
    /// The path inside the plugin: `main.lua`, `lib/x.lua`.
    let file: String?
    let line: Int?
    let traceback: String?

    init(_ bytes: UnsafeRawBufferPointer) {
        let value = (try? JSON(validating: bytes, limits: JSONLimits(bytes: 64 << 10)))?.value
        kind = Fault.Kind(rawValue: value?["kind"]?.string ?? "") ?? .error
        message = Self.cut(value?["message"]?.string) ?? "the plugin failed without saying why"
        file = Self.cut(value?["file"]?.string)
        line = value?["line"]?.integer.flatMap { (1...10_000_000).contains($0) ? Int($0) : nil }
        traceback = Self.cut(value?["traceback"]?.string)
    }

    private static func cut(_ text: String?) -> String? {
        guard let text, !text.isEmpty else { return nil }
        return text.utf8.count <= textSizeMax ? text : String(decoding: text.utf8.prefix(textSizeMax), as: UTF8.self)
    }

    /// The fault of a delivery.
    func fault(of version: PluginVersion) -> Fault {
        let hint = hint(in: version).map { "; \($0)" } ?? ""
        return Fault(kind, message + hint, file: file.map { version.source.shownPath(of: $0) }, line: line, traceback: traceback)
    }

    /// The error of a load, with the source's lines.
    func error(of version: PluginVersion) -> PluginError {
        let code: PluginError.Code =
            switch kind {
            case .syntax: .syntax
            case .memory: .memory
            case .timeout, .killed: .timeout
            case .denied: .denied
            default: message.contains("denied: ") ? .denied : .raised
            }
        let path = file ?? "main.lua"
        return PluginError(
            code, plugin: version.plugin.name, file: version.source.shownPath(of: path), line: line,
            message: placeless(message, file: path),
            source: version.source.text(of: path), hint: hint(in: version))
    }

    /// "did you mean bus.subscribe?"
    private func hint(in version: PluginVersion) -> String? {
        guard kind == .error, message.hasPrefix("attempt to "), let line,
            let source = version.source.text(of: file ?? "main.lua")
        else { return nil }
        let lines = source.split(separator: "\n", maxSplits: line, omittingEmptySubsequences: false)
        return line <= lines.count ? LuaAPI.hint(for: message, raisedBy: lines[line - 1]) : nil
    }

    /// Lua puts `main.lua:12: ` in front of its errors; the place is told apart already.
    private func placeless(_ message: String, file: String) -> String {
        guard let line, message.hasPrefix("\(file):\(line): ") else { return message }
        return String(message.dropFirst("\(file):\(line): ".count))
    }
}
