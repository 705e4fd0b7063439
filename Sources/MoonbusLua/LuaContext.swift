package import CLuaShim

/// One Lua state with its own limits, on a lane.
///
///     let context = try LuaContext(on: lane) { call in .values([.integer(42)]) }
///     context.register("host.answer", signature: "")
///     context.seal()
///     try context.load("print(host.answer())", chunk: "main.lua")
///
/// Not `Sendable`: it belongs to its lane's thread. Script errors never unwind through Swift: the host function returns
/// a verdict, and the C side raises or waits when that function's frame is gone.
package final class LuaContext {
    /// What a script asked the host for.
    package struct Call {
        /// As it was registered: "kv.get".
        package let name: String
        package let arguments: [LuaValue]
        /// The run that asks: to be resumed, when the answer is ``Answer/wait``.
        package let task: UInt64
    }

    package enum Answer {
        /// At most four values.
        case values([LuaValue])
        /// Raised in the script.
        case error(String)
        /// Suspends the run until ``LuaContext/resume(_:with:)``.
        case wait
    }

    /// The shim's context, for callers that go past this layer.
    package let handle: OpaquePointer
    private let lane: LuaLane
    private let host: Host

    /// - Parameter answer: called on the lane's thread for each call of a registered function; it must not call back
    ///   into the context, but for ``stage(_:)`` and ``checkpoint()``.
    /// - Throws: ``LuaFault`` `.memory` when the limits do not even hold the library.
    package init(on lane: LuaLane, limits: LuaLimits = .init(), identifier: UInt64 = 1, answer: @escaping (Call) -> Answer) throws(LuaFault)
    {
        let host = Host(answer)
        var options = limits.options(identifier: identifier)
        options.host = Unmanaged.passUnretained(host).toOpaque()
        options.call = { host, call in
            guard let host, let call else { return Int32(MOONBUS_RAISE.rawValue) }
            return Unmanaged<Host>.fromOpaque(host).takeUnretainedValue().take(call)
        }
        var reason = [CChar](repeating: 0, count: 256)
        guard let handle = moonbus_context_create(lane.handle, &options, &reason, reason.count) else {
            throw LuaFault(status: .memory, json: String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        self.handle = handle
        self.lane = lane
        self.host = host
    }

    deinit {
        moonbus_context_destroy(handle)
        host.results.removeAll()
    }

    // MARK: Furnishing

    /// Makes `name` ("kv.get", or "print" for a global) a host function. For the letters of a signature see CLuaShim.h.
    ///
    /// - Returns: false when out of memory.
    @discardableResult
    package func register(_ name: String, signature: String) -> Bool {
        let (table, field) = name.splitAtDot
        host.names.append(name)
        return moonbus_context_register(handle, table, field, signature, UInt32(host.names.count - 1)) == 0
    }

    /// Sets a read-only value; false when out of memory, or when the text is not JSON.
    @discardableResult
    package func set(_ name: String, json: String) -> Bool {
        let (table, field) = name.splitAtDot
        return moonbus_context_set(handle, table, field, json, json.utf8.count) == 0
    }

    /// What `require(name)` finds; false when out of memory.
    @discardableResult
    package func addModule(_ name: String, chunk: String, source: String) -> Bool {
        moonbus_context_add_module(handle, name, chunk, source, source.utf8.count) == 0
    }

    /// Limits what the script may emit.
    @discardableResult
    package func restrictEmit(to patterns: [String]) -> Bool {
        let joined = patterns.joined(separator: "\n")
        return moonbus_context_restrict_emit(handle, joined, joined.utf8.count) == 0
    }

    /// Limits what the script may give as an event's source; the first one is its own.
    @discardableResult
    package func restrictSources(to sources: [String]) -> Bool {
        let joined = sources.joined(separator: "\n")
        return moonbus_context_restrict_sources(handle, joined, joined.utf8.count) == 0
    }

    /// Makes the API tables read-only for the script.
    @discardableResult
    package func seal() -> Bool { moonbus_context_seal(handle) == 0 }

    // MARK: Running

    /// Compiles and runs a chunk within the limits.
    package func load(_ source: String, chunk: String = "main.lua", task: UInt64 = 1) throws(LuaFault) {
        try check(moonbus_context_load(handle, source, source.utf8.count, chunk, task))
    }

    /// Only compiles.
    package func compile(_ source: String, chunk: String = "main.lua") throws(LuaFault) {
        try check(moonbus_context_compile(handle, source, source.utf8.count, chunk))
    }

    /// Runs `delivery.function` with what the records (docs/frames.md, "Event record") say. Unless it waits, its outcome
    /// is at ``LuaLane/takeOutcomes()``.
    package func deliver(_ delivery: moonbus_delivery, records: [UnsafePointer<UInt8>?]) -> LuaStatus {
        withUnsafePointer(to: delivery) { LuaStatus(moonbus_context_deliver(handle, $0, records)) }
    }

    /// Goes on where a host function said wait.
    package func resume(_ task: UInt64, with values: [LuaValue]) -> LuaStatus {
        resume(task, ok: true, values)
    }

    /// Goes on with an error, which the script may catch.
    package func resume(_ task: UInt64, throwing message: String) -> LuaStatus {
        resume(task, ok: false, [.string(message)])
    }

    /// Unwinds a waiting task under the CPU limit; its outcome says cancelled, with `reason`.
    package func cancel(_ task: UInt64, reason: String) -> LuaStatus {
        LuaStatus(moonbus_context_cancel(handle, task, reason))
    }

    /// Tasks that wait for the host, also in a dead context.
    package var waiting: [UInt64] {
        [UInt64](unsafeUninitializedCapacity: moonbus_context_waiting(handle, nil, 0)) { tasks, count in
            count = moonbus_context_waiting(handle, tasks.baseAddress, tasks.count)
        }
    }

    package var usage: moonbus_context_usage { moonbus_context_measure(handle) }

    // MARK: For host functions

    /// Adds a raw effect (docs/frames.md) to the running task; false over a bound.
    package func stage(_ effect: [UInt8]) -> Bool { moonbus_context_stage(handle, effect, effect.count) }

    /// Sends what the running task has staged so far as an outcome of its own.
    package func checkpoint() -> Bool { moonbus_context_checkpoint(handle) }

    // MARK: Private

    private func resume(_ task: UInt64, ok: Bool, _ values: [LuaValue]) -> LuaStatus {
        var list = LuaValueList()
        defer { list.removeAll() }
        for value in values { list.append(value) }
        return LuaStatus(moonbus_context_resume(handle, task, ok, list.values, UInt32(list.values.count)))
    }

    private func check(_ status: moonbus_status) throws(LuaFault) {
        guard status != MOONBUS_DONE else { return }
        var size = 0
        let text = moonbus_context_error(handle, &size)
        throw LuaFault(status: LuaStatus(status), json: String(decoding: UnsafeRawBufferPointer(start: text, count: size), as: UTF8.self))
    }
}

/// The host's side of calls. Apart from the context, so that the shim may hold a pointer to it from the start.
private final class Host {
    let answer: (LuaContext.Call) -> LuaContext.Answer
    var names: [String] = []
    /// Of the last call; the shim reads them after it has returned.
    var results = LuaValueList()

    init(_ answer: @escaping (LuaContext.Call) -> LuaContext.Answer) {
        self.answer = answer
    }

    func take(_ call: UnsafeMutablePointer<moonbus_host_call>) -> Int32 {
        let arguments = UnsafeBufferPointer(start: call.pointee.arguments, count: Int(call.pointee.argument_count))
        let asked = LuaContext.Call(
            name: names[Int(call.pointee.function)], arguments: arguments.map(LuaValue.init), task: call.pointee.task)
        results.removeAll()
        switch answer(asked) {
        case .values(let values):
            give(values, to: call)
            return Int32(MOONBUS_RETURN.rawValue)
        case .error(let message):
            give([.string(message)], to: call)
            return Int32(MOONBUS_RAISE.rawValue)
        case .wait:
            return Int32(MOONBUS_WAIT.rawValue)
        }
    }

    private func give(_ values: [LuaValue], to call: UnsafeMutablePointer<moonbus_host_call>) {
        precondition(values.count <= Int(MOONBUS_RESULTS_MAX), "a host function has at most four results")
        for value in values { results.append(value) }
        call.pointee.result_count = UInt32(values.count)
        withUnsafeMutableBytes(of: &call.pointee.results) { slots in
            for (index, value) in results.values.enumerated() { slots.assumingMemoryBound(to: moonbus_value.self)[index] = value }
        }
    }
}

extension String {
    /// "kv.get" is ("kv", "get"); "print" is ("", "print").
    fileprivate var splitAtDot: (String, String) {
        guard let dot = firstIndex(of: ".") else { return ("", self) }
        return (String(self[..<dot]), String(self[index(after: dot)...]))
    }
}
