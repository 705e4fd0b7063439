/// Where the keys of a TOML text stand.
///
/// TOMLKit tells the place of a syntax error but not that of a value, so the text is looked through a second time, once it
/// is known to be valid. Keys inside inline tables and arrays are placed at the key that holds them.
struct TOMLPlaces {
    struct Place: Equatable {
        /// From 1.
        var line: Int
        /// In characters, from 1.
        var column: Int
    }

    private var places: [[String]: Place] = [:]

    init(_ text: String) {
        var table: [String] = []
        var openString: String?  // the delimiter of a multi-line string that is still open
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if let delimiter = openString {
                if line.occurrences(of: delimiter) % 2 == 1 { openString = nil }
                continue
            }
            let indent = line.prefix { $0 == " " || $0 == "\t" }
            var rest = line.dropFirst(indent.count)
            let place = Place(line: index + 1, column: indent.count + 1)
            if rest.first == "[" {
                while rest.first == "[" { rest = rest.dropFirst() }
                guard let path = Self.keyPath(&rest) else { continue }
                table = path
                places[path] = places[path] ?? place
            } else if let path = Self.keyPath(&rest), rest.first == "=" {
                places[table + path] = place
                for delimiter in ["\"\"\"", "'''"] where rest.occurrences(of: delimiter) % 2 == 1 { openString = delimiter }
            }
        }
    }

    /// The place of a key, or of the closest table or key around it.
    subscript(path: [String]) -> Place? {
        var path = path
        while !path.isEmpty {
            if let place = places[path] { return place }
            path.removeLast()
        }
        return nil
    }

    /// Takes a dotted key and the blanks after it from the front of `rest`; nil when there is none.
    private static func keyPath(_ rest: inout Substring) -> [String]? {
        var path: [String] = []
        while true {
            rest = rest.drop { $0 == " " || $0 == "\t" }
            guard let part = keyPart(&rest) else { return nil }
            path.append(part)
            rest = rest.drop { $0 == " " || $0 == "\t" }
            guard rest.first == "." else { return path }
            rest = rest.dropFirst()
        }
    }

    private static func keyPart(_ rest: inout Substring) -> String? {
        if let quote = rest.first, quote == "\"" || quote == "'" {
            guard let close = rest.dropFirst().firstIndex(of: quote) else { return nil }
            defer { rest = rest[rest.index(after: close)...] }
            return String(rest[rest.index(after: rest.startIndex)..<close])
        }
        let bare = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }
        guard !bare.isEmpty else { return nil }
        rest = rest.dropFirst(bare.count)
        return String(bare)
    }
}

extension Substring {
    fileprivate func occurrences(of word: String) -> Int {
        var count = 0
        var rest = self
        while !rest.isEmpty {
            if rest.hasPrefix(word) {
                count += 1
                rest = rest.dropFirst(word.count)
            } else {
                rest = rest.dropFirst()
            }
        }
        return count
    }
}
