import MoonbusEvents

/// Collects what `main.lua` declares while it loads, and refuses what is over a bound or twice there.
struct DeclarationDraft {
    private(set) var declarations = Declarations()
    /// Subscriptions, sources and timers share one space of names: `plugin.name` is where their position and queue are kept.
    private var names: Set<String> = []
    /// How often a name was made from the same pattern or schedule.
    private var madeNames: [String: Int] = [:]
    /// Patterns that cover all that the plugin may subscribe to; nil: anything.
    private let permissions: [EventPattern]?

    init(permissions: [EventPattern]?) {
        self.permissions = permissions
    }

    mutating func add(_ subscription: Declarations.Subscription, name: String?) throws(Refusal) {
        guard declarations.subscriptions.count < Declarations.subscriptionsMax else {
            throw Refusal("too many subscriptions: a plugin has at most 1,000")
        }
        if let permissions, !permissions.contains(where: { $0.covers(subscription.pattern) }) {
            throw Refusal(
                "denied: plugin.toml does not allow to subscribe to \"\(subscription.pattern)\"; add it to [permissions] subscribe")
        }
        var subscription = subscription
        subscription.name = try take(name, else: subscription.pattern.text)
        declarations.subscriptions.append(subscription)
    }

    mutating func add(_ source: Declarations.Source) throws(Refusal) {
        try checkTimers()
        _ = try take(source.name, else: source.name)
        declarations.sources.append(source)
    }

    mutating func add(_ timer: Declarations.Timer, name: String?) throws(Refusal) {
        try checkTimers()
        var timer = timer
        timer.name = try take(name, else: timer.schedule.defaultName)
        declarations.timers.append(timer)
    }

    private func checkTimers() throws(Refusal) {
        guard declarations.timers.count + declarations.sources.count < Declarations.timersMax else {
            throw Refusal("too many timers: a plugin has at most 1,000 timers and sources")
        }
    }

    /// A name that was given must be free; one that is made gets a number until it is.
    private mutating func take(_ given: String?, else made: String) throws(Refusal) -> String {
        if let given {
            try Self.check(given)
            guard names.insert(given).inserted else { throw Refusal("the name \"\(given)\" is taken: names are unique in a plugin") }
            return given
        }
        var count = madeNames[made, default: 0]
        var name = made
        repeat {
            count += 1
            name = count == 1 ? made : "\(made)#\(count)"
        } while !names.insert(name).inserted
        madeNames[made] = count
        return name
    }

    private static func check(_ name: String) throws(Refusal) {
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isPlain, (1...64).contains(name.utf8.count) else {
            throw Refusal("the name \"\(name.prefix(80))\" is not 1 to 64 of the characters a-z A-Z 0-9 - _ .")
        }
    }
}

extension Declarations.Schedule {
    /// What a timer without a name is called: `every-1m30s`, `cron-0_7_*_*_1-5`. It becomes part of a subscription's name, so it has no spaces.
    var defaultName: String {
        switch self {
        case .every(let interval): "every-\(DurationText.format(interval))"
        case .cron(let expression, let timezone):
            "cron-" + (expression.split(whereSeparator: \.isWhitespace).joined(separator: "_") + (timezone.map { "_\($0)" } ?? ""))
        case .run: "run"
        }
    }
}
