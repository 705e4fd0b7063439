import Glibc
import MoonbusEvents
import TOMLKit

extension Settings {
    /// Reads `moonbus.toml`.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - isOptional: whether it may be missing: the default file may, one that was asked for may not.
    /// - Throws: ``CommandError`` 78 with line and column for what is no TOML, an unknown key (with the nearest one) or a wrong type.
    static func fileLayer(path: String, isOptional: Bool) throws -> Layer {
        if isOptional, access(path, F_OK) != 0 { return Layer() }
        let text: String
        do {
            text = String(decoding: try ByteReader(path: path).rest(limit: 64 << 10), as: UTF8.self)
        } catch let error as CommandError {
            throw CommandError(.badSettings, error.message)
        }
        let root: TOMLTable
        do {
            root = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            let reason = error.description.split(separator: "\n").first.map(String.init) ?? "not TOML"
            throw CommandError(.badSettings, "\(path):\(error.source.begin.line):\(error.source.begin.column): \(reason)")
        }
        var layer = Layer()
        for (key, value) in flattened(root) {
            let origin = "\(path)\(line(of: key, in: text).map { ":\($0)" } ?? ""): \(key)"
            guard keys.contains(key) else {
                let hint = nearest(to: key).map { "; did you mean \"\($0)\"?" } ?? ": there are \(keys.joined(separator: ", "))"
                throw CommandError(.badSettings, "\(origin) is not a setting\(hint)")
            }
            guard let text = plain(value) else { throw CommandError(.badSettings, "\(origin) has a value of the wrong type") }
            layer.set(key, text, origin: origin)
        }
        return layer
    }

    /// The keys with dots: `http.port`.
    private static func flattened(_ table: TOMLTable, prefix: String = "") -> [(String, any TOMLValueConvertible)] {
        table.keys.sorted().flatMap { key -> [(String, any TOMLValueConvertible)] in
            guard let value = table[key] else { return [] }
            return value.table.map { flattened($0, prefix: "\(prefix)\(key).") } ?? [(prefix + key, value)]
        }
    }

    private static func plain(_ value: any TOMLValueConvertible) -> String? {
        if let text = value.string { return text }
        if let number = value.int { return "\(number)" }
        guard let array = value.array else { return nil }
        let texts = array.map { $0.string }
        return texts.contains { $0 == nil } ? nil : texts.compactMap { $0 }.joined(separator: ",")
    }

    /// The line of a key; TOMLKit doesn't say it. Nil when the key is written in an unusual way.
    private static func line(of key: String, in text: String) -> Int? {
        var table = ""
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let bare = line.filter { $0 != " " && $0 != "\t" && $0 != "\r" }
            if bare.hasPrefix("["), let end = bare.firstIndex(of: "]") {
                table = bare[bare.index(after: bare.startIndex)..<end] + "."
            } else if let equals = bare.firstIndex(of: "="), table + bare[..<equals] == key {
                return index + 1
            }
        }
        return nil
    }
}
