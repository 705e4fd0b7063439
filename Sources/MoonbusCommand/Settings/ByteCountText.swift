/// Numbers of bytes as people write them: `4096`, `500MiB`, `4GiB`.
enum ByteCountText {
    private static let units: [(name: String, size: Int)] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]

    /// Reads a number of bytes; nil when it is none, or past 2^62.
    static func parse(_ text: String) -> Int? {
        let unit = units.first { text.hasSuffix($0.name) }
        let digits = text.dropLast(unit?.name.count ?? 0)
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int(digits) else { return nil }
        let (size, overflow) = number.multipliedReportingOverflow(by: unit?.size ?? 1)
        return overflow || size > 1 << 62 ? nil : size
    }

    /// Writes a number of bytes with the largest unit that says it exactly.
    static func format(_ count: Int) -> String {
        guard let unit = units.first(where: { count >= $0.size && count % $0.size == 0 }) else { return "\(count) bytes" }
        return "\(count / unit.size) \(unit.name)"
    }
}
