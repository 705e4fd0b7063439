import MoonbusEvents

/// Rows in columns: for a person on a terminal, and for `cut` and `awk` when piped.
///
///     var table = Table(.name("ID"), .time("DIED"), .word("TYPE"), .rest("ERROR"))
struct Table {
    /// A column, and what happens to it where a terminal is too narrow. The last one is not filled up with spaces.
    enum Column {
        /// What other commands ask for: never cut.
        case name(String)
        /// A point in time. On a terminal the clock alone if it is of today, and otherwise the minute, or the date if it is of another year; UTC.
        case time(String)
        /// Gives way first, down to ``Table/wordMin`` columns.
        case word(String)
        /// Gets what the others leave, and at least ``Table/restMin`` columns: then lines are longer than the terminal is wide.
        case rest(String)

        var head: String {
            switch self {
            case .name(let head), .time(let head), .word(let head), .rest(let head): head
            }
        }
    }

    private static let wordMin = 6
    private static let restMin = 20
    private static let gap = 2
    /// A longer name moves the rest of its own line only.
    private static let nameMax = 40

    private let columns: [Column]
    private var rows: [[String]] = []

    init(_ columns: Column...) { self.columns = columns }

    /// Adds a row; what is from elsewhere is made printable here.
    mutating func add(_ cells: String...) {
        rows.append(cells.map { printable($0).replacing("\n", with: " ").replacing("\t", with: " ") })
    }

    /// Prints it. On a terminal it is made to fit; piped, nothing is cut.
    func print(to terminal: Terminal) {
        let lines = terminal.isInteractive ? lines(width: terminal.width, now: .now()) : lines()
        for (index, line) in lines.enumerated() { terminal.print(index == 0 ? terminal.paint(.dim, line) : line) }
    }

    /// The head and the rows, with nothing cut.
    func lines() -> [String] {
        let all = [columns.map(\.head)] + rows
        return all.map { line($0, Self.widths(all)) }
    }

    /// The head and the rows, made to fit.
    func lines(width: Int, now: Timestamp) -> [String] {
        let today = now.description
        let shown = rows.map { row in
            zip(columns, row).map { column, cell in if case .time = column { Self.clock(cell, today: today) } else { cell } }
        }
        let all = [columns.map(\.head)] + shown
        var widths = Self.widths(all)
        for (index, column) in columns.enumerated() {
            if case .name = column { widths[index] = min(widths[index], max(Self.nameMax, column.head.count)) }
        }
        let last = columns.count - 1
        var isLastRest = false
        if case .rest? = columns.last { isLastRest = true }
        let wanted = isLastRest ? min(widths[last], Self.restMin) : 0
        var excess = widths.dropLast().reduce(wanted) { $0 + $1 + Self.gap } - width
        // The widest word first: two long ones share the loss.
        while excess > 0 {
            let words = columns.indices.filter { if case .word = columns[$0] { widths[$0] > Self.wordMin } else { false } }
            guard let widest = words.max(by: { widths[$0] < widths[$1] }) else { break }
            widths[widest] -= 1
            excess -= 1
        }
        if isLastRest { widths[last] = max(Self.restMin, width - widths.dropLast().reduce(0) { $0 + $1 + Self.gap }) }
        return all.map { row in
            let cells = zip(columns, row).enumerated().map { index, pair in
                switch pair.0 {
                case .name, .time: pair.1
                case .word, .rest: pair.1.count > widths[index] ? pair.1.prefix(widths[index] - 1) + "…" : pair.1
                }
            }
            return line(cells, widths)
        }
    }

    private func line(_ cells: [String], _ widths: [Int]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            let space = index == cells.count - 1 ? 0 : max(0, widths[index] - cell.count) + Self.gap
            line += cell + String(repeating: " ", count: space)
        }
        return line
    }

    private static func widths(_ rows: [[String]]) -> [Int] {
        (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    }

    /// `2026-11-28T22:14:19.123456Z` as `22:14:19`, `11-27 22:14` or `2025-11-27`; what is no time as it is.
    private static func clock(_ time: String, today: String) -> String {
        guard time.utf8.count >= 20, Timestamp(rfc3339: time) != nil else { return time }
        if time.prefix(10) == today.prefix(10) { return String(time.dropFirst(11).prefix(8)) }
        if time.prefix(4) == today.prefix(4) { return "\(time.dropFirst(5).prefix(5)) \(time.dropFirst(11).prefix(5))" }
        return String(time.prefix(10))
    }
}
