/// Turns the JSON of a filter into tests, or says what is wrong with it and where.
///
/// A filter runs on the bus's own thread for each event that its pattern matches, so its work is bounded: how many
/// alternatives it has, and how many objects of `$or`, each of which is another walk over the data.
struct FilterCompiler {
    private static let alternativeCountMax = 512
    private static let orCountMax = 64

    private var alternativeCount = 0
    private var orCount = 0

    static func compile(_ json: JSONValue) throws(EventError) -> FilterObject {
        guard case .object(let object) = json else {
            throw EventError(.badFilter, "a filter is an object like {\"data\": {\"amount\": [12]}}, not \(json.kind)")
        }
        var compiler = FilterCompiler()
        return try compiler.compile(object, at: [])
    }

    /// Operators that may stand in an array of alternatives.
    private static let operators = ["prefix", "suffix", "equals-ignore-case", "wildcard", "numeric", "anything-but", "exists"]
    /// Those of them that test a text.
    private static let textOperators = ["prefix", "suffix", "equals-ignore-case", "wildcard"]

    private mutating func compile(_ object: JSONObject, at path: [String]) throws(EventError) -> FilterObject {
        guard !object.isEmpty else { throw refusal(path, "an empty object has no conditions") }
        guard object.count <= FilterObject.fieldCountMax else {
            throw refusal(path, "\(object.count) keys in one object; the limit is \(FilterObject.fieldCountMax)")
        }
        var compiled = FilterObject()
        for (key, value) in object {
            if key == "$or" {
                compiled.groups.append(try group(value, at: path))
                continue
            }
            let place = path + [key]
            if path.isEmpty { try checkAttribute(key, value) }
            let test = try test(value, at: place)
            compiled.fields.append(FilterObject.Field(key: Array(key.utf8), test: test, acceptsAbsence: test.acceptsAbsence))
        }
        return compiled
    }

    private mutating func group(_ value: JSONValue, at path: [String]) throws(EventError) -> [FilterObject] {
        let place = path + ["$or"]
        guard case .array(let alternatives) = value, !alternatives.isEmpty else {
            throw refusal(place, "takes an array of objects, of which one must match")
        }
        orCount += alternatives.count
        guard orCount <= Self.orCountMax else { throw refusal(place, "more than \(Self.orCountMax) objects of \"$or\" in one filter") }
        var compiled: [FilterObject] = []
        for alternative in alternatives {
            guard case .object(let object) = alternative else {
                throw refusal(place, "takes objects, not \(alternative.kind)")
            }
            // Its keys are those of the object around it: at the top, attributes.
            compiled.append(try compile(object, at: path))
        }
        return compiled
    }

    private func checkAttribute(_ key: String, _ value: JSONValue) throws(EventError) {
        if let attribute = FilterAttribute(rawValue: key) {
            if attribute != .data, case .object = value {
                throw refusal([key], "is a single value: alternatives go in an array, like [\"a\", {\"prefix\": \"b\"}]")
            }
            return
        }
        // What other systems call it, which no edit distance finds.
        let renamed = ["detail": "data", "detail-type": "type", "key": "partitionkey", "body": "data", "payload": "data", "kind": "type"]
        let known = FilterAttribute.allCases.map(\.rawValue)
        if let meant = renamed[key] ?? Suggestion.nearest(to: key, in: known) {
            throw refusal([key], "no such attribute; did you mean \"\(meant)\"?")
        }
        do throws(EventError) {
            try EventCheck.extensionName(key)
        } catch {
            throw refusal([key], "no such attribute (\(known.joined(separator: ", ")), or an extension of 1 to 20 of a-z and 0-9)")
        }
    }

    private mutating func test(_ value: JSONValue, at path: [String]) throws(EventError) -> FilterTest {
        switch value {
        case .object(let object):
            if object.count == 1, let key = object.keys.first, key != "$or", Self.operators.contains(key), isOperand(object[key], of: key) {
                throw refusal(path, "operators go in an array: [{\"\(key)\": …}]")
            }
            return .object(try compile(object, at: path))
        case .array(let alternatives):
            guard !alternatives.isEmpty else { throw refusal(path, "an empty array matches nothing") }
            var conditions: [FilterCondition] = []
            try count(alternatives, at: path)
            for alternative in alternatives { conditions.append(try condition(alternative, at: path)) }
            return .value(conditions)
        default:
            throw refusal(path, "values go in an array: [\(JSON(value).text)]")
        }
    }

    private mutating func count(_ alternatives: [JSONValue], at path: [String]) throws(EventError) {
        alternativeCount += alternatives.count
        guard alternativeCount <= Self.alternativeCountMax else {
            throw refusal(path, "more than \(Self.alternativeCountMax) alternatives in one filter")
        }
    }

    /// Whether an object that is no array of alternatives was meant as one: the data may have a key named like an operator.
    private func isOperand(_ value: JSONValue?, of name: String) -> Bool {
        switch value {
        case .object?: false
        case .array?: name == "numeric" || name == "anything-but"
        default: true
        }
    }

    private mutating func condition(_ value: JSONValue, at path: [String]) throws(EventError) -> FilterCondition {
        switch value {
        case .array: throw refusal(path, "an array in an array; alternatives are values or operators")
        case .object(let object):
            guard object.count == 1, let name = object.keys.first, let operand = object[name] else {
                throw refusal(path, "an alternative has exactly one operator, this one has \(object.count)")
            }
            return try condition(name, operand, at: path)
        default: return .equal(value)
        }
    }

