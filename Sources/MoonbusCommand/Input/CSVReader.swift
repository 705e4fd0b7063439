/// Reads CSV as RFC 4180 describes it, one record at a time.
///
/// The first record names the columns. Fields may be quoted; in quotes, `""` is a quote, and commas and line ends are text.
/// Lines end with LF or CRLF; a byte order mark and empty lines are passed over.
///
/// Our own, because the packages at hand load the whole file and its dictionary of rows first: a recording of a year is emitted
/// with the memory of one line, and `tail -f | moonbus emit` works.
struct CSVReader {
    /// The most bytes of a record.
    static let recordSizeMax = 1 << 20

    private let reader: ByteReader
    private var line = 1
    private var pushedBack: UInt8?
    /// The names of the columns.
    private(set) var columns: [String] = []

    /// - Throws: ``CommandError`` 65 for a file without a header, or with a column that is there twice or has no name.
    init(_ reader: ByteReader) throws {
        self.reader = reader
        guard var header = try record()?.fields else {
            throw CommandError(.badData, "\(reader.name) is empty: the first line must name the columns")
        }
        if let first = header.first, first.unicodeScalars.first == "\u{FEFF}" { header[0] = String(first.unicodeScalars.dropFirst()) }
        columns = header
        for (index, name) in header.enumerated() {
            guard !name.isEmpty else { throw CommandError(.badData, "\(reader.name):1: column \(index + 1) has no name") }
            guard header.firstIndex(of: name) == index else {
                throw CommandError(.badData, "\(reader.name):1: column '\(name)' is there twice")
            }
        }
    }

    /// One record and the line that it begins on.
    struct Record: Equatable {
        var line: Int
        var fields: [String]
    }

    /// The next record; nil at the end.
    ///
    /// - Throws: ``CommandError`` 65 with the line, for a record with more or fewer fields than columns, or a broken quote.
    mutating func next() throws -> Record? {
        guard let record = try record() else { return nil }
        guard record.fields.count == columns.count else {
            throw CommandError(
                .badData, "\(reader.name):\(record.line): \(counted(record.fields.count, "field")) for \(counted(columns.count, "column"))")
        }
        return record
    }

    private mutating func record() throws -> Record? {
        var fields: [String] = []
        var field: [UInt8] = []
        var size = 0
        var begin = line
        var wasQuoted = false
        while let byte = try take() {
            size += 1
            guard size <= Self.recordSizeMax else {
                throw CommandError(.badData, "\(reader.name):\(begin): a record of more than 1 MiB: is a quote missing?")
            }
            switch byte {
            case UInt8(ascii: "\""):
                guard field.isEmpty, !wasQuoted else {
                    throw CommandError(.badData, "\(reader.name):\(line): a quote inside a field that is not quoted")
                }
                field = try quoted()
                wasQuoted = true
            case UInt8(ascii: ","):
                fields.append(try text(field))
                (field, wasQuoted) = ([], false)
            case 0x0D, 0x0A:
                if byte == 0x0D, let after = try take(), after != 0x0A { pushedBack = after }
                line += 1
                if fields.isEmpty, field.isEmpty, !wasQuoted {
                    begin = line
                    continue
                }
                return Record(line: begin, fields: fields + [try text(field)])
            default:
                guard !wasQuoted else { throw CommandError(.badData, "\(reader.name):\(line): text after a closing quote") }
                field.append(byte)
            }
        }
        return fields.isEmpty && field.isEmpty && !wasQuoted ? nil : Record(line: begin, fields: fields + [try text(field)])
    }

    /// The rest of a quoted field, its closing quote included.
    private mutating func quoted() throws -> [UInt8] {
        let begin = line
        var field: [UInt8] = []
        while let byte = try take() {
            if byte == UInt8(ascii: "\"") {
                guard let after = try take() else { return field }
                if after != UInt8(ascii: "\"") {
                    pushedBack = after
                    return field
                }
            } else if byte == 0x0A {
                line += 1
            }
            field.append(byte)
            guard field.count <= Self.recordSizeMax else { break }
        }
        throw CommandError(.badData, "\(reader.name):\(begin): a quote is opened and not closed")
    }

    private func text(_ bytes: [UInt8]) throws -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw CommandError(.badData, "\(reader.name):\(line): not UTF-8") }
        return text
    }

    private mutating func take() throws -> UInt8? {
        if let byte = pushedBack {
            pushedBack = nil
            return byte
        }
        return try reader.nextByte()
    }
}
