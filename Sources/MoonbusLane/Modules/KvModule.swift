import CLuaShim
import MoonbusEvents

/// `kv`: the plugin's own store.
///
/// ```lua
/// --- kv.get(key) -> value or nil                 [call], may wait for the host once per key
/// --- kv.set(key, value, {ttl=})                  [effect]
/// --- kv.incr(key, n = 1) -> sum                  [effect], may wait
/// --- kv.delete(key)                              [effect]
/// --- kv.scan(prefix, {limit=}) -> {{key=, value=}, …} in key order, default limit 1,000      [call], waits
/// --- key: 1-512 bytes of UTF-8.  value: anything JSON can hold, at most 256 KiB encoded.
/// ```
/// A handler reads its own staged writes. What it read is settled with it: if that has changed by then, it runs again. So there is no
/// compare-and-set: `if kv.get(k) == a then kv.set(k, b) end` is one. (A version that a script could keep from one event to the next
/// was refused: it says no more than the value does, and does not survive the JSON readers that know only 53 bits of an integer.)
///
/// A scan is settled by what it found, entry by entry; keys that come under its prefix later are not noticed.
///
/// Calls to the host, and its replies:
///
/// | call | reply |
/// |---|---|
/// | `{"name": "kv.get", "key"}` | `{"value", "version", "expiry_us"}`: version 0 when absent; expiry (0 or left out: none) in µs since 1970 |
/// | `{"name": "kv.scan", "prefix", "limit"}` | `[{"key", "value", "version"}, …]`: the first `limit` in the order of the keys' bytes |
enum KvModule {
    static let valueSizeMax = 256 << 10
    private static let scanMax: Int64 = 10_000

    static let functions = [
        ModuleFunction("kv", "get", "s") { context, call throws(Refusal) in try get(context, call) },
        ModuleFunction("kv", "set", "sjT") { context, call throws(Refusal) in try set(context, call) },
        ModuleFunction("kv", "incr", "sI") { context, call throws(Refusal) in try increment(context, call) },
        ModuleFunction("kv", "delete", "s") { context, call throws(Refusal) in try delete(context, call) },
        ModuleFunction("kv", "scan", "sT") { context, call throws(Refusal) in try scan(context, call) },
    ]

    // MARK: Called by the script

    private static func get(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let (key, task) = (try key(call), try task(context))
        guard let known = try value(of: key, context, task) else { return try ask(for: key, .get(key), context) }
        guard let value = known.value else { return call.done() }
        context.worker.scratch.append(bytes: value)
        return call.returns(MOONBUS_JSON, context.worker.scratch)
    }

    private static func set(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let (key, task) = (try key(call), try task(context))
        guard let value = call.bytes(1) else { throw Refusal("kv.set: the value is nil; to remove a key call kv.delete") }
        guard value.count <= valueSizeMax else {
            throw Refusal("too_large: a value has at most 256 KiB, this one has \(value.count) bytes")
        }
        var expiry: Int64 = 0
        if let ttl = try OptionReader(call.bytes(2), of: "kv.set", known: ["ttl"]).interval("ttl") {
            expiry = (Timestamp(microseconds: task.delivery.now_us) + ttl).microseconds
        }
        let version = context.worker.versions.next()
        try context.stage(KvEffect.set(key, value, expiry: expiry, version: version))
        task.kv.write(.set(Array(value), expiry: expiry, version: version), to: key)
        return call.done()
    }

    private static func increment(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let (key, task) = (try key(call), try task(context))
        let amount = call.integer(1) ?? 1
        guard let known = try value(of: key, context, task) else { return try ask(for: key, .increment(key, amount), context) }
        let (effect, sum) = try incrementing(key, from: known, by: amount, context, task)
        try context.stage(effect)
        return call.returns(sum)
    }

    private static func delete(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let (key, task) = (try key(call), try task(context))
        try context.stage(KvEffect.delete(key))
        task.kv.write(.deleted, to: key)
        return call.done()
    }

