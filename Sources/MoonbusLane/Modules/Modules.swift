import CLuaShim

/// Everything that a script can call and that is not pure C: the list that a security review starts from.
///
/// `bus.emit`, `bus.reject`, `bus.retry`, `json`, `time.now`, `require` and the standard library are in CLuaShim.
enum Modules {
    /// In the order of their ids.
    static let functions: [ModuleFunction] =
        BusModule.functions + KvModule.functions + LogModule.functions + TimeModule.functions + CryptoModule.functions

    /// The same list, as the shim keeps it for all contexts of the process; nil when there was no memory for it.
    static let shared = SharedFunctions(functions)
}

/// `@unchecked Sendable`: nothing changes in it once it is made.
struct SharedFunctions: @unchecked Sendable {
    let handle: OpaquePointer

    init?(_ functions: [ModuleFunction]) {
        guard let handle = moonbus_functions_create() else { return nil }
        for (index, function) in functions.enumerated() {
            let status = moonbus_functions_add(
                handle, function.table.pointer, function.name.pointer, function.signature.pointer, UInt32(index))
            guard status == 0 else { return nil }
        }
        self.handle = handle
    }
}

/// A host function and how Lua calls it.
struct ModuleFunction: Sendable {
    /// `""` for a global.
    let table: CText
    let name: CText
    /// See `moonbus_context_register`.
    let signature: CText
    let body: @Sendable (LaneContext, HostCall) throws(Refusal) -> Verdict

    init(
        _ table: StaticString, _ name: StaticString, _ signature: StaticString,
        _ body: @escaping @Sendable (LaneContext, HostCall) throws(Refusal) -> Verdict
    ) {
        self.table = CText(table)
        self.name = CText(name)
        self.signature = CText(signature)
        self.body = body
    }
}

/// A literal as C wants it: NUL-terminated, at one address for ever.
struct CText: Sendable {
    private let text: StaticString

    init(_ text: StaticString) {
        self.text = text
    }

    var pointer: UnsafePointer<CChar> { UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self) }
}

extension LaneContext {
    /// Runs a host function for the script. What it refuses is raised there.
    func call(_ call: HostCall) -> Int32 {
        let scratch = worker.scratch
        scratch.removeAll()
        do throws(Refusal) {
            return try Modules.functions[Int(call.raw.pointee.function)].body(self, call).rawValue
        } catch {
            return call.raises(error, scratch).rawValue
        }
    }

    // MARK: What modules build on

    /// Adds an effect to the delivery that runs.
    func stage(_ effect: [UInt8]) throws(Refusal) {
        if let task { try stageDeferred(of: task) }
        guard effect.withUnsafeBytes({ moonbus_context_stage(state, $0.baseAddress, $0.count) }) else {
            throw Refusal("too_large: the effects of this handler are over their limit, 4 MiB")
        }
    }

    private func stageDeferred(of task: TaskState) throws(Refusal) {
        guard !task.deferred.isEmpty else { return }
        let effects = task.deferred
        guard effects.withUnsafeBytes({ moonbus_context_stage(state, $0.baseAddress, $0.count) }) else {
            throw Refusal("too_large: the effects of this handler are over their limit, 4 MiB")
        }
        task.deferred = []
    }

    /// Sets the script aside until the host replies.
    ///
    /// - Parameter request: writes the call's JSON.
    func wait(for kind: PendingCall.Kind, _ request: (FrameBuffer) -> Void) throws(Refusal) -> Verdict {
        guard let task = taskState() else { throw Refusal("can't wait while the plugin loads") }
        try stageDeferred(of: task)
        if task.isSource { try checkpoint(task) }
        worker.forgetCall(of: task)
        task.call = worker.nextCall()
        worker.calls[task.call] = PendingCall(context: identifier, task: task.delivery.delivery, kind: kind)
        let json = worker.scratch
        json.removeAll()
        request(json)
        worker.calling.appendCall(task.call, delivery: task.delivery.delivery, context: identifier, json: json.bytes)
        return .waits
    }

    /// A source never returns: what it staged is committed whenever it waits.
    private func checkpoint(_ task: TaskState) throws(Refusal) {
        guard moonbus_context_checkpoint(state) else { throw Refusal("too_large: the lane's output is full") }
        task.kv.apply(to: &kv, now: task.delivery.now_us)
        task.kv = StagedKv()
    }
}
