import MoonbusEvents

/// Where `moonbus emit` takes its events from: one value, or a file with one event a line.
enum EventInput {
    /// One event, as often as asked for.
    case single(JSON?, count: Int)
    case csv(ByteReader, CSVReader)
    case jsonLines(ByteReader, line: Int)

    /// The data of an event and the line that it came from.
    struct Item {
        var data: JSON?
        var line: Int
    }

    /// The next event's data; nil at the end.
    ///
    /// - Throws: ``CommandError`` 65 with file and line.
    mutating func next() throws -> Item? {
        switch self {
        case .single(let data, let count):
            guard count > 0 else { return nil }
            self = .single(data, count: count - 1)
            return Item(data: data, line: 1)
        case .csv(let bytes, var reader):
            let record = try reader.next()
            self = .csv(bytes, reader)
            return record.map { Item(data: $0.json(columns: reader.columns), line: $0.line) }
        case .jsonLines(let bytes, var line):
            while let text = try bytes.nextLine(limit: CSVReader.recordSizeMax) {
                line += 1
                self = .jsonLines(bytes, line: line)
                if text.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
                do throws(EventError) {
                    return Item(data: try JSON(validating: text), line: line)
                } catch {
                    throw CommandError(.badData, "\(bytes.name):\(line): \(error.message)")
                }
            }
            return nil
        }
    }

    /// How much of it is read, 0…1; nil when nobody knows.
    var fraction: Double? {
        switch self {
        case .single: nil
        case .csv(let bytes, _), .jsonLines(let bytes, _): bytes.total.map { $0 == 0 ? 1 : Double(bytes.position) / Double($0) }
        }
    }
}
