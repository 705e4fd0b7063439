package import MoonbusEvents

/// ```
/// {"subscriptions": [{"name", "pattern", "function", "where", "key", "concurrency", "retry": {"attempts", "backoff_us", "backoff_us_max"},
///                     "timeout_us", "cpu_us", "batch": {"count", "within_us"}, "debounce_us", "throttle_us", "file", "line"}],
///  "sources":       [{"name", "kind": "every|cron|run", "every_us", "cron", "tz", "poll", "run", "result", "missed": "skip|all", "file", "line"}],
///  "timers":        [{"name", "kind": "every|cron", "every_us", "cron", "tz", "function", "missed": "skip|all", "file", "line"}]}
/// ```
/// What is nil is left out, and so are "missed" when it is "once", and "file" when it is main.lua.
extension Declarations {
    package var json: JSON {
        JSON(
            .object([
                "subscriptions": .array(subscriptions.map(\.json)),
                "sources": .array(sources.map(\.json)),
                "timers": .array(timers.map(\.json)),
            ]))
    }

    /// - Throws: ``FrameError`` `.badText` or `.badValue` when this is not what a lane of ours writes.
    package init(_ bytes: UnsafeRawBufferPointer) throws(FrameError) {
        let json: JSON
        do { json = try JSON(validating: bytes, limits: JSONLimits(depth: 64, bytes: 16 << 20)) } catch {
            throw FrameError(.badText, "declarations: \(error)")
        }
        guard let object = json.value.object else { throw FrameError(.badValue, "declarations are not an object") }
        let fields = Fields(object)
        subscriptions = try fields.list("subscriptions", max: Self.subscriptionsMax, Subscription.init(fields:))
        sources = try fields.list("sources", max: Self.timersMax, Source.init(fields:))
        timers = try fields.list("timers", max: Self.timersMax, Timer.init(fields:))
    }
}

extension Declarations.Subscription {
    var json: JSONValue {
        var object = JSONObject()
        object["name"] = .string(name)
        object["pattern"] = .string(pattern.text)
        object["function"] = .integer(Int64(function))
        object["where"] = filter?.value
        object["key"] = key.map { .string($0) }
        object["concurrency"] = concurrency.map { .integer(Int64($0)) }
        if retry != Declarations.Retry() {
            var policy = JSONObject()
            policy["attempts"] = retry.attempts.map { .integer(Int64($0)) }
            policy["backoff_us"] = retry.backoff.map { .integer($0.microseconds) }
            policy["backoff_us_max"] = retry.backoffMax.map { .integer($0.microseconds) }
            object["retry"] = .object(policy)
        }
        object["timeout_us"] = timeout.map { .integer($0.microseconds) }
        object["cpu_us"] = cpuLimit.map { .integer($0.microseconds) }
        object["batch"] = batch.map { .object(["count": .integer(Int64($0.count)), "within_us": .integer($0.within.microseconds)]) }
        object["debounce_us"] = debounce.map { .integer($0.microseconds) }
        object["throttle_us"] = throttle.map { .integer($0.microseconds) }
        place.write(to: &object)
        return .object(object)
    }

    init(fields: Fields) throws(FrameError) {
        let text = try fields.text("pattern")
        let pattern: EventPattern
        do { pattern = try EventPattern(text) } catch { throw FrameError(.badValue, "declarations: \(error)") }
        self.init(name: try fields.text("name"), pattern: pattern, function: try fields.function("function"))
        filter = fields.object["where"].map { JSON($0) }
        key = try fields.optionalText("key")
        concurrency = try fields.optionalInteger("concurrency")
        if let policy = try fields.optionalFields("retry") {
            retry.attempts = try policy.optionalInteger("attempts")
            retry.backoff = try policy.optionalDuration("backoff_us")
            retry.backoffMax = try policy.optionalDuration("backoff_us_max")
        }
        timeout = try fields.optionalDuration("timeout_us")
        cpuLimit = try fields.optionalDuration("cpu_us")
        if let window = try fields.optionalFields("batch") {
            batch = Declarations.Batch(count: try window.integer("count"), within: try window.duration("within_us"))
        }
        debounce = try fields.optionalDuration("debounce_us")
        throttle = try fields.optionalDuration("throttle_us")
        place = try Declarations.Place(fields: fields)
    }
}

extension Declarations.Source {
    var json: JSONValue {
        var object = JSONObject()
        object["name"] = .string(name)
        schedule.write(to: &object)
        object[schedule == .run ? "run" : "poll"] = .integer(Int64(function))
        object["result"] = result.map { .integer(Int64($0)) }
        if missed != .once { object["missed"] = .string(missed.rawValue) }
        place.write(to: &object)
        return .object(object)
    }

    init(fields: Fields) throws(FrameError) {
        let schedule = try Declarations.Schedule(fields: fields)
        self.init(name: try fields.text("name"), schedule: schedule, function: try fields.function(schedule == .run ? "run" : "poll"))
        if fields.object["result"] != nil { result = try fields.function("result") }
        missed = try Declarations.Missed(fields: fields)
        place = try Declarations.Place(fields: fields)
    }
}

extension Declarations.Timer {
    var json: JSONValue {
        var object = JSONObject()
        object["name"] = .string(name)
        schedule.write(to: &object)
        object["function"] = .integer(Int64(function))
        if missed != .once { object["missed"] = .string(missed.rawValue) }
        place.write(to: &object)
        return .object(object)
    }

    init(fields: Fields) throws(FrameError) {
        let schedule = try Declarations.Schedule(fields: fields)
        guard schedule != .run else { throw FrameError(.badValue, "declarations: a timer has no schedule") }
        self.init(name: try fields.text("name"), schedule: schedule, function: try fields.function("function"))
        missed = try Declarations.Missed(fields: fields)
        place = try Declarations.Place(fields: fields)
    }
}

extension Declarations.Place {
    func write(to object: inout JSONObject) {
        object["file"] = file.map { .string($0) }
        object["line"] = line.map { .integer(Int64($0)) }
    }

    init(fields: Fields) throws(FrameError) {
        self.init(file: try fields.optionalText("file"), line: try fields.optionalInteger("line"))
    }
}

extension Declarations.Missed {
    init(fields: Fields) throws(FrameError) {
        let text = try fields.optionalText("missed") ?? Self.once.rawValue
        guard let missed = Self(rawValue: text) else { throw FrameError(.badValue, "declarations: no policy for missed ticks is \(text)") }
        self = missed
    }
}

extension Declarations.Schedule {
    func write(to object: inout JSONObject) {
        switch self {
        case .every(let interval):
            object["kind"] = "every"
            object["every_us"] = .integer(interval.microseconds)
        case .cron(let expression, let timezone):
            object["kind"] = "cron"
            object["cron"] = .string(expression)
            object["tz"] = timezone.map { .string($0) }
        case .run:
            object["kind"] = "run"
        }
    }

    init(fields: Fields) throws(FrameError) {
        switch try fields.text("kind") {
        case "every": self = .every(try fields.duration("every_us"))
        case "cron": self = .cron(try fields.text("cron"), timezone: try fields.optionalText("tz"))
        case "run": self = .run
        case let kind: throw FrameError(.badValue, "declarations: no schedule is a \(kind)")
        }
    }
}
