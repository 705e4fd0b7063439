import Glibc
import MoonbusDispatch
import MoonbusEvents
import MoonbusLane

/// The host's end of one lane: its socket, its page, and what it has to answer. State of the owner thread.
///
/// Frames to the lane are gathered in `output` and leave at the end of the owner's turn, in one write. What the lane sends is decoded
/// here and handed to the host, frame by frame; a lane that sends something else than frames is ended.
final class Lane {
    enum Home {
        case process(pid_t)
        case thread(ThreadLane)
    }

    /// Bytes that may wait for the socket before a lane takes no more deliveries.
    private static let backlogMax = 4 << 20
    /// A `deliver` frame is closed at this size, and another one begun.
    private static let frameSize = 1 << 20
    /// The largest frame that a lane may send: an outcome has at most 4 MiB of effects, and a frame is cut at 1 MiB plus one outcome.
    private static let frameSizeMax = 32 << 20
    /// Reads of the socket in one turn; the rest is for the next one, so that other lanes have theirs.
    private static let readsMax = 8

    /// What a lane is called in notices; from 1, never used again.
    let number: Int
    let home: Home
    let page: LanePage
    /// The plugin that has it alone; nil for a lane that plugins share.
    let resident: String?
    var flights = Flights()
    /// Contexts that are loading, serving or leaving, by number.
    var contexts: [UInt32: PluginContext] = [:]
    var watch = LaneWatch()
    private(set) var isReady = false
    private(set) var hasEnded = false

    private unowned let host: PluginHost
    private let socket: Int32
    private let reader = FrameReader(limit: Lane.frameSizeMax)
    private let output = FrameBuffer(capacity: 128 << 10)
    private var builder = DeliverFrameBuilder()
    private var events = FrameEvents()
    private var fileWatch: FileWatch?
    private var isMarked = false

    /// - Parameter socket: non-blocking; closed by this object.
    init(number: Int, home: Home, socket: Int32, page: LanePage, resident: String?, host: PluginHost) {
        self.number = number
        self.home = home
        self.socket = socket
        self.page = page
        self.resident = resident
        self.host = host
    }

    /// Begins to listen. Frames may be sent before the lane is ready: they wait in the socket.
    func open() {
        fileWatch = host.bus.owner.watch(
            socket, readable: { [unowned self] in receive() }, writable: { [unowned self] in flush() })
    }

    /// Whether it takes deliveries now.
    var hasRoom: Bool { !hasEnded && output.size < Self.backlogMax }

    // MARK: Sending

    /// Puts a delivery into the frame of this turn.
    func send(_ delivery: Delivery, to context: PluginContext) {
        let version = context.version
        if !version.reads.isEmpty, let keys = version.reads.take(delivery.event, handler: delivery.handler, attempt: delivery.attempt) {
            for key in keys { send { $0.appendForget(context: context.number, key: key) } }
        }
        if !builder.isOpen {
            builder.begin(in: output)
            events.beginFrame()
            mark()
        }
        if flights.count == 0 { watch.becameBusy() }
        let number = flights.add(
            Flights.Flight(
                delivery: delivery.id, context: context, event: delivery.event,
                isEndless: !version.endless.isEmpty && version.endless.contains(delivery.handler), handler: delivery.handler, attempt: delivery.attempt))
        context.flightCount += 1
        let (first, count) = append(delivery.content)
        let identity = delivery.identity
        builder.append(
            DeliveryRecord(
                delivery: number, context: context.number, function: delivery.handler, eventIndex: first, eventCount: count, attempt: delivery.attempt,
                now: delivery.now.microseconds, seed: delivery.seed, identity: (identity.high.bigEndian, identity.low.bigEndian),
                cpuLimit: delivery.cpuMicroseconds, argument: delivery.argument.rawValue))
        if builder.size >= Self.frameSize { builder.end() }
    }

