import CLuaShim
import Glibc

/// `log` and `print`: lines in the host's log, with the plugin and the event that they are about.
///
/// ```lua
/// --- log.debug(text, fields) · log.info · log.warn · log.error      [call]
/// --- print(…)                                                       [call], the same as log.info
/// --- text: cut at 8 KiB.  fields: a table, at most 16 KiB encoded.  200 lines a second, 1,000 at once: what is more is
/// --- suppressed, and said so. Lines stay when the handler fails.
/// ```
enum LogModule {
    private static let textSizeMax = 8 << 10
    private static let fieldsSizeMax = 16 << 10

    static let functions = [
        ModuleFunction("log", "debug", "vJ") { context, call in log(context, call, "debug") },
        ModuleFunction("log", "info", "vJ") { context, call in log(context, call, "info") },
        ModuleFunction("log", "warn", "vJ") { context, call in log(context, call, "warn") },
        ModuleFunction("log", "error", "vJ") { context, call in log(context, call, "error") },
        ModuleFunction("", "print", "*") { context, call in print(context, call) },
    ]

    private static func log(_ context: LaneContext, _ call: HostCall, _ level: StaticString) -> Verdict {
        append(call, 0, to: context.worker.scratch)
        write(context, level, context.worker.scratch.bytes, fields: call.bytes(1))
        return call.done()
    }

    private static func print(_ context: LaneContext, _ call: HostCall) -> Verdict {
        let line = context.worker.scratch
        for index in 0..<Int(call.raw.pointee.argument_count) {
            if index > 0 { line.append(UInt8(ascii: " ")) }
            append(call, index, to: line)
        }
        write(context, "info", line.bytes, fields: nil)
        return call.done()
    }

    private static func append(_ call: HostCall, _ index: Int, to line: FrameBuffer) {
        switch call.kind(index) {
        case MOONBUS_STRING:
            if let text = call.bytes(index) { line.append(bytes: UnsafeRawBufferPointer(rebasing: text.prefix(textSizeMax))) }
        case MOONBUS_BOOLEAN: line.append(text: call.boolean(index) == true ? "true" : "false")
        case MOONBUS_INTEGER: line.append(text: String(call.integer(index) ?? 0))
        case MOONBUS_NUMBER: line.append(text: String(call.number(index) ?? 0))
        default: line.append(text: "nil")
        }
    }

    // MARK: Frames

    private static func write(
        _ context: LaneContext, _ level: StaticString, _ text: UnsafeRawBufferPointer, fields: UnsafeRawBufferPointer?
    ) {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        switch context.logs.take(now: Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)) {
        case .suppress: return
        case .warn: notice(context, "too many log lines: from here on they are suppressed (limit: 200 a second)")
        case .write(let suppressed):
            if suppressed > 0 { notice(context, "\(suppressed) log lines were suppressed") }
            var fields = fields
            if let size = fields?.count, size > fieldsSizeMax { fields = nil }
            append(context, level, UnsafeRawBufferPointer(rebasing: text.prefix(textSizeMax)), fields: fields)
        }
    }

    private static func notice(_ context: LaneContext, _ text: String) {
        var text = text
        text.withUTF8 { append(context, "warn", UnsafeRawBufferPointer($0), fields: nil) }
    }

    /// `{"level", "text", "fields", "delivery"}`; no delivery while the plugin loads.
    private static func append(
        _ context: LaneContext, _ level: StaticString, _ text: UnsafeRawBufferPointer, fields: UnsafeRawBufferPointer?
    ) {
        let json = FrameBuffer(capacity: 256 + text.count)
        json.append(json: #"{"level":""#)
        json.append(json: level)
        json.append(json: #"","text":"#)
        json.append(jsonString: text)
        if let fields {
            json.append(json: #","fields":"#)
            json.append(bytes: fields)
        }
        if let delivery = context.delivery?.pointee.delivery {
            json.append(json: #","delivery":"#)
            json.append(text: String(delivery))
        }
        json.append(json: "}")
        context.worker.output.frames.appendLog(context: context.identifier, json: json.bytes)
    }
}
