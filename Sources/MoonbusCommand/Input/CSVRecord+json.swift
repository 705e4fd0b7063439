import MoonbusEvents

extension CSVReader.Record {
    /// The record as a JSON object: what looks like a JSON number is one, `true` and `false` are Booleans, an empty field is
    /// null, everything else is text. A number that would not survive (leading zeros, more digits than 64 bits hold) stays text:
    /// it is an identifier.
    func json(columns: [String]) -> JSON {
        var text = "{"
        for (name, field) in zip(columns, fields) {
            if text.utf8.count > 1 { text += "," }
            text += JSON(JSONValue.string(name)).text
            text += ":"
            text += Self.value(field)
        }
        return JSON(trusted: Array((text + "}").utf8))
    }

    private static func value(_ field: String) -> String {
        switch field {
        case "": return "null"
        case "true", "false": return field
        default: return isNumber(field) ? field : JSON(JSONValue.string(field)).text
        }
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`, and it means the same when it is read again.
    static func isNumber(_ field: String) -> Bool {
        var rest = Substring(field).utf8
        func digits() -> Int {
            let run = rest.prefix { (48...57).contains($0) }.count
            rest = rest.dropFirst(run)
            return run
        }
        if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
        let isZero = rest.first == UInt8(ascii: "0")
        let whole = digits()
        guard whole > 0, whole == 1 || !isZero else { return false }
        var isInteger = true
        var significant = whole
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            let fraction = digits()
            guard fraction > 0 else { return false }
            significant += fraction
            isInteger = false
        }
        if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
            guard digits() > 0 else { return false }
            isInteger = false
        }
        guard rest.isEmpty else { return false }
        return isInteger ? Int64(field) != nil : significant <= 17 && (Double(field)?.isFinite ?? false)
    }
}
