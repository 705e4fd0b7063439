/// Conditions on an event's content: `{"data": {"amount": [{"numeric": [">", 100]}], "currency": ["EUR", "CHF"]}}`.
///
/// The syntax is that of EventBridge event patterns on our names. Keys are attributes (`type`, `source`, `subject`, `id`,
/// `time`, `partitionkey`, `traceparent`, `causeid`, `hops`, names of extension attributes) and `data`, below which they
/// are keys of the data. All keys must match; a key matches if any of the alternatives in its array does:
///
/// | alternative | matches |
/// |---|---|
/// | `"EUR"`, `12`, `true`, `null` | the same value; numbers by value, so that `12` is `12.0` |
/// | `{"prefix": "a"}`, `{"suffix": ".jpg"}` | texts; `{"prefix": {"equals-ignore-case": "a"}}` in any case |
/// | `{"equals-ignore-case": "eur"}` | texts |
/// | `{"wildcard": "a*z"}` | texts; `*` is any number of characters, `\*` a star, `\\` a backslash |
/// | `{"numeric": [">", 0, "<=", 5]}` | numbers; `=`, `!=`, `<`, `<=`, `>`, `>=`, all of them |
/// | `{"anything-but": …}` | any single value but these: a value, an array of values, or `{"prefix" / "suffix" / "equals-ignore-case" / "wildcard": text or array of texts}` |
/// | `{"exists": true}`, `{"exists": false}` | whether the key is there, whatever its value |
///
/// - An array in the event matches if any of its elements does; of an array of objects one element must match all keys.
/// - `{"$or": [{…}, {…}]}` beside other keys: one of these objects must match, too.
/// - Differences from EventBridge: numbers are compared by value, `exists` may stand over an object, `!=` is a comparison.
///
/// Compiled once; an evaluation walks over the event's bytes without building a tree.
public struct Filter: Sendable, CustomStringConvertible {
    /// The conditions as they were given.
    public let json: JSON
    private let attributes: FilterObject

    /// Compiles conditions.
    ///
    /// - Parameter json: an object as described above, at most 64 KiB, at most 64 keys in one object.
    /// - Throws: ``EventError`` `.badFilter`, with the path of what is wrong: `data.amount: unknown operator "numerc"; did you
    ///   mean "numeric"?`
    public init(_ json: JSON) throws(EventError) {
        guard json.byteCount <= Filter.sizeMax, !json.isTooDeep else {
            throw EventError(
                .badFilter, "a filter of \(json.byteCount) bytes; the limit is \(Filter.sizeMax), and \(JSONLimits.depthMax) levels")
        }
        self.json = json
        attributes = try FilterCompiler.compile(json.value)
    }

    /// The most bytes of a filter.
    public static let sizeMax = 64 << 10

    /// Whether an event fulfils all conditions.
    public func matches(_ event: Event) -> Bool {
        var budget = FilterBudget(.max)
        return event.withUnsafeFields { attributes.matches($0, &budget) }
    }

    /// Whether an event fulfils all conditions, as far as the budget goes.
    ///
    /// - Returns: `nil` when it was not enough to tell.
    package func matches(_ event: Event, within budget: inout FilterBudget) -> Bool? {
        guard !budget.isSpent else { return nil }
        let isMatch = event.withUnsafeFields { attributes.matches($0, &budget) }
        return budget.isSpent ? nil : isMatch
    }

    /// The conditions as they were given.
    public var description: String { json.text }
}
