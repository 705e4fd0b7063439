/// How far a subscription has come: everything at or below `floor` has ended, and so have the stretches of `ended`.
///
/// Invariant: `ended` rises, its spans don't touch each other, and all of them lie above `floor`. So their number is at most that of the
/// deliveries under way.
package struct Progress: Sendable, Hashable {
    package private(set) var floor: UInt64
    package private(set) var ended: [Span]

    package init(floor: UInt64, ended: [Span] = []) {
        self.floor = floor
        self.ended = ended
    }

    /// True when nothing is owed at this position.
    package func hasEnded(_ position: UInt64) -> Bool {
        position <= floor || !ended.isEmpty && ended.contains { $0.after < position && position <= $0.through }
    }

    /// Notes that nothing is owed in a stretch any more. It may overlap what has ended.
    @inline(__always)
    package mutating func end(_ span: Span) {
        if span.after <= floor {
            if span.through > floor { floor = span.through }
            if !ended.isEmpty { absorb() }
        } else {
            insert(span)
        }
    }

    /// Takes into the floor what it has reached.
    private mutating func absorb() {
        var count = 0
        while count < ended.count, ended[count].after <= floor {
            floor = max(floor, ended[count].through)
            count += 1
        }
        ended.removeFirst(count)
    }

    private mutating func insert(_ span: Span) {
        // The first stretch that reaches the new one, and the first one behind it.
        let first = ended.firstIndex { $0.through >= span.after } ?? ended.count
        var last = first
        var merged = span
        while last < ended.count, ended[last].after <= span.through {
            merged.after = min(merged.after, ended[last].after)
            merged.through = max(merged.through, ended[last].through)
            last += 1
        }
        ended.replaceSubrange(first..<last, with: CollectionOfOne(merged))
    }
}
