/// What the host says to a lane, decoded in place: byte fields point into the reader's memory.
///
/// | kind | name | body |
/// |---|---|---|
/// | 1 | load | u32 context · u32 header size · header JSON · u32 file count · per file: u16 path size, path, u32 size, bytes |
/// | 2 | deliver | ``DeliverFrame`` |
/// | 3 | reply | u64 call · u32 ok (1) or error (0) · u32 size · JSON value, or error text |
/// | 4 | unload | u32 context · u32 zero |
/// | 5 | cancel | u64 delivery · u32 context · u32 size · reason text |
/// | 6 | stop | nothing |
/// | 7 | forget | u32 context · u32 key size · u32 rule (0 always, 1 if it has the version, 2 unless it has it) · u32 zero · u64 version · key (empty: all) |
/// | 8 | delivered | u32 offset · u32 size · u64 end: where a ``DeliverFrame`` lies in the ``DeliveryArea`` |
package enum HostFrame {
    case load(LoadFrame)
    case deliver(DeliverFrame)
    case reply(call: UInt64, isOK: Bool, content: UnsafeRawBufferPointer)
    case unload(context: UInt32)
    case cancel(delivery: UInt64, context: UInt32, reason: String)
    case stop
    case forget(context: UInt32, key: String, KvForgetting)
    case delivered(DeliveryArea.Place)

    package init(_ frame: Frame) throws(FrameError) {
        var cursor = FrameCursor(frame.body)
        switch frame.kind {
        case Frame.HostKind.load:
            self = .load(try LoadFrame(frame.body))
            return
        case Frame.HostKind.deliver:
            self = .deliver(try DeliverFrame(frame.body))
            return
        case Frame.HostKind.reply:
            let call = try cursor.integer(UInt64.self)
            let verdict = try cursor.integer(UInt32.self)
            guard verdict <= 1 else { throw FrameError(.badValue, "a reply is neither ok nor an error") }
            let size = Int(try cursor.integer(UInt32.self))
            self = .reply(call: call, isOK: verdict == 1, content: try cursor.bytes(size))
        case Frame.HostKind.unload:
            self = .unload(context: try cursor.integer(UInt32.self))
            try cursor.zeros(4)
        case Frame.HostKind.cancel:
            let delivery = try cursor.integer(UInt64.self)
            let context = try cursor.integer(UInt32.self)
            let size = Int(try cursor.integer(UInt32.self))
            self = .cancel(delivery: delivery, context: context, reason: try cursor.text(size))
        case Frame.HostKind.stop:
            self = .stop
        case Frame.HostKind.delivered:
            let offset = try cursor.integer(UInt32.self)
            let size = try cursor.integer(UInt32.self)
            self = .delivered(DeliveryArea.Place(offset: offset, size: size, end: try cursor.integer(UInt64.self)))
        case Frame.HostKind.forget:
            let context = try cursor.integer(UInt32.self)
            let size = Int(try cursor.integer(UInt32.self))
            let rule = try cursor.integer(UInt32.self)
            try cursor.zeros(4)
            let forgetting = try KvForgetting(rule: rule, version: try cursor.integer(UInt64.self))
            self = .forget(context: context, key: try cursor.text(size), forgetting)
        default:
            throw FrameError(.unknownKind, "a host sends no frame of kind \(frame.kind)")
        }
        try cursor.end()
    }
}

/// How a host writes its frames. `deliver` has a builder of its own, ``DeliverFrameBuilder``.
extension FrameBuffer {
    /// Asks for a context. The lane answers with `loaded`.
    ///
    /// - Parameters:
    ///   - header: JSON `{"plugin", "memory_bytes", "cpu_us", "config": {}, "emit": ["pattern"], "subscribe": ["pattern"], "check": bool}`;
    ///     a key that is missing means: the default, or no restriction.
    ///   - files: `main.lua` and what lies in `lib/`, in order; paths of at most 65,535 bytes, everything together below 64 MiB.
    package func appendLoad(context: UInt32, header: UnsafeRawBufferPointer, files: [(path: String, bytes: [UInt8])]) {
        beginFrame(Frame.HostKind.load)
        append(context)
        append(UInt32(header.count))
        append(bytes: header)
        append(UInt32(files.count))
        for file in files {
            append(UInt16(file.path.utf8.count))
            append(text: file.path)
            append(UInt32(file.bytes.count))
            append(bytes: file.bytes)
        }
        endFrame()
    }

    /// Answers a call with a JSON value.
    package func appendReply(call: UInt64, value: UnsafeRawBufferPointer) {
        appendReply(call: call, verdict: 1, content: value)
    }

    /// Answers a call with an error, which is raised in the script.
    package func appendReply(call: UInt64, error: String) {
        var error = error
        error.withUTF8 { appendReply(call: call, verdict: 0, content: UnsafeRawBufferPointer($0)) }
    }

    private func appendReply(call: UInt64, verdict: UInt32, content: UnsafeRawBufferPointer) {
        beginFrame(Frame.HostKind.reply)
        append(call)
        append(verdict)
        append(UInt32(content.count))
        append(bytes: content)
        endFrame()
    }

    /// Drops a context. Deliveries that wait in it are cancelled first, each with an outcome.
    package func appendUnload(context: UInt32) {
        beginFrame(Frame.HostKind.unload)
        append(context)
        append(UInt32(0))
        endFrame()
    }

    /// Ends a delivery that waits; it still gets its outcome. Nothing happens when it has had one.
    package func appendCancel(delivery: UInt64, context: UInt32, reason: String) {
        beginFrame(Frame.HostKind.cancel)
        append(delivery)
        append(context)
        append(UInt32(reason.utf8.count))
        append(text: reason)
        endFrame()
    }

    /// Writes deliveries that go through the socket; the parts are a ``DeliverFrameBuilder``'s.
    package func appendDeliver(_ events: UnsafeRawBufferPointer, _ deliveries: UnsafeRawBufferPointer) {
        beginFrame(Frame.HostKind.deliver)
        append(bytes: events)
        append(bytes: deliveries)
        endFrame()
    }

    /// Says where in the area deliveries lie.
    package func appendDelivered(_ place: DeliveryArea.Place) {
        beginFrame(Frame.HostKind.delivered)
        append(place.offset)
        append(place.size)
        append(place.end)
        endFrame()
    }

    /// Ends the lane once its output is sent.
    package func appendStop() {
        beginFrame(Frame.HostKind.stop)
        endFrame()
    }

    /// Tells a context that its copy of a kv value may be out of date; an empty key means all of them.
    package func appendForget(context: UInt32, key: String, _ forgetting: KvForgetting = .always) {
        let (rule, version) = forgetting.fields
        beginFrame(Frame.HostKind.forget)
        append(context)
        append(UInt32(key.utf8.count))
        append(rule)
        append(UInt32(0))
        append(version)
        append(text: key)
        endFrame()
    }
}
