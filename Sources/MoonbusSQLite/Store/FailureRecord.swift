internal import MoonbusEvents
internal import MoonbusJournal

/// Failed runs as bytes: the field `failures` of strays and dead letters.
///
/// Little endian, no padding. u32 count; then for each one: i64 attempt, i64 time, i64 line (-1: none), and the texts kind, message, file and
/// traceback, each u32 size (0xFFFF_FFFF: absent) and UTF-8.
///
/// Not JSON: a hundred tracebacks would be longer than the journal's own JSON reader takes.
enum FailureRecord {
    static func encode(_ failures: [FailedAttempt]) -> [UInt8] {
        var bytes: [UInt8] = []
        func put<Number: FixedWidthInteger>(_ number: Number) { withUnsafeBytes(of: number.littleEndian) { bytes += $0 } }
        func put(_ text: String?) {
            guard let text else { return put(UInt32.max) }
            put(UInt32(text.utf8.count))
            bytes += text.utf8
        }
        put(UInt32(failures.count))
        for failure in failures {
            put(Int64(failure.attempt))
            put(failure.time.microseconds)
            put(Int64(failure.fault.line ?? -1))
            put(failure.fault.kind.rawValue)
            put(failure.fault.message)
            put(failure.fault.file)
            put(failure.fault.traceback)
        }
        return bytes
    }

    /// - Returns: nil if that is not what ``encode(_:)`` wrote.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> [FailedAttempt]? {
        var reader = Reader(bytes: bytes)
        guard let count = reader.number(UInt32.self) else { return nil }
        var failures: [FailedAttempt] = []
        for _ in 0..<count {
            guard let attempt = reader.number(Int64.self), let time = reader.number(Int64.self), let line = reader.number(Int64.self),
                case .some(.some(let kind)) = reader.text(), case .some(.some(let message)) = reader.text(), let file = reader.text(),
                let traceback = reader.text(), let kind = Fault.Kind(rawValue: kind)
            else { return nil }
            let fault = Fault(kind, message, file: file, line: line < 0 ? nil : Int(line), traceback: traceback)
            failures.append(FailedAttempt(attempt: Int(attempt), time: Timestamp(microseconds: time), fault: fault))
        }
        return reader.isAtEnd ? failures : nil
    }

    /// Reads the fields one after the other; nil where they end too early.
    private struct Reader {
        let bytes: UnsafeRawBufferPointer
        var offset = 0

        var isAtEnd: Bool { offset == bytes.count }

        mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) -> Number? {
            let size = MemoryLayout<Number>.size
            guard bytes.count - offset >= size else { return nil }
            defer { offset += size }
            return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
        }

        mutating func text() -> String?? {
            guard let size = number(UInt32.self) else { return nil }
            if size == .max { return .some(nil) }
            guard bytes.count - offset >= Int(size) else { return nil }
            defer { offset += Int(size) }
            return .some(String(decoding: bytes[offset..<offset + Int(size)], as: UTF8.self))
        }
    }
}