    private static func scan(_ context: LaneContext, _ call: HostCall) throws(Refusal) -> Verdict {
        let task = try task(context)
        let prefix = Array(call.bytes(0) ?? UnsafeRawBufferPointer(start: nil, count: 0))
        guard prefix.count <= KvKey.sizeMax, String(validating: prefix, as: UTF8.self) != nil else {
            throw Refusal("bad_key: a prefix is UTF-8 of at most \(KvKey.sizeMax) bytes")
        }
        let limit = try OptionReader(call.bytes(1), of: "kv.scan", known: ["limit"]).integer("limit", in: 1...scanMax) ?? 1_000
        // Keys that this handler has deleted must not use up the limit.
        let deleted = task.kv.writes.count { key, write in if case .deleted = write { key.bytes.starts(with: prefix) } else { false } }
        return try context.wait(for: .scan(prefix: prefix, limit: limit)) { json in
            json.append(json: #"{"name":"kv.scan","prefix":"#)
            prefix.withUnsafeBytes { json.append(jsonString: $0) }
            json.append(json: #","limit":"#)
            json.append(jsonInteger: Int64(limit + deleted))
            json.append(json: "}")
        }
    }

    private static func ask(for key: KvKey, _ kind: PendingCall.Kind, _ context: LaneContext) throws(Refusal) -> Verdict {
        try context.wait(for: kind) { json in
            json.append(json: #"{"name":"kv.get","key":"#)
            key.bytes.withUnsafeBytes { json.append(jsonString: $0) }
            json.append(json: "}")
        }
    }

    // MARK: The host's answers

    /// Goes on with `kv.get`.
    static func got(_ key: KvKey, _ reply: UnsafeRawBufferPointer, _ context: LaneContext, _ task: TaskState) -> Resumption {
        guard let value = learn(key, reply, context, task).value else { return .nothing }
        context.worker.scratch.append(bytes: value)
        return .json
    }

    /// Goes on with `kv.incr`.
    static func incremented(
        _ key: KvKey, by amount: Int64, _ reply: UnsafeRawBufferPointer, _ context: LaneContext, _ task: TaskState
    ) -> Resumption {
        do throws(Refusal) {
            let (effect, sum) = try incrementing(key, from: learn(key, reply, context, task), by: amount, context, task)
            task.deferred += effect
            return .integer(sum)
        } catch {
            return .raise(error.text)
        }
    }

    /// Goes on with `kv.scan`: the host's entries, overlaid with what this handler has written.
    static func scanned(
        _ prefix: [UInt8], limit: Int, _ reply: UnsafeRawBufferPointer, _ context: LaneContext, _ task: TaskState
    ) -> Resumption {
        var values: [KvKey: [UInt8]] = [:]
        for entry in RawJSON(reply).elements() {
            let entry = RawJSON(entry)
            guard let name = entry.member("key"), let text = try? JSON(validating: name).value.string, let value = entry.member("value")
            else { continue }
            let key = KvKey(Array(text.utf8))
            values[key] = Array(value)
            let version = entry.member("version").flatMap { UInt64(String(decoding: $0, as: UTF8.self)) }
            if let version { noteRead(key, version: version, task) }
        }
        for (key, write) in task.kv.writes where key.bytes.starts(with: prefix) {
            if case .set(let value, _, _) = write { values[key] = value } else { values[key] = nil }
        }
        let json = context.worker.scratch
        json.append(json: "[")
        for (index, key) in values.keys.sorted(by: { $0.bytes.lexicographicallyPrecedes($1.bytes) }).prefix(limit).enumerated() {
            if index > 0 { json.append(json: ",") }
            json.append(json: #"{"key":"#)
            key.bytes.withUnsafeBytes { json.append(jsonString: $0) }
            json.append(json: #","value":"#)
            json.append(bytes: values[key] ?? [])
            json.append(json: "}")
        }
        json.append(json: "]")
        return .json
    }

    /// Takes over what the host says about a key, and notes that this delivery has read it.
    private static func learn(_ key: KvKey, _ reply: UnsafeRawBufferPointer, _ context: LaneContext, _ task: TaskState) -> KvCache.Entry {
        // A delivery that ran meanwhile may have learnt or written the key: then the host's answer is the older one.
        let entry = context.kv.entry(key, now: task.delivery.now_us) ?? KvCache.Entry(reply: RawJSON(reply))
        context.kv.store(entry, for: key)
        noteRead(key, version: entry.version, task)
        return entry
    }

    private static func noteRead(_ key: KvKey, version: UInt64, _ task: TaskState) {
        if task.kv.read(key, version: version) { task.deferred += KvEffect.read(key, version: version) }
    }

    // MARK: Values

    /// What the delivery sees under a key: its own last write, else what the lane knows. Nil: the host must be asked.
    private static func value(of key: KvKey, _ context: LaneContext, _ task: TaskState) throws(Refusal) -> KvCache.Entry? {
        switch task.kv.writes[key] {
        case .set(let value, let expiry, let version): return KvCache.Entry(value: value, version: version, expiry: expiry)
        case .deleted: return .absent
        case nil: break
        }
        guard let entry = context.kv.entry(key, now: task.delivery.now_us) else { return nil }
        if task.kv.read(key, version: entry.version) { try context.stage(KvEffect.read(key, version: entry.version)) }
        return entry
    }

    /// Adds to a value, which keeps its expiry.
    private static func incrementing(
        _ key: KvKey, from entry: KvCache.Entry, by amount: Int64, _ context: LaneContext, _ task: TaskState
    ) throws(Refusal) -> (effect: [UInt8], sum: Int64) {
        guard let old = entry.value.map({ value in value.withUnsafeBytes { RawJSON($0).integer } }) ?? 0 else {
            throw Refusal("kv.incr: the value of \"\(key.text.prefix(80))\" is not a whole number")
        }
        let (sum, overflow) = old.addingReportingOverflow(amount)
        guard !overflow else { throw Refusal("kv.incr: the sum does not fit into 64 bits") }
        let text = Array(String(sum).utf8)
        let version = context.worker.versions.next()
        task.kv.write(.set(text, expiry: entry.expiry, version: version), to: key)
        return (text.withUnsafeBytes { KvEffect.set(key, $0, expiry: entry.expiry, version: version) }, sum)
    }

    private static func key(_ call: HostCall) throws(Refusal) -> KvKey {
        try KvKey.checked(call.bytes(0) ?? UnsafeRawBufferPointer(start: nil, count: 0)).get()
    }

    private static func task(_ context: LaneContext) throws(Refusal) -> TaskState {
        guard let task = context.taskState() else {
            throw Refusal("kv is there in handlers only: nothing is stored while the plugin loads")
        }
        return task
    }
}
