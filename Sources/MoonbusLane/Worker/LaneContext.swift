import CLuaShim
import Glibc
import MoonbusEvents

/// One plugin's `lua_State` on a lane, with what Swift keeps beside it.
///
/// It outlives its state: after a hard kill the state is gone, and ``build()`` makes a new one from the same sources.
final class LaneContext {
    let blueprint: Blueprint
    // The worker owns the context and outlives it.
    unowned(unsafe) let worker: LaneWorker
    /// The shim's context; nil while there is none.
    @exclusivity(unchecked) private(set) var state: OpaquePointer?
    /// What `main.lua` declared, as the host was told; empty until it is loaded.
    private(set) var declared = LaneContext.nothing
    /// Functions of sources that run until they are told to end.
    private var endless: [Int32] = []
    /// What `main.lua` declares while it loads; nil otherwise.
    var draft: DeclarationDraft?
    var kv = KvCache()
    var logs = LogBudget()

    /// It is being unloaded: nothing makes it again.
    var isLeaving = false

    /// The delivery that runs now, in its frame or in its ``TaskState``; nil while loading.
    // Unchecked, here and below: one thread owns all of it, and the checks cost a tenth of a delivery.
    @exclusivity(unchecked) var delivery: UnsafePointer<moonbus_delivery>?
    /// What is kept of the delivery that runs now; made when something asks for it, see ``taskState()``.
    @exclusivity(unchecked) var task: TaskState?
    /// Of deliveries that wait.
    var waiting: [UInt64: TaskState] = [:]

    private static let nothing = JSON(.object([:]))

    init(_ blueprint: Blueprint, worker: LaneWorker) {
        self.blueprint = blueprint
        self.worker = worker
    }

    var identifier: UInt32 { blueprint.context }

    /// `time.now()` of what runs, in microseconds.
    var now: Int64 { delivery?.pointee.now_us ?? Timestamp.now().microseconds }

    /// What is kept of the delivery that runs; nil while loading.
    func taskState() -> TaskState? {
        if let task { return task }
        guard let delivery else { return nil }
        let state = TaskState(delivery.pointee, isSource: endless.contains(delivery.pointee.function))
        task = state
        return state
    }

    /// Drops the state and what waited in it. The cache of the store stays: it says what the host knows, not what the script did.
    func destroy() {
        if let state { moonbus_context_destroy(state) }
        state = nil
        delivery = nil
        task = nil
        waiting = [:]
    }

    // MARK: Building

    /// Makes the state, loads the plugin, and notes what it declared.
    ///
    /// - Throws: the error as JSON, for the host; there is no state then.
    func build() throws(LoadFailure) {
        precondition(state == nil, "a context is built once")
        do throws(LoadFailure) {
            try create()
            try addModules()
            let declarations = try load()
            declared = declarations.json
            endless = declarations.sources.filter { $0.schedule == .run }.map(\.function)
        } catch {
            destroy()
            throw error
        }
    }

    private func create() throws(LoadFailure) {
        guard let functions = Modules.shared else { throw LoadFailure("not enough memory for the library", kind: "memory") }
        var options = moonbus_context_options()
        options.functions = functions.handle
        options.identifier = UInt64(identifier)
        options.memory_bytes = blueprint.settings.memorySize
        options.cpu_us = blueprint.settings.cpuLimit
        options.host = Unmanaged.passUnretained(self).toOpaque()
        options.call = { host, call in
            guard let host, let call else { return Int32(MOONBUS_RAISE.rawValue) }
            return Unmanaged<LaneContext>.fromOpaque(host)._withUnsafeGuaranteedRef { $0.call(HostCall(call)) }
        }
        var reason = [CChar](repeating: 0, count: 256)
        state = moonbus_context_create(worker.lane, &options, &reason, reason.count)
        guard let state else {
            throw LoadFailure(
                "no context: " + String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self), kind: "memory")
        }
        if let patterns = blueprint.settings.emit?.map(\.text).joined(separator: "\n") {
            guard moonbus_context_restrict_emit(state, patterns, patterns.utf8.count) == 0 else {
                throw LoadFailure("not enough memory for its permissions", kind: "memory")
            }
        }
        if let sources = blueprint.settings.sources?.joined(separator: "\n") {
            guard moonbus_context_restrict_sources(state, sources, sources.utf8.count) == 0 else {
                throw LoadFailure("not enough memory for its permissions", kind: "memory")
            }
        }
        try set("config", to: blueprint.settings.config ?? Self.nothing)
    }

    private func set(_ name: String, to json: JSON) throws(LoadFailure) {
        let status = json.withUnsafeBytes { bytes in
            moonbus_context_set(state, "", name, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        guard status == 0 else { throw LoadFailure("not enough memory for its \(name)", kind: "memory") }
    }

    private func addModules() throws(LoadFailure) {
        for file in blueprint.files {
            guard let module = file.module else { continue }
            let status = file.bytes.withUnsafeBytes { bytes in
                moonbus_context_add_module(state, module, file.path, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
            }
            guard status == 0 else { throw LoadFailure("not enough memory for \(file.path)", kind: "memory", file: file.path) }
        }
        guard moonbus_context_seal(state) == 0 else { throw LoadFailure("not enough memory for the library", kind: "memory") }
    }

    private func load() throws(LoadFailure) -> Declarations {
        if blueprint.settings.isCheck { try compileModules() }
        draft = DeclarationDraft(permissions: blueprint.settings.subscribe)
        defer { draft = nil }
        let file = blueprint.mainFile
        let status = file.bytes.withUnsafeBytes { bytes in
            moonbus_context_load(
                state, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, blueprint.settings.main, UInt64.max)
        }
        guard status == MOONBUS_DONE, let draft else { throw failure() }
        return draft.declarations
    }

    /// A check also finds mistakes in modules that nobody requires.
    private func compileModules() throws(LoadFailure) {
        for file in blueprint.files where file.module != nil {
            let status = file.bytes.withUnsafeBytes { bytes in
                moonbus_context_compile(state, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, file.path)
            }
            guard status == MOONBUS_DONE else { throw failure() }
        }
    }

    private func failure() -> LoadFailure {
        var size = 0
        guard let error = moonbus_context_error(state, &size), size > 0 else { return LoadFailure("it can't be loaded", kind: "error") }
        return LoadFailure(json: Array(UnsafeRawBufferPointer(start: error, count: size)))
    }
}

/// Why a context could not be made: the error JSON of docs/frames.md.
struct LoadFailure: Error {
    let json: [UInt8]

    init(json: [UInt8]) {
        self.json = json
    }

    init(_ message: String, kind: String, file: String = Blueprint.main) {
        let error: JSONValue = ["message": .string(message), "kind": .string(kind), "file": .string(file), "line": 0, "traceback": ""]
        json = JSON(error).withUnsafeBytes { Array($0) }
    }
}