    /// Index and count of the delivery's events in the open frame. A batch must lie in a row, so it is always written anew.
    @inline(__always)
    private func append(_ content: Delivery.Content) -> (first: UInt32, count: UInt16) {
        switch content {
        case .one(let event):
            return (events.index(of: event) { record in builder.append(event: record) }, 1)
        case .several(let batch):
            let first = builder.eventCount
            for event in batch { _ = event.withUnsafeRecord { record in builder.append(event: record) } }
            return (first, UInt16(batch.count))
        }
    }

    /// Writes any other frame.
    func send(_ write: (FrameBuffer) -> Void) {
        guard !hasEnded else { return }
        if builder.isOpen { builder.end() }
        write(output)
        mark()
    }

    /// Asks the lane to end the deliveries that fit and wait; each still gets its outcome.
    func cancel(reason: String, where fits: (Flights.Flight) -> Bool) {
        for number in flights.numbers(where: fits) {
            guard let slot = flights.slot(of: number), let context = flights[slot].context else { continue }
            send { $0.appendCancel(delivery: number, context: context.number, reason: reason) }
        }
    }

    /// Takes a delivery back from the lane's books: it is answered, or given up.
    func close(slot: Int) -> Flights.Flight {
        let flight = flights[slot]
        if let context = flight.context {
            context.answeredOne(at: watch.heard)
            if flight.callCount > 0 { context.waitingCount -= 1 }
        }
        flights.remove(slot: slot)
        return flight
    }

    private func mark() {
        guard !isMarked else { return }
        isMarked = true
        host.markedLanes.append(self)
    }

    /// Sends what waits, as far as the socket takes it.
    func flush() {
        isMarked = false
        guard !hasEnded else { return }
        if builder.isOpen { builder.end() }
        while !output.isEmpty {
            let bytes = output.bytes
            let sent = Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            if sent > 0 {
                output.consume(sent)
            } else if errno == EAGAIN {
                break
            } else if errno != EINTR {
                output.removeAll()  // the lane is gone; reading tells us so, after what it still had to say
                break
            }
        }
        fileWatch?.wantsToWrite = !output.isEmpty
    }

    // MARK: Receiving

    private func receive() {
        for _ in 0..<Self.readsMax {
            guard !hasEnded else { return }
            let filled = reader.fill(from: socket)
            switch filled {
            case .bytes: break
            case .wouldBlock: return
            case .end, .failed: return host.laneEnded(self, .closed)
            }
            do throws(FrameError) {
                while !hasEnded, let frame = try reader.next() { try take(LaneFrame(frame)) }
            } catch {
                return host.laneEnded(self, .broke("it sent what is no frame (\(error))"))
            }
        }
    }

    private func take(_ frame: LaneFrame) throws(FrameError) {
        watch.wasHeard()
        if case .ready(let version) = frame {
            guard version == LaneFrame.version else { throw FrameError(.badValue, "it speaks version \(version) of the frames, this host \(LaneFrame.version)") }
            isReady = true
            return
        }
        try host.received(frame, from: self)
    }

    // MARK: The end

    /// Stops listening, and makes sure that the lane's process is gone. Its flights and contexts are the caller's to settle.
    ///
    /// - Returns: how a process ended; nil for a thread, which ends by itself once its socket is closed.
    func end() -> LaneEnd? {
        precondition(!hasEnded, "a lane ends once")
        hasEnded = true
        // The owner thread may have ended before us: its watches are gone with it.
        if let fileWatch, host.bus.owner.isCurrent { host.bus.owner.unwatch(fileWatch) }
        fileWatch = nil
        Glibc.close(socket)
        switch home {
        case .process(let process):
            defer { page.unmap() }
            // A lane whose socket closed is dying already, and keeps the status that it dies with.
            kill(process, SIGKILL)
            return LaneSpawn.reap(process)
        case .thread:
            return nil  // the thread may still write on its page: the host unmaps it when the thread has ended
        }
    }
}