    private mutating func condition(_ name: String, _ operand: JSONValue, at path: [String]) throws(EventError) -> FilterCondition {
        switch name {
        case "numeric": return .numeric(try comparisons(operand, at: path))
        case "anything-but": return try exclusion(operand, at: path)
        case "exists":
            guard case .boolean(let isThere) = operand else { throw refusal(path, "\"exists\" takes true or false, not \(operand.kind)") }
            return .exists(isThere)
        case _ where Self.textOperators.contains(name): return .text(try text(name, operand, at: path))
        default:
            let hint = Suggestion.nearest(to: name, in: Self.operators).map { "; did you mean \"\($0)\"?" }
            throw refusal(path, "unknown operator \(shown(name))\(hint ?? "; there are \(Self.operators.joined(separator: ", "))")")
        }
    }

    private mutating func comparisons(_ operand: JSONValue, at path: [String]) throws(EventError) -> [FilterComparison] {
        guard case .array(let parts) = operand, !parts.isEmpty, parts.count % 2 == 0 else {
            throw refusal(path, "\"numeric\" takes relations and numbers in turn, like [\">\", 0, \"<=\", 5]")
        }
        try count(parts, at: path)
        var compiled: [FilterComparison] = []
        for index in stride(from: 0, to: parts.count, by: 2) {
            guard let name = parts[index].string, let relation = FilterComparison.Relation(rawValue: name) else {
                let known = FilterComparison.Relation.allCases.map(\.rawValue).joined(separator: " ")
                throw refusal(path, "\"numeric\": \(JSON(parts[index]).text) is not a relation (\(known))")
            }
            guard parts[index + 1].number != nil else {
                throw refusal(path, "\"numeric\": \"\(name)\" takes a number, not \(parts[index + 1].kind)")
            }
            compiled.append(FilterComparison(relation: relation, operand: parts[index + 1]))
        }
        return compiled
    }

    private mutating func exclusion(_ operand: JSONValue, at path: [String]) throws(EventError) -> FilterCondition {
        switch operand {
        case .object(let object):
            guard object.count == 1, let name = object.keys.first, let inner = object[name], Self.textOperators.contains(name) else {
                let name = object.keys.first ?? ""
                throw refusal(
                    path,
                    "\"anything-but\" takes values or one of \(Self.textOperators.joined(separator: ", "))\(Suggestion.hint(for: name, in: Self.textOperators))"
                )
            }
            guard case .array(let all) = inner else { return .not(values: [], texts: [try text(name, inner, at: path)]) }
            guard !all.isEmpty else { throw refusal(path, "\"anything-but\": an empty array excludes nothing") }
            try count(all, at: path)
            var texts: [FilterText] = []
            for each in all { texts.append(try text(name, each, at: path)) }
            return .not(values: [], texts: texts)
        case .array(let values):
            guard !values.isEmpty else { throw refusal(path, "\"anything-but\": an empty array excludes nothing") }
            try count(values, at: path)
            for value in values where value.array != nil || value.object != nil {
                throw refusal(path, "\"anything-but\" takes single values, not \(value.kind)")
            }
            return .not(values: values, texts: [])
        default:
            return .not(values: [operand], texts: [])
        }
    }

    private func text(_ name: String, _ operand: JSONValue, at path: [String]) throws(EventError) -> FilterText {
        if case .object(let object) = operand, object.count == 1, name == "prefix" || name == "suffix",
            let text = object["equals-ignore-case"]?.string
        {
            let folded = text.withUTF8Bytes { FilterText.folded($0) }
            return name == "prefix" ? .prefix(folded, ignoringCase: true) : .suffix(folded, ignoringCase: true)
        }
        guard case .string(let text) = operand else { throw refusal(path, "\"\(name)\" takes a text, not \(operand.kind)") }
        guard !text.isEmpty || name == "equals-ignore-case" else { throw refusal(path, "\"\(name)\" takes a text that is not empty") }
        switch name {
        case "prefix": return .prefix(Array(text.utf8), ignoringCase: false)
        case "suffix": return .suffix(Array(text.utf8), ignoringCase: false)
        case "wildcard": return .wildcard(try wildcard(text, at: path).map(FilterNeedle.init))
        default: return .equalIgnoringCase(text.withUTF8Bytes { FilterText.folded($0) })
        }
    }

    private func wildcard(_ text: String, at path: [String]) throws(EventError) -> [[UInt8]] {
        var parts: [[UInt8]] = [[]]
        var isEscaped = false
        var previous: UInt8?
        for byte in text.utf8 {
            if isEscaped {
                guard byte == UInt8(ascii: "*") || byte == UInt8(ascii: "\\") else {
                    throw refusal(path, "\"wildcard\": a backslash stands before a star or a backslash")
                }
                parts[parts.count - 1].append(byte)
                isEscaped = false
                previous = nil
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "*") {
                if previous == byte { throw refusal(path, "\"wildcard\": two stars in a row; one is enough") }
                parts.append([])
                previous = byte
            } else {
                parts[parts.count - 1].append(byte)
                previous = byte
            }
        }
        if isEscaped { throw refusal(path, "\"wildcard\": a backslash at the end") }
        return parts
    }

    private func refusal(_ path: [String], _ reason: String) -> EventError {
        let place = path.map { shown($0).dropFirst().dropLast() }.joined(separator: ".")
        return EventError(.badFilter, place.isEmpty ? reason : "\(place): \(reason)")
    }
}
