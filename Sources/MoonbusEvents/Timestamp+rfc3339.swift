// RFC 3339: 2026-11-23T10:44:07.250Z, 2026-11-23t11:44:07+01:00. Section 5.6 is the grammar; a space may stand for the T.

extension Timestamp: CustomStringConvertible {
    /// Reads an RFC 3339 instant.
    ///
    /// Fractions finer than a microsecond are cut off. A leap second (`23:59:60Z`) is the first instant of the next
    /// minute, as POSIX counts. `nil` for anything else that the grammar or the calendar does not allow.
    public init?(rfc3339 text: some StringProtocol) {
        guard let parsed = String(text).withUTF8Bytes({ Timestamp(rfc3339: $0) }) else { return nil }
        self = parsed
    }

    /// Reads an RFC 3339 instant from bytes.
    package init?(rfc3339 bytes: UnsafeRawBufferPointer) {
        var field = InstantReader(bytes: bytes)
        guard let year = field.number(digits: 4), field.skip("-"),
            let month = field.number(digits: 2), field.skip("-"),
            let day = field.number(digits: 2), field.skipSeparator(),
            let hour = field.number(digits: 2), field.skip(":"),
            let minute = field.number(digits: 2), field.skip(":"),
            let second = field.number(digits: 2),
            let fraction = field.fraction(), let offset = field.offsetMinutes(), field.isAtEnd
        else { return nil }
        guard (1...12).contains(month), (1...Civil.days(inMonth: month, year: year)).contains(day),
            hour < 24, minute < 60, second <= 60
        else { return nil }

        let minutes = Civil.days(year: year, month: month, day: day) * 1_440 + hour * 60 + minute - offset
        if second == 60 {
            // A leap second is always the last second of a UTC day.
            guard ((minutes % 1_440) + 1_440) % 1_440 == 1_439 else { return nil }
        }
        let instant = Timestamp(microseconds: Int64(minutes * 60 + second) * 1_000_000 + Int64(second == 60 ? 0 : fraction))
        guard (Timestamp.earliest...Timestamp.latest).contains(instant) else { return nil }
        self = instant
    }

    /// RFC 3339 in UTC with no, 3 or 6 digits of fraction, whichever is the fewest that say it all.
    ///
    /// Exact for the years 0000 to 9999; an instant outside of them is shown as the nearest one inside.
    public var description: String {
        String(unsafeUninitializedCapacity: 27) { buffer in
            write(rfc3339: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// The most bytes that ``write(rfc3339:)`` writes.
    package static let textSizeMax = 27

    /// Writes the text of ``description`` to the buffer's start and returns its size.
    ///
    /// - Parameter buffer: at least ``textSizeMax`` bytes.
    package func write(rfc3339 buffer: UnsafeMutableRawBufferPointer) -> Int {
        let clamped = min(max(self, .earliest), .latest).microseconds
        let seconds = Int((clamped - (clamped < 0 ? 999_999 : 0)) / 1_000_000)
        let fraction = Int(clamped - Int64(seconds) * 1_000_000)
        let day = (seconds - (seconds < 0 ? 86_399 : 0)) / 86_400
        let secondOfDay = seconds - day * 86_400
        let date = Civil.date(day: day)

        var writer = InstantWriter(buffer: buffer)
        writer.number(date.year, digits: 4, then: "-")
        writer.number(date.month, digits: 2, then: "-")
        writer.number(date.day, digits: 2, then: "T")
        writer.number(secondOfDay / 3_600, digits: 2, then: ":")
        writer.number(secondOfDay / 60 % 60, digits: 2, then: ":")
        if fraction == 0 {
            writer.number(secondOfDay % 60, digits: 2, then: "Z")
        } else {
            writer.number(secondOfDay % 60, digits: 2, then: ".")
            let milliseconds = fraction / 1_000
            let isWhole = milliseconds * 1_000 == fraction
            writer.number(isWhole ? milliseconds : fraction, digits: isWhole ? 3 : 6, then: "Z")
        }
        return writer.size
    }
}

/// The proleptic Gregorian calendar. Origin of the arithmetic: H. Hinnant, "chrono-compatible low-level date algorithms".
enum Civil {
    /// Days since 1970-01-01 of a date.
    static func days(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The date that lies that many days after 1970-01-01.
    static func date(day: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    /// How many days the month has, 28 to 31.
    static func days(inMonth month: Int, year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

private struct InstantReader {
    let bytes: UnsafeRawBufferPointer
    var index = 0

    var isAtEnd: Bool { index == bytes.count }

    mutating func digit() -> Int? {
        guard index < bytes.count, case let value = Int(bytes[index]) - 48, (0...9).contains(value) else { return nil }
        index += 1
        return value
    }

    mutating func number(digits: Int) -> Int? {
        var value = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard index < bytes.count, UInt32(bytes[index]) == character.value else { return false }
        index += 1
        return true
    }

    mutating func skipSeparator() -> Bool {
        skip("T") || skip("t") || skip(" ")
    }

    /// Microseconds; 0 when there is no fraction.
    mutating func fraction() -> Int? {
        guard skip(".") else { return 0 }
        guard var value = digit() else { return nil }
        var count = 1
        while let digit = digit() {
            if count < 6 { value = value * 10 + digit }
            count += 1
        }
        while count < 6 {
            value *= 10
            count += 1
        }
        return value
    }

    mutating func offsetMinutes() -> Int? {
        if skip("Z") || skip("z") { return 0 }
        let isEast = skip("+")
        guard isEast || skip("-"), let hours = number(digits: 2), hours < 24, skip(":"),
            let minutes = number(digits: 2), minutes < 60
        else { return nil }
        return (isEast ? 1 : -1) * (hours * 60 + minutes)
    }
}

private struct InstantWriter {
    let buffer: UnsafeMutableRawBufferPointer
    var size = 0

    mutating func number(_ value: Int, digits: Int, then character: Unicode.Scalar) {
        var rest = value
        for place in stride(from: size + digits - 1, through: size, by: -1) {
            buffer[place] = UInt8(48 + rest % 10)
            rest /= 10
        }
        buffer[size + digits] = UInt8(ascii: character)
        size += digits + 1
    }
}
