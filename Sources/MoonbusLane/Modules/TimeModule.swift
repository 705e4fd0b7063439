import CLuaShim
import MoonbusEvents

/// `time`, but for `time.now`, which is in CLuaShim: it is the delivery's, not the clock's.
///
/// ```lua
/// --- time.sleep(duration)            [call], waits
/// --- time.parse(text) -> seconds     [call]  RFC 3339 → seconds since 1970; raises on anything else
/// --- time.format(seconds) -> text    [call]  RFC 3339 in UTC, to the microsecond
/// ```
enum TimeModule {
    static let functions = [
        ModuleFunction("time", "sleep", "d") { context, call throws(Refusal) in try sleep(context, call) },
        ModuleFunction("time", "parse", "s") { _, call throws(Refusal) in try parse(call) },
        ModuleFunction("time", "format", "n") { context, call throws(Refusal) in try format(context, call) },
    ]

    /// Call: `{"name": "sleep", "duration_us"}`; reply: anything, once the time is over.
    private static func sleep(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let duration = call.integer(0) ?? 0
        return try context.wait(for: .sleep) { json in
            json.append(json: #"{"name":"sleep","duration_us":"#)
            json.append(jsonInteger: duration)
            json.append(json: "}")
        }
    }

    private static func parse(_ call: HostCall) throws(Refusal) -> Verdict {
        guard let text = call.bytes(0), let instant = Timestamp(rfc3339: text) else {
            throw Refusal("time.parse: not RFC 3339, e.g. \"2026-03-01T07:30:00Z\"")
        }
        return call.returns(Double(instant.microseconds) / 1e6)
    }

    private static func format(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let microseconds = (call.number(0) ?? .nan) * 1e6
        guard microseconds >= Double(Timestamp.earliest.microseconds), microseconds < Double(Timestamp.latest.microseconds) else {
            throw Refusal("time.format: the seconds are outside of the years 0 to 9999")
        }
        context.worker.scratch.append(text: Timestamp(microseconds: Int64(microseconds.rounded())).description)
        return call.returns(MOONBUS_STRING, context.worker.scratch)
    }
}
