/// A few lines of a source file around the one that is to blame.
public struct SourceExcerpt: Sendable, Hashable {
    /// How many lines are shown before and after the one that is to blame.
    static let context = 2
    /// Longer lines are cut: an excerpt must stay readable for minified code, too.
    static let widthMax = 160

    /// The number of the first line shown, from 1.
    public let firstLine: Int
    /// The lines, without their ends; tabs are four spaces, control characters replaced.
    public let lines: [String]
    /// The number of the line that is to blame.
    public let line: Int
    /// The column that is to blame, in characters of the file's line, from 1.
    public let column: Int?

    /// Tabs at the start of the line that is to blame: shown four columns wide each.
    private let leadingTabs: Int

    /// Cuts the excerpt out; nil when `source` has no such line.
    ///
    /// - Parameter culprit: a word of the line; when no column is given and the word is on the line just once, that is the column.
    init?(of source: String, around line: Int, column: Int? = nil, culprit: String? = nil) {
        let all = source.split(separator: "\n", omittingEmptySubsequences: false)
        guard line >= 1, line <= all.count else { return nil }
        let first = max(1, line - Self.context)
        var last = min(all.count, line + Self.context)
        if last == all.count, last > line, all[last - 1].isEmpty { last -= 1 }  // the file's closing newline is no line
        self.firstLine = first
        self.line = line
        self.lines = all[(first - 1)..<last].map { shown($0) }
        let blamed = all[line - 1]
        self.leadingTabs = blamed.prefix { $0 == "\t" }.count
        self.column = column ?? culprit.flatMap { onlyOccurrence(of: $0, in: blamed) }
    }

    /// The excerpt's lines with numbers, a `>` before the one to blame and a `^` under its column.
    func render(color: Bool) -> [String] {
        let paint = Paint(on: color)
        let width = String(firstLine + lines.count - 1).count
        var result: [String] = []
        for (offset, text) in lines.enumerated() {
            let number = String(firstLine + offset)
            let gutter = String(repeating: " ", count: width - number.count) + number
            guard firstLine + offset == line else {
                result.append("  \(paint.dim("\(gutter) │")) \(text)")
                continue
            }
            result.append("\(paint.red(">")) \(paint.bold(gutter)) \(paint.dim("│")) \(text)")
            if let column, let indent = shownColumn(column, of: text) {
                result.append(
                    "  \(String(repeating: " ", count: width)) \(paint.dim("│")) \(String(repeating: " ", count: indent))\(paint.red("^"))")
            }
        }
        return result
    }

    /// Where a column of the file's line is in the shown line, from 0; nil when it was cut off. Tabs count at the line's start only,
    /// where they usually are.
    private func shownColumn(_ column: Int, of text: String) -> Int? {
        let tabs = leadingTabs
        let indent = column > tabs ? column - 1 + tabs * 3 : (column - 1) * 4
        return indent <= min(text.count, Self.widthMax) ? indent : nil
    }
}

private func shown(_ line: Substring) -> String {
    let spread = line.split(separator: "\t", omittingEmptySubsequences: false).joined(separator: "    ")
    let text = clean(spread.hasSuffix("\r") ? String(spread.dropLast()) : spread)
    return text.count <= SourceExcerpt.widthMax ? text : text.prefix(SourceExcerpt.widthMax - 1) + "…"
}

/// The column (from 1) of a word that stands on the line exactly once.
private func onlyOccurrence(of word: String, in line: Substring) -> Int? {
    let characters = Array(line), wanted = Array(word)
    guard !wanted.isEmpty, characters.count >= wanted.count else { return nil }
    var found: Int?
    for start in 0...(characters.count - wanted.count) where characters[start..<(start + wanted.count)].elementsEqual(wanted) {
        if found != nil { return nil }
        found = start + 1
    }
    return found
}
