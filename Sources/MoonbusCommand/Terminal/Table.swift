/// Rows in columns: for a person on a terminal, and for `cut` and `awk` when piped.
struct Table {
    private let head: [String]
    private var rows: [[String]] = []

    init(_ head: String...) { self.head = head }

    /// Adds a row; what is from elsewhere is made printable here.
    mutating func add(_ cells: String...) {
        rows.append(cells.map { printable($0).replacing("\n", with: " ").replacing("\t", with: " ") })
    }

    /// Prints it. On a terminal each line is as long as the terminal is wide at most; piped, nothing is cut.
    func print(to terminal: Terminal) {
        let all = [head] + rows
        let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        for (index, row) in all.enumerated() {
            var line = ""
            for (column, cell) in row.enumerated() {
                let isLast = column == row.count - 1
                line += isLast ? cell : cell + String(repeating: " ", count: widths[column] - cell.count + 2)
            }
            if terminal.isInteractive, line.count > terminal.width { line = line.prefix(terminal.width - 1) + "…" }
            terminal.print(index == 0 ? terminal.paint(.dim, line) : line)
        }
    }
}
