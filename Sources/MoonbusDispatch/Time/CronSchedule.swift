internal import Foundation
package import MoonbusEvents

/// Times of day on calendar days, in a time zone: `minute hour day month weekday`.
///
/// | field | values | also |
/// |---|---|---|
/// | minute | 0-59 | each field: `*`, `a-b`, `a,b`, `*/n`, `a-b/n` |
/// | hour | 0-23 | |
/// | day of month | 1-31 | if both day fields are restricted, a day that matches one of them counts |
/// | month | 1-12 | `jan`-`dec` |
/// | weekday | 0-7 | 0 and 7 are Sunday, `sun`-`sat` |
///
/// or `@hourly`, `@daily` (`@midnight`), `@weekly`, `@monthly`, `@yearly` (`@annually`).
///
/// When the clocks go forward, times that are skipped fire once, at the first instant after the gap. When they go back, a time that comes
/// twice fires the first time only. A schedule that fires in every hour is not about the time of day: it keeps its rhythm through both.
/// (Origin: Debian's cron does the same.)
package struct CronSchedule: Sendable, Hashable, CustomStringConvertible {
    /// The schedule as it was written.
    package let text: String
    /// IANA name of its time zone.
    package let zoneName: String
    private let minutes: UInt64
    private let hours: UInt64
    private let days: UInt64
    private let months: UInt64
    private let weekdays: UInt64
    private let isDayRestricted: Bool
    private let isWeekdayRestricted: Bool
    private let zone: TimeZone

    /// Reads a schedule.
    ///
    /// - Parameter zone: an IANA name such as "Europe/Berlin"; nil: UTC.
    /// - Throws: ``CronError``, naming the field; also for a schedule that no date ever meets.
    package init(_ text: String, zone zoneName: String? = nil) throws(CronError) {
        self.text = text
        self.zoneName = zoneName ?? "UTC"
        guard let zone = TimeZone(identifier: self.zoneName) else {
            throw CronError("'\(self.zoneName)' is not a time zone; use an IANA name such as \"Europe/Berlin\"")
        }
        self.zone = zone
        let fields = try Self.fields(of: text)
        minutes = try CronField.minute.parse(fields[0])
        hours = try CronField.hour.parse(fields[1])
        days = try CronField.day.parse(fields[2])
        months = try CronField.month.parse(fields[3])
        let weekdays = try CronField.weekday.parse(fields[4])
        self.weekdays = (weekdays | weekdays >> 7) & 0x7F  // 7 is Sunday, too
        isDayRestricted = !fields[2].hasPrefix("*")
        isWeekdayRestricted = !fields[4].hasPrefix("*")
        guard (0..<Self.daysMax).contains(where: matches(day:)) else {
            throw CronError("'\(text)' never comes: no date meets day \(fields[2]) of month \(fields[3])")
        }
    }

    package var description: String { "\(text) (\(zoneName))" }

    /// Nine years: the longest way from one 29 February to the next is eight (1896 to 1904).
    private static let daysMax = 9 * 366

    /// The first time strictly after `time`; nil if there is none within the next nine years.
    package func next(after time: Timestamp) -> Timestamp? {
        let after = Int((Double(time.microseconds) / 1_000_000).rounded(.down))
        // From the day before: at a change of the clocks, a local time of yesterday may still be to come.
        let firstDay = floorDivide(after + offset(at: after), 86_400) - 1
        for day in firstDay...(firstDay + Self.daysMax) where matches(day: day) {
            if let found = firstInstant(on: day, after: after) { return Timestamp(microseconds: Int64(found) * 1_000_000) }
        }
        return nil
    }

    // MARK: Days

    private func matches(day: Int) -> Bool {
        let date = CivilDate(day: day)
        guard months & 1 << UInt64(date.month) != 0 else { return false }
        let matchesDay = days & 1 << UInt64(date.day) != 0
        let matchesWeekday = weekdays & 1 << UInt64(floorRemainder(day + 4, 7)) != 0  // day 0 was a Thursday
        return isDayRestricted && isWeekdayRestricted ? matchesDay || matchesWeekday : matchesDay && matchesWeekday
    }

    private func firstInstant(on day: Int, after: Int) -> Int? {
        let midnight = day * 86_400
        let before = offset(at: midnight - 86_400)
        let later = offset(at: midnight + 2 * 86_400)
        // Looked for once a day: each of a day's 1,440 minutes would look at the zone twenty times.
        let change = before == later ? 0 : change(between: midnight - 86_400, and: midnight + 2 * 86_400, from: before)
        var best: Int?
        for hour in 0..<24 where hours & 1 << UInt64(hour) != 0 {
            for minute in 0..<60 where minutes & 1 << UInt64(minute) != 0 {
                let local = midnight + hour * 3_600 + minute * 60
                if before == later {
                    if local - before > after { return local - before }
                    continue
                }
                for instant in instants(of: local, before: before, later: later, change: change) where instant > after {
                    best = min(best ?? .max, instant)
                }
            }
        }
        return best
    }

    // MARK: Changes of the clocks

    private var isHourly: Bool { hours == (1 << 24) - 1 }

    /// When a local time comes, around a change, at the instant `change`, from the offset `before` to the offset `later`.
    private func instants(of local: Int, before: Int, later: Int, change: Int) -> [Int] {
        let first = local - before
        let second = local - later
        let isBefore = first < change
        let isAfter = second >= change
        if isBefore && isAfter { return isHourly ? [first, second] : [first] }
        if isBefore { return [first] }
        if isAfter { return [second] }
        return isHourly ? [] : [change]
    }

    /// The first instant at which the offset is not `offset` any more.
    private func change(between start: Int, and end: Int, from offset: Int) -> Int {
        var (low, high) = (start, end)
        while low < high {
            let middle = low + (high - low) / 2
            if self.offset(at: middle) == offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func offset(at instant: Int) -> Int {
        zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant)))
    }

    private static func fields(of text: String) throws(CronError) -> [String] {
        let names = [
            "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
            "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
        ]
        let fields = (names[text.lowercased()] ?? text).split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        if text.hasPrefix("@"), names[text.lowercased()] == nil {
            throw CronError("'\(text)' is not a schedule; known are \(names.keys.sorted().joined(separator: ", "))")
        }
        guard fields.count == 5 else {
            throw CronError("'\(text)' has \(fields.count) fields; a schedule has five: minute hour day month weekday")
        }
        return fields
    }
}

