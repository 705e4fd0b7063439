import MoonbusEvents

/// The names that Moonbus gives to scripts: for "did you mean …?" when one is misspelt.
package enum LuaAPI {
    /// By table.
    static let members: [String: [String]] = [
        "bus": ["cron", "emit", "every", "reject", "request", "retry", "source", "subscribe"],
        "kv": ["delete", "get", "incr", "scan", "set"],
        "log": ["debug", "error", "info", "warn"],
        "json": ["array", "decode", "encode", "null"],
        "time": ["format", "now", "parse", "sleep"],
        "crypto": ["base64_decode", "base64_encode", "equal", "hex", "hmac", "sha256", "sha512", "uuid"],
    ]

    private static let tables = members.keys.sorted()

    /// What to do about an error of Lua's own that comes of a misspelt name of ours: `did you mean bus.subscribe?`
    ///
    /// Lua says the field that was not there, not of which table; that is looked up in the line. Where it can't be found, or the table is none
    /// of ours, there is no hint: a wrong one is worse.
    ///
    /// - Parameters:
    ///   - message: `attempt to call a nil value (field 'subscrbe')`, `attempt to index a nil value (global 'bsu')`.
    ///   - line: the line of the script that raised it.
    package static func hint(for message: String, raisedBy line: some StringProtocol) -> String? {
        if let name = name(in: message, behind: "attempt to index a nil value (global '") {
            return Suggestion.nearest(to: name, in: tables).map { "did you mean \($0)?" }
        }
        guard let name = name(in: message, behind: "attempt to call a nil value (field '"), let table = table(before: name, in: line),
            let known = members[table]
        else { return nil }
        if let meant = Suggestion.nearest(to: name, in: known) { return "did you mean \(table).\(meant)?" }
        return "\(table) has \(known.joined(separator: ", "))"
    }

    private static func name(in message: String, behind start: String) -> String? {
        guard let found = message.firstRange(of: start) else { return nil }
        return String(message[found.upperBound...].prefix { $0 != "'" })
    }

    /// `bus` in `local id = bus.emitt("a")`, looking for `emitt`.
    private static func table(before name: String, in line: some StringProtocol) -> String? {
        let line = String(line)
        for found in line.ranges(of: ".\(name)") {
            if let next = line[found.upperBound...].first, isOfAName(next) { continue }
            return String(line[..<found.lowerBound].reversed().prefix(while: isOfAName).reversed())
        }
        return nil
    }

    private static func isOfAName(_ character: Character) -> Bool {
        character == "_" || (character.isASCII && (character.isLetter || character.isNumber))
    }
}
