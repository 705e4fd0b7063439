/// What a lane says to its host, decoded in place: byte fields point into the reader's memory.
///
/// The host treats them as hostile: sizes are checked here; JSON is not looked into, validate it with `JSON(validating:)`.
///
/// | kind | name | body |
/// |---|---|---|
/// | 65 | ready | u32 version (1) · u32 zero |
/// | 66 | loaded | u32 context · u32 ok · u32 size · JSON: declarations, or the error |
/// | 67 | outcomes | ``OutcomeReader`` |
/// | 68 | call | u64 call · u64 delivery · u32 context · u32 size · JSON `{"name": …}` |
/// | 69 | log | u32 context · u32 size · JSON `{"level", "text", "fields", "delivery"}` |
/// | 70 | lost | u32 context · u32 count · u64 deliveries… |
/// | 71 | done | u32 count · u32 zero · u64 deliveries…: done, with no effects and no result |
package enum LaneFrame {
    /// What `ready` says that it speaks.
    package static let version: UInt32 = 1

    case ready(version: UInt32)
    case loaded(context: UInt32, isOK: Bool, json: UnsafeRawBufferPointer)
    case outcomes(OutcomeReader)
    case call(call: UInt64, delivery: UInt64, context: UInt32, json: UnsafeRawBufferPointer)
    case log(context: UInt32, json: UnsafeRawBufferPointer)
    case lost(context: UInt32, deliveries: [UInt64])
    case done(DoneReader)

    package init(_ frame: Frame) throws(FrameError) {
        var cursor = FrameCursor(frame.body)
        switch frame.kind {
        case Frame.LaneKind.ready:
            self = .ready(version: try cursor.integer(UInt32.self))
            try cursor.zeros(4)
        case Frame.LaneKind.loaded:
            let context = try cursor.integer(UInt32.self)
            let verdict = try cursor.integer(UInt32.self)
            guard verdict <= 1 else { throw FrameError(.badValue, "a context is neither loaded nor refused") }
            let size = Int(try cursor.integer(UInt32.self))
            self = .loaded(context: context, isOK: verdict == 1, json: try cursor.bytes(size))
        case Frame.LaneKind.outcomes:
            self = .outcomes(try OutcomeReader(frame.body))
            return
        case Frame.LaneKind.done:
            self = .done(try DoneReader(frame.body))
            return
        case Frame.LaneKind.call:
            let call = try cursor.integer(UInt64.self)
            let delivery = try cursor.integer(UInt64.self)
            let context = try cursor.integer(UInt32.self)
            let size = Int(try cursor.integer(UInt32.self))
            self = .call(call: call, delivery: delivery, context: context, json: try cursor.bytes(size))
        case Frame.LaneKind.log:
            let context = try cursor.integer(UInt32.self)
            let size = Int(try cursor.integer(UInt32.self))
            self = .log(context: context, json: try cursor.bytes(size))
        case Frame.LaneKind.lost:
            let context = try cursor.integer(UInt32.self)
            let count = Int(try cursor.integer(UInt32.self))
            guard count <= cursor.rest.count / 8 else { throw FrameError(.badSize, "\(count) lost deliveries do not fit into their frame") }
            var deliveries: [UInt64] = []
            deliveries.reserveCapacity(count)
            for _ in 0..<count { deliveries.append(try cursor.integer(UInt64.self)) }
            self = .lost(context: context, deliveries: deliveries)
        default:
            throw FrameError(.unknownKind, "a lane sends no frame of kind \(frame.kind)")
        }
        try cursor.end()
    }
}

/// How a lane writes its frames.
extension FrameBuffer {
    /// The sandbox is closed: frames may come.
    package func appendReady() {
        beginFrame(Frame.LaneKind.ready)
        append(LaneFrame.version)
        append(UInt32(0))
        endFrame()
    }

    /// Answers `load`: declarations, or the error.
    package func appendLoaded(context: UInt32, isOK: Bool, json: UnsafeRawBufferPointer) {
        beginFrame(Frame.LaneKind.loaded)
        append(context)
        append(UInt32(isOK ? 1 : 0))
        append(UInt32(json.count))
        append(bytes: json)
        endFrame()
    }

    /// Wraps `count` outcome records, as the shim's output region holds them.
    package func appendOutcomes(count: UInt32, records: UnsafeRawBufferPointer) {
        beginFrame(Frame.LaneKind.outcomes)
        append(count)
        append(UInt32(0))
        append(bytes: records)
        endFrame()
    }

    /// Wraps the ids of deliveries that are done and left nothing else to say.
    package func appendDone(_ deliveries: UnsafeRawBufferPointer) {
        beginFrame(Frame.LaneKind.done)
        append(UInt32(deliveries.count / MemoryLayout<UInt64>.size))
        append(UInt32(0))
        append(bytes: deliveries)
        endFrame()
    }

    /// Asks the host for something on behalf of a delivery; the script waits for the `reply`.
    package func appendCall(_ call: UInt64, delivery: UInt64, context: UInt32, json: UnsafeRawBufferPointer) {
        beginFrame(Frame.LaneKind.call)
        append(call)
        append(delivery)
        append(context)
        append(UInt32(json.count))
        append(bytes: json)
        endFrame()
    }

    /// A line for the host's log.
    package func appendLog(context: UInt32, json: UnsafeRawBufferPointer) {
        beginFrame(Frame.LaneKind.log)
        append(context)
        append(UInt32(json.count))
        append(bytes: json)
        endFrame()
    }

    /// These deliveries ran or waited in a context that is gone: they are due again.
    package func appendLost(context: UInt32, deliveries: some Collection<UInt64>) {
        beginFrame(Frame.LaneKind.lost)
        append(context)
        append(UInt32(deliveries.count))
        for delivery in deliveries { append(delivery) }
        endFrame()
    }
}
