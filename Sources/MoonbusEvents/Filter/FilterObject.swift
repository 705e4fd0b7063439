internal import Glibc

/// What is asked of one key.
indirect enum FilterTest: Sendable {
    /// The value (or an element of it) is one of these.
    case value([FilterCondition])
    /// The value (or an element of it) is an object that matches.
    case object(FilterObject)

    /// Whether a key that is not there passes.
    var acceptsAbsence: Bool {
        switch self {
        case .value(let conditions): conditions.contains { $0.acceptsAbsence }
        case .object(let object): object.acceptsAbsence
        }
    }
}

/// What is asked of an object: of each of its keys, and one of each group of alternatives.
struct FilterObject: Sendable {
    struct Field: Sendable {
        var key: [UInt8]
        var test: FilterTest
        var acceptsAbsence: Bool
    }

    /// One bit of a word for each field tells whether it was seen.
    static let fieldCountMax = 64

    var fields: [Field] = []
    /// Of each group (`$or`) at least one object must match.
    var groups: [[FilterObject]] = []

    /// Whether an object without any key passes.
    var acceptsAbsence: Bool {
        fields.allSatisfy(\.acceptsAbsence) && groups.allSatisfy { $0.contains { $0.acceptsAbsence } }
    }
}

// MARK: Over JSON

extension FilterTest {
    /// Whether a value passes.
    func matches(_ json: UnsafeRawBufferPointer) -> Bool {
        var reader = JSONReader(json)
        let first = reader.peek()
        if first == UInt8(ascii: "[") {
            // `exists` asks for the array, not for its elements: an empty one exists.
            if case .value(let conditions) = self, acceptsPresence(conditions) { return true }
            return reader.anyElement { matches($0) }
        }
        switch self {
        case .object(let object): return first == UInt8(ascii: "{") && object.matches(json)
        case .value(let conditions):
            if first == UInt8(ascii: "{") { return acceptsPresence(conditions) }
            return FilterScalar.read(&reader) { scalar in conditions.contains { $0.matches(scalar) } }
        }
    }

    private func acceptsPresence(_ conditions: [FilterCondition]) -> Bool {
        conditions.contains { if case .exists(true) = $0 { true } else { false } }
    }
}

extension FilterObject {
    /// Whether an object passes.
    func matches(_ json: UnsafeRawBufferPointer) -> Bool {
        var seen: UInt64 = 0
        var isRefused = false
        var reader = JSONReader(json)
        _ = reader.take("{")
        if !reader.take("}") {
            repeat {
                let index = index(ofKeyIn: &reader)
                _ = reader.take(":")
                if let index {
                    seen |= 1 << UInt64(index)
                    isRefused = !fields[index].test.matches(reader.span())
                } else {
                    reader.skipValue()
                }
            } while !isRefused && reader.next(before: "}")
        }
        if isRefused { return false }
        for index in fields.indices where seen & 1 << UInt64(index) == 0 && !fields[index].acceptsAbsence { return false }
        return groups.allSatisfy { $0.contains { $0.matches(json) } }
    }

    private func index(ofKeyIn reader: inout JSONReader) -> Int? {
        let (key, isEscaped) = reader.rawString()
        if isEscaped {
            var decoded: [UInt8] = []
            JSONReader.unescape(key, into: &decoded)
            return fields.firstIndex { $0.key == decoded }
        }
        return fields.firstIndex { field in
            field.key.count == key.count
                && field.key.withUnsafeBytes { left in
                    guard let first = left.baseAddress, let second = key.baseAddress else { return true }
                    return memcmp(first, second, key.count) == 0
                }
        }
    }
}

extension JSONReader {
    /// Whether any element of the array that follows is accepted.
    fileprivate mutating func anyElement(_ accepts: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        _ = take("[")
        if take("]") { return false }
        repeat {
            if accepts(span()) { return true }
        } while next(before: "]")
        return false
    }
}

// MARK: Over an event

extension FilterObject {
    /// Whether an event passes; the keys are attributes and `data`.
    func matches(_ event: EventFields) -> Bool {
        fields.allSatisfy { $0.matches(event) } && groups.allSatisfy { $0.contains { $0.matches(event) } }
    }
}

extension FilterObject.Field {
    fileprivate func matches(_ event: EventFields) -> Bool {
        switch FilterAttribute(rawValue: String(decoding: key, as: UTF8.self)) {
        case .type: matches(text: event.type)
        case .source: matches(text: event.source)
        case .subject: matches(text: event.subject)
        case .id: matches(text: event.id)
        case .partitionkey: matches(text: event.key)
        case .traceparent: matches(text: event.traceparent)
        case .causeid: matches(text: event.causeid)
        case .hops: matches(.number(Double(event.hops), exact: Int64(event.hops)))
        case .time: matches(time: event.time ?? Timestamp(microseconds: 0))
        case .data: event.data.isEmpty ? acceptsAbsence : test.matches(event.data)
        case nil: matches(extension: event.extensions)
        }
    }

    private func matches(_ scalar: FilterScalar) -> Bool {
        guard case .value(let conditions) = test else { return false }
        return conditions.contains { $0.matches(scalar) }
    }

    private func matches(text: UnsafeRawBufferPointer) -> Bool {
        text.isEmpty ? acceptsAbsence : matches(.text(text))
    }

    private func matches(time: Timestamp) -> Bool {
        time.description.withUTF8Bytes { matches(.text($0)) }
    }

    private func matches(extension json: UnsafeRawBufferPointer) -> Bool {
        json.isEmpty ? acceptsAbsence : FilterObject(fields: [self]).matches(json)
    }
}

/// The keys that a filter may ask for at its top, extension attributes aside.
enum FilterAttribute: String, CaseIterable {
    case type, source, subject, id, time, partitionkey, traceparent, causeid, hops, data
}
