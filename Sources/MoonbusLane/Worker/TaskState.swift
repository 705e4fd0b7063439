import CLuaShim

/// What the worker keeps of a delivery that waits, or that touched the store. Most deliveries never have one.
final class TaskState {
    /// A copy: the frame that it came in is gone once the delivery waits.
    let delivery: moonbus_delivery
    /// Whether it is a source that runs for ever: its effects are committed at each wait.
    let isSource: Bool
    var kv = StagedKv()
    /// Effects that came up while the script waited. They leave in front of those that it stages itself.
    var deferred: [UInt8] = []
    /// How many random ids it has drawn.
    var uuidCount: UInt64 = 0
    /// The call that it waits for; 0 while it runs.
    var call: UInt64 = 0

    init(_ delivery: moonbus_delivery, isSource: Bool) {
        self.delivery = delivery
        self.isSource = isSource
    }
}

/// A script that waits for the host's `reply`.
struct PendingCall {
    enum Kind {
        /// `time.sleep`: goes on with nothing.
        case sleep
        /// `bus.request`: goes on with the reply.
        case request
        /// `kv.get`
        case get(KvKey)
        /// `kv.incr`, by this much.
        case increment(KvKey, Int64)
        /// `kv.scan`
        case scan(prefix: [UInt8], limit: Int)
    }

    let context: UInt32
    let task: UInt64
    let kind: Kind
}
