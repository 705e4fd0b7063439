/// A stretch of positions, `after < position ≤ through`, in which a subscription is owed nothing any more.
///
/// A journal cannot know which events match a subscription. So the bus says with each settlement how far back the
/// subscription's own order reached: from the delivery before (`after`) to this one (`through`).
public struct Span: Sendable, Hashable {
    /// The position before the stretch.
    public var after: UInt64
    /// The last position in it.
    public var through: UInt64

    /// Creates a stretch; `after` is below `through`.
    public init(after: UInt64, through: UInt64) {
        self.after = after
        self.through = through
    }
}
