/// A single value of an event, as conditions see it.
enum FilterScalar {
    /// A text, decoded.
    case text(UnsafeRawBufferPointer)
    /// A number, and the integer that it is exactly.
    case number(Double, exact: Int64?)
    case boolean(Bool)
    case null

    /// What reading it costs: a plain text is taken as it lies there, one with escapes is decoded, a number is converted.
    static func steps(toRead json: UnsafeRawBufferPointer) -> Int {
        switch json.first {
        case UInt8(ascii: "\""): 1 + json.count / 8
        case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"): 0
        default: 1 + json.count / 4
        }
    }

    /// Reads a value that is neither array nor object.
    static func read<R>(_ reader: inout JSONReader, _ body: (FilterScalar) -> R) -> R {
        switch reader.peek() {
        case UInt8(ascii: "\""):
            let (raw, isEscaped) = reader.rawString()
            guard isEscaped else { return body(.text(raw)) }
            var decoded: [UInt8] = []
            JSONReader.unescape(raw, into: &decoded)
            return decoded.withUnsafeBytes { body(.text($0)) }
        case UInt8(ascii: "t"): return body(.boolean(true))
        case UInt8(ascii: "f"): return body(.boolean(false))
        case UInt8(ascii: "n"): return body(.null)
        default:
            switch reader.number() {
            case .integer(let integer): return body(.number(Double(integer), exact: integer))
            case let other: return body(.number(other.number ?? 0, exact: other.integer))
            }
        }
    }
}

/// One alternative in a filter's array.
enum FilterCondition: Sendable {
    case equal(JSONValue)
    case text(FilterText)
    case numeric([FilterComparison])
    case exists(Bool)
    case not(values: [JSONValue], texts: [FilterText])

    /// Whether a key that is not there passes.
    var acceptsAbsence: Bool {
        if case .exists(false) = self { true } else { false }
    }

    /// Whether a value passes.
    func matches(_ scalar: FilterScalar, _ budget: inout FilterBudget) -> Bool {
        guard budget.spend(steps(on: scalar)) else { return false }
        return switch self {
        case .equal(let value): scalar.equals(value)
        case .text(let test): scalar.passes(test)
        case .numeric(let comparisons): comparisons.allSatisfy { $0.accepts(scalar) }
        case .exists(let isThere): isThere
        case .not(let values, let texts): !values.contains { scalar.equals($0) } && !texts.contains { scalar.passes($0) }
        }
    }

    /// What the test costs at most.
    private func steps(on scalar: FilterScalar) -> Int {
        switch self {
        case .equal(let value): 1 + scalar.steps(toCompareWith: value)
        case .text(let test): 1 + scalar.steps(of: test)
        case .numeric(let comparisons): comparisons.count
        case .exists: 1
        case .not(let values, let texts):
            1 + values.reduce(0) { $0 + 1 + scalar.steps(toCompareWith: $1) } + texts.reduce(0) { $0 + 1 + scalar.steps(of: $1) }
        }
    }
}

extension FilterScalar {
    fileprivate func steps(toCompareWith value: JSONValue) -> Int {
        guard case .text(let text) = self, case .string(let wanted) = value, text.count == wanted.utf8.count else { return 0 }
        return text.count / 8
    }

    fileprivate func steps(of test: FilterText) -> Int {
        if case .text(let text) = self { test.steps(on: text) } else { 0 }
    }

    fileprivate func equals(_ value: JSONValue) -> Bool {
        switch (self, value) {
        case (.null, .null): true
        case (.boolean(let left), .boolean(let right)): left == right
        case (.number(_, let left?), .integer(let right)): left == right
        case (.number(let left, _), .integer(let right)): left == Double(right)
        case (.number(let left, _), .number(let right)): left == right
        case (.text(let text), .string(let wanted)): text.count == wanted.utf8.count && text.elementsEqual(wanted.utf8)
        default: false
        }
    }

    fileprivate func passes(_ test: FilterText) -> Bool {
        if case .text(let text) = self { test.accepts(text) } else { false }
    }
}

/// A comparison with a number.
struct FilterComparison: Sendable {
    enum Relation: String, CaseIterable {
        case equal = "="
        case unequal = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
    }

    var relation: Relation
    var operand: JSONValue

    func accepts(_ scalar: FilterScalar) -> Bool {
        guard case .number(let number, let exact) = scalar else { return false }
        // Two integers are compared exactly; beyond 2^53 Doubles would take neighbours for equals.
        if let exact, case .integer(let wanted) = operand { return holds(exact, wanted) }
        return holds(number, operand.number ?? 0)
    }

    private func holds<Number: Comparable>(_ left: Number, _ right: Number) -> Bool {
        switch relation {
        case .equal: left == right
        case .unequal: left != right
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        case .greaterOrEqual: left >= right
        }
    }
}

/// A test of a text.
enum FilterText: Sendable {
    case prefix([UInt8], ignoringCase: Bool)
    case suffix([UInt8], ignoringCase: Bool)
    /// Holds the folded text.
    case equalIgnoringCase([UInt8])
    /// The literal parts between the stars: the first one is a prefix, the last one a suffix.
    case wildcard([FilterNeedle])

    /// What the test costs at most.
    func steps(on text: UnsafeRawBufferPointer) -> Int {
        switch self {
        case .prefix(let wanted, ignoringCase: false), .suffix(let wanted, ignoringCase: false): min(wanted.count, text.count) / 8
        // Letters beyond ASCII are dear to fold.
        case .prefix, .suffix, .equalIgnoringCase: 2 + text.count
        case .wildcard: text.count / 4
        }
    }

    func accepts(_ text: UnsafeRawBufferPointer) -> Bool {
        switch self {
        case .prefix(let wanted, ignoringCase: false): Self.starts(text, with: wanted)
        case .suffix(let wanted, ignoringCase: false): Self.ends(text, with: wanted)
        case .prefix(let wanted, ignoringCase: true): Self.folded(text).starts(with: wanted)
        case .suffix(let wanted, ignoringCase: true): Self.folded(text).withUnsafeBytes { Self.ends($0, with: wanted) }
        case .equalIgnoringCase(let wanted): Self.folded(text) == wanted
        case .wildcard(let parts): Self.matches(text, parts)
        }
    }

    /// The text in lower case, by Unicode's mapping of single characters and of special ones.
    static func folded(_ text: UnsafeRawBufferPointer) -> [UInt8] {
        if text.allSatisfy({ $0 < 0x80 }) { return text.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 } }
        return Array(String(decoding: text, as: UTF8.self).lowercased().utf8)
    }

    private static func starts(_ text: UnsafeRawBufferPointer, with prefix: [UInt8]) -> Bool {
        text.count >= prefix.count && text.prefix(prefix.count).elementsEqual(prefix)
    }

    private static func ends(_ text: UnsafeRawBufferPointer, with suffix: [UInt8]) -> Bool {
        text.count >= suffix.count && text.suffix(suffix.count).elementsEqual(suffix)
    }

    /// Each part at its first place after the one before: greedy is enough, because a star takes anything.
    private static func matches(_ text: UnsafeRawBufferPointer, _ parts: [FilterNeedle]) -> Bool {
        guard let first = parts.first?.bytes, let last = parts.last?.bytes else { return false }
        guard parts.count > 1 else { return text.elementsEqual(first) }
        guard text.count >= first.count + last.count, starts(text, with: first), ends(text, with: last) else { return false }
        var rest = UnsafeRawBufferPointer(rebasing: text[first.count..<text.count - last.count])
        for part in parts[1..<parts.count - 1] {
            guard let end = part.end(in: rest) else { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[end...])
        }
        return true
    }
}
