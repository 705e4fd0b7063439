/// How much JSON is accepted from outside.
public struct JSONLimits: Sendable, Hashable {
    /// How deep arrays and objects may be nested, 1…64: `[[]]` has depth 2.
    public var depth: Int
    /// How many bytes the text may have, whitespace included.
    public var bytes: Int

    /// The deepest nesting that can be allowed: readers of JSON here keep their place on the stack.
    public static let depthMax = 64

    /// Creates limits; the defaults are those of an event's data.
    public init(depth: Int = JSONLimits.depthMax, bytes: Int = 1 << 20) {
        precondition((1...JSONLimits.depthMax).contains(depth), "JSONLimits.depth is 1…\(JSONLimits.depthMax)")
        self.depth = depth
        self.bytes = bytes
    }

    /// Limits of a text that holds values of the greatest depth inside of `envelope` levels of its own, such as a list of events.
    package init(envelope: Int, bytes: Int) {
        precondition((0...Self.envelopeMax).contains(envelope), "an envelope has 0…\(Self.envelopeMax) levels")
        depth = Self.depthMax + envelope
        self.bytes = bytes
    }

    private static let envelopeMax = 8
}
