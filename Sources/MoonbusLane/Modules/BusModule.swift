import MoonbusEvents

/// `bus`: declarations, and the one call that waits for other handlers. (`bus.emit`, `bus.reject`, `bus.retry` are in CLuaShim.)
///
/// ```lua
/// --- bus.subscribe(pattern, [options], handler)                      [declaration]
/// --- bus.source(options)                                             [declaration]
/// --- bus.every(interval, [options], handler)                         [declaration]
/// --- bus.cron(schedule, [options], handler)                          [declaration]
/// --- Only while main.lua loads; unknown options are errors; at most 1,000 subscriptions and 1,000 timers and sources.
///
/// --- bus.request(type, data, [options]) -> result                    [call], waits
/// --- Emits now and waits for the first answer. Raises when nobody answers within `timeout` (default 30s).
/// ```
enum BusModule {
    static let functions = [
        ModuleFunction("bus", "subscribe", "sTfp") { context, call throws(Refusal) in try subscribe(context, call) },
        ModuleFunction("bus", "source", "tp") { context, call throws(Refusal) in try source(context, call) },
        ModuleFunction("bus", "every", "dTfp") { context, call throws(Refusal) in try every(context, call) },
        ModuleFunction("bus", "cron", "sTfp") { context, call throws(Refusal) in try cron(context, call) },
        ModuleFunction("bus", "request", "sJT") { context, call throws(Refusal) in try request(context, call) },
    ]

    // MARK: Declarations

    private static func subscribe(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let (options, function) = try options(
            call, of: "bus.subscribe",
            known: ["name", "where", "key", "concurrency", "retry", "timeout", "cpu", "batch", "debounce", "throttle"])
        let pattern: EventPattern
        do { pattern = try EventPattern(text(call, 0)) } catch { throw Refusal("bus.subscribe: \(error.message)") }
        var subscription = Declarations.Subscription(name: "", pattern: pattern, function: function)
        subscription.filter = options.json("where")
        if let filter = subscription.filter, filter.value.object == nil { throw options.wrong("where", "a table of conditions") }
        subscription.key = try key(options)
        subscription.concurrency = try options.integer("concurrency", in: 1...10_000)
        subscription.retry = try retry(options)
        subscription.timeout = try options.interval("timeout")
        subscription.cpuLimit = try options.interval("cpu")
        subscription.batch = try batch(options)
        subscription.debounce = try options.interval("debounce")
        subscription.throttle = try options.interval("throttle")
        subscription.place = place(context, call)
        let name = try options.text("name")
        try declare("bus.subscribe", context) { draft throws(Refusal) in try draft.add(subscription, name: name) }
        return call.done()
    }

    private static func source(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let options = try OptionReader(
            call.bytes(0), of: "bus.source", known: ["name", "every", "cron", "tz", "poll", "run", "result", "missed"])
        guard let name = try options.text("name") else { throw options.missing("a source needs a name") }
        guard ["every", "cron", "run"].filter(options.has).count == 1 else {
            throw options.missing("a source has exactly one of \"every\", \"cron\" (with \"poll\") and \"run\"")
        }
        let schedule: Declarations.Schedule
        let function: Int32?
        if options.has("run") {
            if options.has("poll") { throw options.missing("a source with \"run\" is not polled") }
            schedule = .run
            function = try options.function("run")
        } else {
            if let interval = try options.interval("every") {
                schedule = .every(interval)
            } else {
                schedule = .cron(try options.text("cron") ?? "", timezone: try options.text("tz"))
            }
            function = try options.function("poll")
        }
        if options.has("tz"), !options.has("cron") { throw options.missing("\"tz\" is for \"cron\" only") }
        guard let function else { throw options.missing("a source with \"every\" or \"cron\" needs a function \"poll\"") }
        var source = Declarations.Source(name: name, schedule: schedule, function: function)
        source.result = try options.function("result")
        if schedule == .run, options.has("missed") { throw options.missing("\"missed\" is for \"every\" and \"cron\" only") }
        source.missed = try missed(options)
        source.place = place(context, call, argument: 1)
        try declare("bus.source", context) { draft throws(Refusal) in try draft.add(source) }
        return call.done()
    }

    private static func every(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let (options, function) = try options(call, of: "bus.every", known: ["name", "missed"])
        let interval = Duration.microseconds(call.integer(0) ?? 0)
        guard interval >= .milliseconds(1) else { throw options.missing("the interval must be at least 1ms") }
        try declareTimer("bus.every", context, call, .every(interval), function, options)
        return call.done()
    }

    private static func cron(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let (options, function) = try options(call, of: "bus.cron", known: ["name", "tz", "missed"])
        let expression = text(call, 0)
        guard (1...255).contains(expression.utf8.count) else {
            throw options.missing("a schedule has 1 to 255 bytes, e.g. \"0 7 * * 1-5\"")
        }
        try declareTimer("bus.cron", context, call, .cron(expression, timezone: try options.text("tz")), function, options)
        return call.done()
    }

