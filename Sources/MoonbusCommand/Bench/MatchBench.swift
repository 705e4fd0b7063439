import MoonbusDispatch

/// W2b: finding who is subscribed, among few and among many.
enum MatchBench {
    static func run(events: Int) -> [Measurement] {
        let cases: [(name: String, subscriptions: Int, hot: Bool)] = [
            ("10 patterns", 10, true), ("100,000 patterns, 64 types", 100_000, true), ("100,000 patterns, all types", 100_000, false),
        ]
        return cases.map { name, subscriptions, hot in
            let (matches, seconds) = RoutingBench.run(subscriptions: subscriptions, events: events, hot: hot)
            return Measurement(name: "match, \(name)", operations: matches, wall: seconds, cpu: seconds)
        }
    }
}
