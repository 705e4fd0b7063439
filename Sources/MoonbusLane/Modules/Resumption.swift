import CLuaShim

/// How a script goes on that waited.
enum Resumption {
    /// The function returns nothing.
    case nothing
    /// The function returns the JSON value in the worker's scratch buffer.
    case json
    case integer(Int64)
    /// The function raises.
    case raise(String)

    /// Calls `body` with what `moonbus_context_resume` takes.
    func withValues<R>(_ scratch: FrameBuffer, _ body: (Bool, UnsafePointer<moonbus_value>?, UInt32) -> R) -> R {
        var value = moonbus_value()
        switch self {
        case .nothing: return body(true, nil, 0)
        case .json: value = moonbus_value(MOONBUS_JSON, scratch.bytes)
        case .integer(let integer): value = moonbus_value(kind: MOONBUS_INTEGER.rawValue, size: 0, as: .init(integer: integer))
        case .raise(let text):
            scratch.removeAll()
            scratch.append(text: text)
            value = moonbus_value(MOONBUS_STRING, scratch.bytes)
            return body(false, &value, 1)
        }
        return body(true, &value, 1)
    }
}

extension PendingCall {
    /// Turns the host's reply into what the script gets. JSON that it returns is written to the worker's scratch buffer.
    func answer(_ content: UnsafeRawBufferPointer, _ context: LaneContext, _ task: TaskState) -> Resumption {
        switch kind {
        case .sleep: return .nothing
        case .request:
            if content.isEmpty { return .nothing }
            context.worker.scratch.append(bytes: content)
            return .json
        case .get(let key): return KvModule.got(key, content, context, task)
        case .increment(let key, let amount): return KvModule.incremented(key, by: amount, content, context, task)
        case .scan(let prefix, let limit): return KvModule.scanned(prefix, limit: limit, content, context, task)
        }
    }
}