    private static func declareTimer(
        _ subject: String, _ context: LaneContext, _ call: HostCall, _ schedule: Declarations.Schedule, _ function: Int32,
        _ options: OptionReader
    ) throws(Refusal) {
        let name = try options.text("name")
        var timer = Declarations.Timer(name: "", schedule: schedule, function: function)
        timer.missed = try missed(options)
        timer.place = place(context, call)
        try declare(subject, context) { draft throws(Refusal) in try draft.add(timer, name: name) }
    }

    private static func declare(
        _ subject: String, _ context: LaneContext, _ add: (inout DeclarationDraft) throws(Refusal) -> Void
    ) throws(Refusal) {
        guard context.draft != nil else { throw Refusal("\(subject) is a declaration: it is possible only while main.lua loads") }
        do throws(Refusal) { try add(&context.draft!) } catch { throw Refusal("\(subject): \(error.text)") }
    }

    // MARK: Options

    /// - Parameter argument: which one says where the declaration is: "main.lua:12: ".
    private static func place(_ context: LaneContext, _ call: HostCall, argument: Int = 3) -> Declarations.Place {
        let parts = text(call, argument).split(separator: ":")
        guard parts.count >= 2, let line = Int(parts[1]) else { return Declarations.Place() }
        let file = String(parts[0])
        return Declarations.Place(file: file == context.blueprint.settings.main ? nil : file, line: line)
    }

    private static func options(_ call: HostCall, of subject: String, known: [String]) throws(Refusal) -> (OptionReader, Int32) {
        (try OptionReader(call.bytes(1), of: subject, known: known), call.function(2) ?? 0)
    }

    private static func text(_ call: HostCall, _ index: Int) -> String {
        call.bytes(index).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static func key(_ options: OptionReader) throws(Refusal) -> String? {
        guard let key = try options.text("key") else { return nil }
        let path = key.split(separator: ".", omittingEmptySubsequences: false)
        guard key == "type" || key == "subject" || (path.count > 1 && path[0] == "data" && !path.contains("")) else {
            throw options.wrong("key", "\"type\", \"subject\", or a path in the data such as \"data.customer\"")
        }
        return key
    }

    private static func missed(_ options: OptionReader) throws(Refusal) -> Declarations.Missed {
        guard let text = try options.text("missed") else { return .once }
        guard let missed = Declarations.Missed(rawValue: text) else { throw options.wrong("missed", "\"skip\", \"once\" or \"all\"") }
        return missed
    }

    private static func retry(_ options: OptionReader) throws(Refusal) -> Declarations.Retry {
        var retry = Declarations.Retry()
        guard let policy = try options.options("retry", known: ["attempts", "backoff", "max"]) else { return retry }
        retry.attempts = try policy.integer("attempts", in: 1...1_000)
        retry.backoff = try policy.interval("backoff")
        retry.backoffMax = try policy.interval("max")
        return retry
    }

    private static func batch(_ options: OptionReader) throws(Refusal) -> Declarations.Batch? {
        guard let batch = try options.options("batch", known: ["count", "within"]) else { return nil }
        guard let count = try batch.integer("count", in: 1...1_000) else { throw batch.missing("\"count\" is missing") }
        guard let within = try batch.interval("within") else { throw batch.missing("\"within\" is missing") }
        return Declarations.Batch(count: count, within: within)
    }

    // MARK: Request

    /// Call: `{"name": "request", "type", "data", "timeout_us", "subject", "key"}`; reply: the result.
    private static func request(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let options = try OptionReader(call.bytes(2), of: "bus.request", known: ["timeout", "subject", "key"])
        let type: EventType
        do { type = try EventType(text(call, 0)) } catch { throw Refusal("bad_type: \(error.message)") }
        guard !type.isReserved else {
            throw Refusal(
                "denied: \"\(type)\": types that begin with \"moonbus.\" are reserved for Moonbus itself: choose another first word")
        }
        if let allowed = context.blueprint.settings.emit, !allowed.contains(where: { $0.matches(type) }) {
            throw Refusal("denied: plugin.toml does not allow to emit \"\(type)\"; add it to [permissions] emit")
        }
        let data = call.bytes(1)
        guard data?.count ?? 0 <= Self.dataSizeMax else { throw Refusal("too_large: the data of a request has at most 256 KiB") }
        let (timeout, subject, key) = (
            try options.interval("timeout"), try options.text("subject", sizeMax: 1_024), try options.text("key")
        )
        return try context.wait(for: .request) { json in
            json.append(json: #"{"name":"request","type":"#)
            json.append(jsonString: type.text)
            if let data {
                json.append(json: #","data":"#)
                json.append(bytes: data)
            }
            if let timeout {
                json.append(json: #","timeout_us":"#)
                json.append(jsonInteger: timeout.microseconds)
            }
            if let subject {
                json.append(json: #","subject":"#)
                json.append(jsonString: subject)
            }
            if let key {
                json.append(json: #","key":"#)
                json.append(jsonString: key)
            }
            json.append(json: "}")
        }
    }

    private static let dataSizeMax = 256 << 10
}
