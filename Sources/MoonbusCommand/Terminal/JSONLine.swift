import MoonbusEvents

/// One JSON object on one line: what `--json` prints.
///
///     JSONLine { $0.text("event", "ready").number("port", 7070) }.text
struct JSONLine {
    let text: String

    init(_ members: (Members) -> Void) {
        let writer = Members()
        members(writer)
        text = "{\(writer.text)}"
    }

    /// The members of an object that is being written. Each method returns the writer, so that calls can be chained.
    final class Members {
        fileprivate var text = ""

        private func name(_ name: String) {
            text += text.isEmpty ? "\"\(name)\":" : ",\"\(name)\":"
        }

        @discardableResult
        func text(_ key: String, _ value: String?) -> Members {
            guard let value else { return self }
            name(key)
            text += JSON(JSONValue.string(value)).text
            return self
        }

        @discardableResult
        func number(_ key: String, _ value: some BinaryInteger) -> Members {
            name(key)
            text += "\(value)"
            return self
        }

        @discardableResult
        func number(_ key: String, _ value: Double) -> Members {
            name(key)
            text += value.isFinite ? "\((value * 1_000).rounded() / 1_000)" : "null"
            return self
        }

        @discardableResult
        func flag(_ key: String, _ value: Bool) -> Members {
            name(key)
            text += value ? "true" : "false"
            return self
        }

        @discardableResult
        func texts(_ key: String, _ values: [String]) -> Members {
            name(key)
            text += "[\(values.map { JSON(JSONValue.string($0)).text }.joined(separator: ","))]"
            return self
        }

        /// A value that is JSON already, on one line.
        @discardableResult
        func json(_ key: String, _ value: String) -> Members {
            name(key)
            text += value
            return self
        }

        @discardableResult
        func object(_ key: String, _ members: (Members) -> Void) -> Members {
            name(key)
            text += JSONLine(members).text
            return self
        }
    }
}
