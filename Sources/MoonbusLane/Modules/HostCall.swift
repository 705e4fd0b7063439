import CLuaShim

/// One call from Lua: what the script gave, and where the answer goes.
///
/// Arguments are valid until the host function returns; text that is returned lies in the worker's scratch buffer,
/// which is emptied before each call.
struct HostCall {
    let raw: UnsafeMutablePointer<moonbus_host_call>

    init(_ raw: UnsafeMutablePointer<moonbus_host_call>) {
        self.raw = raw
    }

    // MARK: Arguments

    func kind(_ index: Int) -> moonbus_kind {
        guard index < Int(raw.pointee.argument_count) else { return MOONBUS_NIL }
        return moonbus_kind(rawValue: raw.pointee.arguments[index].kind)
    }

    /// A string or the JSON of a table; nil when there is none.
    func bytes(_ index: Int) -> UnsafeRawBufferPointer? {
        switch kind(index) {
        case MOONBUS_STRING, MOONBUS_JSON:
            let value = raw.pointee.arguments[index]
            return UnsafeRawBufferPointer(start: value.as.bytes, count: Int(value.size))
        default: return nil
        }
    }

    func integer(_ index: Int) -> Int64? {
        switch kind(index) {
        case MOONBUS_INTEGER: raw.pointee.arguments[index].as.integer
        default: nil
        }
    }

    func number(_ index: Int) -> Double? {
        switch kind(index) {
        case MOONBUS_NUMBER: raw.pointee.arguments[index].as.number
        case MOONBUS_INTEGER: Double(raw.pointee.arguments[index].as.integer)
        default: nil
        }
    }

    func boolean(_ index: Int) -> Bool? {
        kind(index) == MOONBUS_BOOLEAN ? raw.pointee.arguments[index].as.integer != 0 : nil
    }

    /// A reference to a Lua function; nil when the argument is none.
    func function(_ index: Int) -> Int32? {
        kind(index) == MOONBUS_FUNCTION ? Int32(truncatingIfNeeded: raw.pointee.arguments[index].as.integer) : nil
    }

    // MARK: Answers

    /// Returns nothing.
    func done() -> Verdict {
        raw.pointee.result_count = 0
        return .returned
    }

    func returns(_ integer: Int64) -> Verdict {
        answer(moonbus_value(kind: MOONBUS_INTEGER.rawValue, size: 0, as: .init(integer: integer)))
    }

    func returns(_ number: Double) -> Verdict {
        answer(moonbus_value(kind: MOONBUS_NUMBER.rawValue, size: 0, as: .init(number: number)))
    }

    func returns(_ boolean: Bool) -> Verdict {
        answer(moonbus_value(kind: MOONBUS_BOOLEAN.rawValue, size: 0, as: .init(integer: boolean ? 1 : 0)))
    }

    /// Returns what lies in the scratch buffer.
    func returns(_ kind: moonbus_kind, _ scratch: FrameBuffer) -> Verdict {
        answer(moonbus_value(kind, scratch.bytes))
    }

    /// Raises an error in the script; the shim adds where.
    func raises(_ refusal: Refusal, _ scratch: FrameBuffer) -> Verdict {
        scratch.removeAll()
        scratch.append(text: refusal.text)
        raw.pointee.results.0 = moonbus_value(MOONBUS_STRING, scratch.bytes)
        raw.pointee.result_count = 1
        return .raised
    }

    private func answer(_ value: moonbus_value) -> Verdict {
        raw.pointee.results.0 = value
        raw.pointee.result_count = 1
        return .returned
    }
}

/// What a host function tells the shim to do.
enum Verdict: Int32 {
    case returned = 0
    case raised = 1
    case waits = 2
}

extension moonbus_value {
    /// - Parameter bytes: valid as long as the shim needs them, see CLuaShim.h.
    init(_ kind: moonbus_kind, _ bytes: UnsafeRawBufferPointer) {
        self.init(
            kind: kind.rawValue, size: UInt32(bytes.count), as: .init(bytes: bytes.baseAddress?.assumingMemoryBound(to: CChar.self)))
    }
}
