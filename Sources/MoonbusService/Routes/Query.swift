import MoonbusEvents

/// The parameters of a request target. A parameter that nobody takes is refused: a misspelt `?wiat=2s` must not be ignored.
struct Query {
    private var parameters: [(name: String, value: String)] = []
    private var known: [String] = []

    /// - Throws: ``Problem`` 400 when it is not percent-encoded UTF-8, or names a parameter twice.
    init(_ text: Substring) throws(Problem) {
        for pair in text.split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = percentDecoded(halves[0], plusIsSpace: true),
                let value = percentDecoded(halves.count == 2 ? halves[1] : "", plusIsSpace: true)
            else { throw Problem(.badTarget, "'\(pair.prefix(100))' in the query is not percent-encoded UTF-8") }
            guard !parameters.contains(where: { $0.name == name }) else { throw Problem(.badQuery, "'\(name)' is there twice") }
            parameters.append((name, value))
        }
    }

    /// The value of a parameter; nil when it is absent.
    mutating func take(_ name: String) -> String? {
        known.append(name)
        guard let index = parameters.firstIndex(where: { $0.name == name }) else { return nil }
        return parameters.remove(at: index).value
    }

    /// A duration such as `2s`.
    mutating func duration(_ name: String, upTo limit: Duration) throws(Problem) -> Duration? {
        guard let text = take(name) else { return nil }
        do throws(EventError) {
            let duration = try DurationText.parse(text)
            guard duration <= limit else { throw EventError(.badDuration, "it is more than \(DurationText.format(limit))") }
            return duration
        } catch {
            throw Problem(
                .badQuery, "\(name): \(error.message)", remedy: "use a duration up to \(DurationText.format(limit)), like \(name)=2s")
        }
    }

    /// A pattern of event types; `>` when it is absent.
    mutating func pattern(_ name: String) throws(Problem) -> EventPattern {
        do throws(EventError) {
            return try EventPattern(take(name) ?? ">")
        } catch {
            throw Problem(.badQuery, "\(name): \(error.message)", remedy: "use a pattern like orders.* or orders.>")
        }
    }

    /// A point in time, or how long ago it was.
    mutating func time(_ name: String) throws(Problem) -> Timestamp? {
        guard let text = take(name) else { return nil }
        if let time = Self.time(text) { return time }
        throw Problem(.badQuery, "\(name)=\(text.prefix(100)) is no time", remedy: Self.timeRemedy)
    }

    static let timeRemedy = "use a time like 2026-07-01T12:00:00Z, or how long ago, like 1h"

    static func time(_ text: String) -> Timestamp? {
        Timestamp(rfc3339: text) ?? (try? DurationText.parse(text)).map { .now() - $0 }
    }

    /// A position in the log.
    mutating func position(_ name: String) throws(Problem) -> UInt64? {
        guard let text = take(name) else { return nil }
        guard let position = UInt64(text), position <= UInt64(Int64.max) else {
            throw Problem(.badQuery, "\(name)=\(text.prefix(100)) is no position", remedy: "use the `next` of an answer")
        }
        return position
    }

    /// A number within bounds.
    mutating func count(_ name: String, _ range: ClosedRange<Int>) throws(Problem) -> Int? {
        guard let text = take(name) else { return nil }
        guard let count = Int(text), range.contains(count) else {
            throw Problem(.badQuery, "\(name)=\(text) is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return count
    }

    /// Refuses what was not taken.
    func finish() throws(Problem) {
        guard let stranger = parameters.first else { return }
        let names = known.isEmpty ? "this path takes no parameters" : "this path takes \(known.joined(separator: ", "))"
        throw Problem(.badQuery, "'\(stranger.name.prefix(100))' is not a parameter of this path", remedy: names)
    }
}

/// Decodes `%41` and, in a query, `+`; nil when what comes out is not UTF-8 or a `%` is not followed by two hex digits.
func percentDecoded(_ text: Substring, plusIsSpace: Bool) -> String? {
    let isPlain = !text.utf8.contains { $0 == UInt8(ascii: "%") || (plusIsSpace && $0 == UInt8(ascii: "+")) }
    if isPlain { return String(text) }
    var bytes: [UInt8] = []
    var rest = text.utf8
    while let byte = rest.popFirst() {
        switch byte {
        case UInt8(ascii: "%"):
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else { return nil }
            bytes.append(high << 4 | low)
        case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
        default: bytes.append(byte)
        }
    }
    return String(validating: bytes, as: UTF8.self)
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 65...70: byte - 55
    case 97...102: byte - 87
    default: nil
    }
}