/// Why a text is not a schedule.
package struct CronError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong, and what would be right.
    package let message: String

    init(_ message: String) {
        self.message = message
    }

    package var description: String { message }
}

/// One of the five fields: its range and its words.
private struct CronField {
    let name: String
    let range: ClosedRange<Int>
    var words: [String] = []

    static let minute = CronField(name: "minute", range: 0...59)
    static let hour = CronField(name: "hour", range: 0...23)
    static let day = CronField(name: "day", range: 1...31)
    static let month = CronField(
        name: "month", range: 1...12, words: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
    static let weekday = CronField(name: "weekday", range: 0...7, words: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"])

    /// The values as bits.
    func parse(_ text: String) throws(CronError) -> UInt64 {
        var bits: UInt64 = 0
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count <= 2, let rangeText = parts.first else { throw wrong(text) }
            let step = parts.count == 2 ? Int(parts[1]) : 1
            guard let step, step >= 1 else { throw wrong(text) }
            let values: ClosedRange<Int>
            if rangeText == "*" {
                // "*" of the weekday must not count Sunday twice when it has a step.
                values = range.lowerBound...(name == "weekday" ? 6 : range.upperBound)
            } else {
                let ends = rangeText.split(separator: "-", omittingEmptySubsequences: false)
                guard ends.count <= 2, let low = value(ends[0]),
                    let high = ends.count == 2 ? value(ends[1]) : (parts.count == 2 ? range.upperBound : low),
                    low <= high
                else { throw wrong(text) }
                values = low...high
            }
            for value in stride(from: values.lowerBound, through: values.upperBound, by: step) { bits |= 1 << UInt64(value) }
        }
        return bits
    }

    private func value(_ text: Substring) -> Int? {
        if let index = words.firstIndex(of: text.lowercased()) { return index + range.lowerBound }
        guard text.allSatisfy(\.isNumber), let value = Int(text), range.contains(value) else { return nil }
        return value
    }

    private func wrong(_ text: String) -> CronError {
        var hint = "\(range.lowerBound)-\(range.upperBound)"
        if let first = words.first, let last = words.last { hint += " or \(first)-\(last)" }
        return CronError("'\(text)' is not \(name == "hour" ? "an" : "a") \(name); use \(hint), with ranges a-b, lists a,b and steps */n")
    }
}

/// A date of the proleptic Gregorian calendar. Origin of the arithmetic: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
private struct CivilDate {
    let month: Int
    let day: Int

    /// The date of a day counted from 1970-01-01.
    init(day count: Int) {
        let shifted = count + 719_468  // days since 0000-03-01
        let dayOfEra = floorRemainder(shifted, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    }
}

private func floorDivide(_ number: Int, _ divisor: Int) -> Int {
    (number - floorRemainder(number, divisor)) / divisor
}

private func floorRemainder(_ number: Int, _ divisor: Int) -> Int {
    let remainder = number % divisor
    return remainder < 0 ? remainder + divisor : remainder
}
