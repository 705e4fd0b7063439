import CLuaShim
import Glibc
import MoonbusEvents

/// Runs contexts on the calling thread, for as long as the host keeps the socket open.
///
/// The same worker serves a child process (``LaneProcess``) and a thread (``ThreadLane``): it reads frames, runs what
/// they ask for, one context at a time, and answers with frames. It never waits for anything but its socket: a script
/// that waits is set aside, and goes on when the host's `reply` comes.
///
/// | the host sends | the worker answers |
/// |---|---|
/// | load | `loaded`, with the declarations or the error |
/// | deliver, delivered | one outcome for each delivery, now or once what it waits for has come; or `lost`: due again |
/// | reply | whatever the script does next |
/// | unload | outcomes (cancelled) of what waited in the context |
/// | cancel | the outcome of that delivery, unless it had one |
/// | forget | – |
/// | stop | the worker ends |
///
/// Outcomes leave together: when nothing more is to be run, or after ``LaneOutput/outcomesMax`` of them, or when the
/// first of them is a clock tick old.
package final class LaneWorker {
    /// Why a worker came to its end.
    package enum End: Error, Equatable {
        /// The host said `stop`.
        case stopped
        /// The host is gone: its end of the socket is closed.
        case disconnected
        /// What the host sent was not a frame: a bug, nothing can be trusted any more.
        case garbled(FrameError)
        /// No memory for a lane, or more than 256 lanes in this process.
        case unavailable
    }

    let output: LaneOutput
    /// Bytes that a host function returns; good until the next host function runs.
    let scratch = FrameBuffer(capacity: 4 << 10)
    /// The call that the running script begins to wait for. It is sent once the script has really been set aside.
    let calling = FrameBuffer(capacity: 4 << 10)
    // Unchecked: one thread owns it, and it is read once a delivery.
    @exclusivity(unchecked) var contexts = ContextTable()
    var calls: [UInt64: PendingCall] = [:]
    private var lastCall: UInt64 = 0
    /// Of what its contexts write to their stores.
    var versions = StateVersions()

    private let socket: Int32
    private let reader = FrameReader()
    private let events = EventTable()
    private let area: DeliveryArea?
    let lane: OpaquePointer

    /// Makes the calling thread a lane. Its stack must be 16 MiB, and ``run()`` must be called on it.
    ///
    /// - Parameters:
    ///   - socket: a connected stream socket; the worker does not close it.
    ///   - page: where the lane says what it runs (`moonbus_page`, 64 bytes); nil when nobody reads it.
    ///   - area: where deliveries may lie, ``DeliveryArea/size`` bytes; nil: all come through the socket.
    /// - Throws: ``End/unavailable``.
    package init(socket: Int32, page: UnsafeMutableRawPointer?, area: UnsafeRawBufferPointer?) throws(End) {
        guard let lane = moonbus_lane_enter(page?.assumingMemoryBound(to: moonbus_page.self)) else { throw .unavailable }
        self.lane = lane
        self.socket = socket
        self.area = if let area, let page { DeliveryArea(area, page: page) } else { nil }
        output = LaneOutput(socket: socket, lane: lane)
    }

    /// Serves until the host says stop, goes away, or talks nonsense; then destroys every context.
    package func run() -> End {
        defer {
            for context in contexts.removeAll() { context.destroy() }
            moonbus_lane_leave(lane)
        }
        do throws(End) {
            try serve()
        } catch {
            // What was done before `stop` still reaches the host; whoever is gone or garbled is told nothing more.
            if error == .stopped { try? output.flush() }
            return error
        }
    }

    private func serve() throws(End) -> Never {
        output.frames.appendReady()
        try output.flush()
        while true {
            while let frame = try nextFrame() { try handle(frame) }
            try output.flush()
            try fill()
            output.beginTurn()
        }
    }

    /// An id for the next call to the host.
    func nextCall() -> UInt64 {
        lastCall += 1
        return lastCall
    }

    private func fill() throws(End) {
        // Waits in poll, not in read: the kernel wakes who waits in read also when the host takes our bytes out of the socket, so each
        // lonely answer made the lane run once for nothing.
        var interest = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        poll(&interest, 1, -1)
        switch reader.fill(from: socket) {
        case .bytes, .wouldBlock: return
        case .end, .failed: throw .disconnected
        }
    }

    private func nextFrame() throws(End) -> HostFrame? {
        do throws(FrameError) {
            guard let frame = try reader.next() else { return nil }
            let decoded = try HostFrame(frame)
            switch decoded {
            case .deliver(let deliveries): try events.locate(deliveries)
            case .delivered(let place):
                guard let area else { throw FrameError(.badValue, "deliveries lie in an area, and there is none") }
                try events.locate(area.frame(at: place))
            default: break
            }
            return decoded
        } catch {
            throw .garbled(error)
        }
    }

    private func handle(_ frame: HostFrame) throws(End) {
        switch frame {
        case .load(let frame): load(frame)
        case .deliver: try deliver(events)
        case .delivered(let place):
            try deliver(events)
            area?.finish(place)
            // The host looks for room when it hears from us, and all answers may be on their way already.
            output.saySomething()
        case .reply(let call, let isOK, let content): reply(to: call, isOK: isOK, content: content)
        case .unload(let identifier): unload(identifier)
        case .cancel(let delivery, let identifier, let reason): cancel(delivery, in: identifier, reason: reason)
        case .forget(let identifier, let key, let forgetting): contexts[identifier]?.kv.forget(key, forgetting)
        case .stop: throw .stopped
        }
        try output.flushIfDue()
    }
}
