import CLuaShim
import MoonbusLua

/// A context with a small host: what the tests of this target run scripts in.
///
///     host.on(f)      registers the handler: events go to the last one
///     host.note(…)    adds to ``notes``
///     host.wait()     waits until ``resume(_:)``
///     host.add1(n)    n + 1
///     host.fail(text) raises
final class Script {
    let context: LuaContext
    let lane: LuaLane
    private let log: Log

    private final class Log {
        var notes: [String] = []
        var handlers: [Int32] = []
    }

    init(
        on lane: LuaLane, limits: LuaLimits = .quick, prelude: (LuaContext) -> Void = { _ in }, _ source: String
    ) throws {
        let log = Log()
        context = try LuaContext(on: lane, limits: limits) { call in
            switch (call.name, call.arguments.first) {
            case ("host.on", .function(let reference)): log.handlers.append(reference)
            case ("host.note", _), ("print", _): log.notes.append(call.arguments.map(\.text).joined(separator: " "))
            case ("host.wait", _): return .wait
            case ("host.add1", .integer(let integer)): return .values([.integer(integer &+ 1)])
            case ("host.fail", .string(let text)): return .error(text)
            case ("host.json", .json(let text)): return .values([.json(text)])
            default: return .values(Array(call.arguments.prefix(4)))
            }
            return .values([])
        }
        self.lane = lane
        self.log = log
        let functions = [
            "host.on": "f", "host.note": "*", "print": "*", "host.wait": "", "host.add1": "i", "host.fail": "s", "host.json": "j",
            "host.table": "t", "host.duration": "d", "host.optional": "sS",
        ]
        for (name, signature) in functions.sorted(by: { $0.key < $1.key }) { context.register(name, signature: signature) }
        prelude(context)
        context.seal()
        try context.load(source)
    }

    var notes: [String] { log.notes }

    /// Delivers an event to the last registered handler.
    @discardableResult
    func send(
        _ data: String? = nil, type: String = "order.created", to handler: Int? = nil, delivery: UInt64 = 1, cpu: Duration? = nil,
        change: (inout moonbus_delivery) -> Void = { _ in }
    ) -> LuaOutcome? {
        deliver([EventRecord(type: type, data: data)], to: handler, delivery: delivery, cpu: cpu, change: change)
    }

    @discardableResult
    func deliver(
        _ events: [EventRecord], to handler: Int? = nil, delivery: UInt64 = 1, cpu: Duration? = nil,
        change: (inout moonbus_delivery) -> Void = { _ in }
    ) -> LuaOutcome? {
        var flat = moonbus_delivery()
        flat.delivery = delivery
        flat.function = log.handlers[handler ?? log.handlers.count - 1]
        flat.event_count = UInt16(events.count)
        flat.attempt = 1
        flat.now_us = 1_700_000_000_123_456
        flat.seed = 42
        flat.cpu_us = cpu.map { UInt32($0 / .microseconds(1)) } ?? 0
        change(&flat)
        status = EventRecord.withPointers(events) { context.deliver(flat, records: $0) }
        return lane.takeOutcomes().last
    }

    /// Of the last call.
    private(set) var status = LuaStatus.done

    func resume(_ values: LuaValue..., delivery: UInt64 = 1) -> LuaOutcome? {
        status = context.resume(delivery, with: values)
        return lane.takeOutcomes().last
    }

    func resume(throwing text: String, delivery: UInt64 = 1) -> LuaOutcome? {
        status = context.resume(delivery, throwing: text)
        return lane.takeOutcomes().last
    }

    func cancel(_ reason: String, delivery: UInt64 = 1) -> LuaOutcome? {
        status = context.cancel(delivery, reason: reason)
        return lane.takeOutcomes().last
    }
}

extension LuaLimits {
    /// Long enough for a busy machine and for sanitizers.
    static var quick: LuaLimits {
        var limits = LuaLimits()
        limits.memoryBytes = 16 << 20
        limits.cpu = .seconds(2)
        limits.grace = .milliseconds(50)
        return limits
    }

    static func quick(cpu: Duration, grace: Duration = .milliseconds(5), memory: Int = 16 << 20) -> LuaLimits {
        var limits = LuaLimits.quick
        limits.cpu = cpu
        limits.grace = grace
        limits.memoryBytes = memory
        return limits
    }
}

extension LuaValue {
    var text: String {
        switch self {
        case .absent: "nil"
        case .boolean(let flag): "\(flag)"
        case .integer(let integer): "\(integer)"
        case .number(let number): "\(number)"
        case .string(let text), .json(let text): text
        case .function: "function"
        }
    }
}

/// Runs `expression` in a fresh context and gives its value as JSON, or the error's message.
func evaluate(_ expression: String, limits: LuaLimits = .quick) throws -> String {
    try onLane { lane in
        let script = try Script(on: lane, limits: limits, "host.on(function() return \(expression) end)")
        let outcome = try unwrap(script.send(), "no outcome")
        return outcome.status == .done ? outcome.text : outcome.message
    }
}

extension LuaOutcome {
    /// The member of an error's JSON.
    func member(_ name: String) -> String? { text.member(name) }
    var message: String { member("message") ?? text }
}

extension String {
    /// A string or number member of a flat JSON object; escapes are left as they are.
    func member(_ name: String) -> String? {
        guard let key = range(of: "\"\(name)\":") else { return nil }
        let rest = self[key.upperBound...]
        guard rest.first == "\"" else { return String(rest.prefix { $0 != "," && $0 != "}" }) }
        var value = ""
        var isEscaped = false
        for character in rest.dropFirst() {
            if character == "\"" && !isEscaped { break }
            isEscaped = character == "\\" && !isEscaped
            value.append(character)
        }
        return value
    }

    func range(of part: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
            start = index(after: start)
        }
        return nil
    }

    func contains(text part: String) -> Bool { range(of: part) != nil }
}
