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
// Each step is paid before it is taken. When the budget is spent, whatever is answered means nothing, and all loops end.

extension FilterTest {
    /// Whether a value passes.
    func matches(_ json: UnsafeRawBufferPointer, _ budget: inout FilterBudget) -> Bool {
        guard budget.spend(1) else { return false }
        var reader = JSONReader(json)
        let first = reader.peek()
        if first == UInt8(ascii: "[") {
            // `exists` asks for the array, not for its elements: an empty one exists.
            if case .value(let conditions) = self, acceptsPresence(conditions, &budget) { return true }
            return reader.anyElement(&budget) { matches($0, &$1) }
        }
        switch self {
        case .object(let object): return first == UInt8(ascii: "{") && object.matches(json, &budget)
        case .value(let conditions):
            if first == UInt8(ascii: "{") { return acceptsPresence(conditions, &budget) }
            guard budget.spend(FilterScalar.steps(toRead: json)) else { return false }
            return FilterScalar.read(&reader) { scalar in conditions.contains { $0.matches(scalar, &budget) } }
        }
    }

    private func acceptsPresence(_ conditions: [FilterCondition], _ budget: inout FilterBudget) -> Bool {
        guard budget.spend(conditions.count / 4) else { return false }
        return conditions.contains { if case .exists(true) = $0 { true } else { false } }
    }
}

extension FilterObject {
    /// Whether an object passes.
    func matches(_ json: UnsafeRawBufferPointer, _ budget: inout FilterBudget) -> Bool {
        guard budget.spend(1 + fields.count / 4) else { return false }
        var seen: UInt64 = 0
        var isRefused = false
        var reader = JSONReader(json)
        _ = reader.take("{")
        // Groups alone need no walk of their own.
        if !fields.isEmpty, !reader.take("}") {
            repeat {
                let index = index(ofKeyIn: &reader, &budget)
                _ = reader.take(":")
                let value = reader.span()
                guard budget.spend(value.count / 16) else { return false }
                if let index {
                    seen |= 1 << UInt64(index)
                    isRefused = !fields[index].test.matches(value, &budget)
                }
            } while !isRefused && reader.next(before: "}")
        }
        if isRefused { return false }
        for index in fields.indices where seen & 1 << UInt64(index) == 0 && !fields[index].acceptsAbsence { return false }
        return groups.allSatisfy { $0.contains { $0.matches(json, &budget) } }
    }

    private func index(ofKeyIn reader: inout JSONReader, _ budget: inout FilterBudget) -> Int? {
        let (key, isEscaped) = reader.rawString()
        guard budget.spend(1 + fields.count / 4 + key.count / 16 + key.count * fields.count / 256) else { return nil }
        if isEscaped {
            guard budget.spend(4 + key.count / 2) else { return nil }
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
    fileprivate mutating func anyElement(
        _ budget: inout FilterBudget, _ accepts: (UnsafeRawBufferPointer, inout FilterBudget) -> Bool
    ) -> Bool {
        _ = take("[")
        if take("]") { return false }
        repeat {
            let element = span()
            guard budget.spend(element.count / 16) else { return false }
            if accepts(element, &budget) { return true }
        } while !budget.isSpent && next(before: "]")
        return false
    }
}

// MARK: Over an event

extension FilterObject {
    /// Whether an event passes; the keys are attributes and `data`.
    func matches(_ event: EventFields, _ budget: inout FilterBudget) -> Bool {
        budget.spend(1) && fields.allSatisfy { $0.matches(event, &budget) }
            && groups.allSatisfy { $0.contains { $0.matches(event, &budget) } }
    }
}

extension FilterObject.Field {
    fileprivate func matches(_ event: EventFields, _ budget: inout FilterBudget) -> Bool {
        guard budget.spend(4) else { return false }
        return switch FilterAttribute(rawValue: String(decoding: key, as: UTF8.self)) {
        case .type: matches(text: event.type, &budget)
        case .source: matches(text: event.source, &budget)
        case .subject: matches(text: event.subject, &budget)
        case .id: matches(text: event.id, &budget)
        case .partitionkey: matches(text: event.key, &budget)
        case .traceparent: matches(text: event.traceparent, &budget)
        case .causeid: matches(text: event.causeid, &budget)
        case .hops: matches(.number(Double(event.hops), exact: Int64(event.hops)), &budget)
        case .time: matches(time: event.time ?? Timestamp(microseconds: 0), &budget)
        case .data: event.data.isEmpty ? acceptsAbsence : test.matches(event.data, &budget)
        case nil: matches(extension: event.extensions, &budget)
        }
    }

    private func matches(_ scalar: FilterScalar, _ budget: inout FilterBudget) -> Bool {
        guard case .value(let conditions) = test else { return false }
        return conditions.contains { $0.matches(scalar, &budget) }
    }

    private func matches(text: UnsafeRawBufferPointer, _ budget: inout FilterBudget) -> Bool {
        text.isEmpty ? acceptsAbsence : matches(.text(text), &budget)
    }

    private func matches(time: Timestamp, _ budget: inout FilterBudget) -> Bool {
        // Its text is made for the test.
        guard budget.spend(20) else { return false }
        return time.description.withUTF8Bytes { matches(.text($0), &budget) }
    }

    private func matches(extension json: UnsafeRawBufferPointer, _ budget: inout FilterBudget) -> Bool {
        json.isEmpty ? acceptsAbsence : FilterObject(fields: [self]).matches(json, &budget)
    }
}

/// The keys that a filter may ask for at its top, extension attributes aside.
enum FilterAttribute: String, CaseIterable {
    case type, source, subject, id, time, partitionkey, traceparent, causeid, hops, data
}
