/// How often a plugin broke its lane lately.
struct StrikeRecord {
    /// When a plugin is to be quarantined.
    struct Rule: Sendable {
        /// This many strikes…
        var count = 3
        /// …within this time.
        var within: Duration = .seconds(600)
    }

    /// Monotonic times of the strikes that still count, oldest first; at most the rule's count.
    private var times: [Duration] = []

    /// How many count, as of the last strike.
    var count: Int { times.count }

    /// Notes a strike and says whether it was one too many.
    mutating func add(at now: Duration, rule: Rule) -> Bool {
        times.removeAll { $0 < now - rule.within }
        times.append(now)
        if times.count > rule.count { times.removeFirst(times.count - rule.count) }
        return times.count >= rule.count
    }

    /// Forgets them: there is new code, or a person said so.
    mutating func forgive() { times = [] }
}
