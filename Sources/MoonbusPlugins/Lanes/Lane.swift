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

    /// Bytes that may wait in area and socket before a lane takes no more deliveries: work for many milliseconds, and little enough to stay in
    /// the processor's caches.
    private static let backlogMax = 1 << 20
    /// A `deliver` frame is closed at this size, and another one begun: a few of them fit into the area.
    private static let frameSize = 256 << 10
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
    let flights = Flights()
    /// Contexts that are loading, serving or leaving, by number.
    var contexts: [UInt32: PluginContext] = [:]
    /// What wakes the deliveries that sleep, by their numbers and those of their calls.
    private(set) var sleeps: [UInt64: [UInt64: OwnerTimer]] = [:]
    var watch = LaneWatch()
    var tenure = LaneTenure()
    private(set) var isReady = false
    private(set) var hasEnded = false

    private unowned let host: PluginHost
    private let socket: Int32
    private let reader = FrameReader(limit: Lane.frameSizeMax)
    private let output = FrameBuffer(capacity: 128 << 10)
    private var builder = DeliverFrameBuilder()
    /// Nil: all deliveries go through the socket.
    private var area: LaneArea?
    private let events = FrameEvents()
    private var fileWatch: FileWatch?
    private var isMarked = false
    /// Somebody was told that there is no room, and is to be told when there is.
    private var isAwaited = false

    /// - Parameter socket: non-blocking; closed by this object.
    init(number: Int, home: Home, socket: Int32, page: LanePage, area: LaneArea?, resident: String?, host: PluginHost) {
        self.number = number
        self.home = home
        self.socket = socket
        self.page = page
        self.area = area
        self.resident = resident
        self.host = host
    }

    /// Begins to listen. Frames may be sent before the lane is ready: they wait in the socket.
    func open() {
        fileWatch = host.bus.owner.watch(
            socket, readable: { [unowned self] in receive() }, writable: { [unowned self] in flush() })
    }

    /// Bytes that wait for the socket.
    var backlog: Int { output.size }

    /// Whether it takes deliveries now. After a no, the host's `announceRoom` is called once it does.
    func takesMore() -> Bool {
        let takes = hasRoom
        if !takes { isAwaited = true }
        return takes
    }

    private var hasRoom: Bool { !hasEnded && waitingSize < Self.backlogMax }

    private var waitingSize: Int { output.size + (area?.used ?? 0) }

    // MARK: Sending

    /// Puts deliveries into the frame of this turn.
    func send(_ deliveries: UnsafeBufferPointer<Delivery>, to context: PluginContext) {
        if flights.count == 0 { watch.becameBusy() }
        mark()
        write(deliveries, context, &builder)
    }

    /// Field by field through a pointer: a `Delivery` that is copied is retained and released, and that was a tenth of its way.
    private func write(_ deliveries: UnsafeBufferPointer<Delivery>, _ context: PluginContext, _ builder: inout DeliverFrameBuilder) {
        guard let first = deliveries.baseAddress else { return }
        let endless = context.version.endless
        let number = context.number
        let holder = Unmanaged.passUnretained(context)
        for index in 0..<deliveries.count {
            let delivery = first + index
            if !builder.isOpen {
                builder.begin()
                events.beginFrame()
            }
            let isEndless = !endless.isEmpty && endless.contains(delivery.pointee.handler)
            let flight = flights.add(
                Flights.Flight(
                    delivery: delivery.pointee.id, holder: holder, handler: delivery.pointee.handler, isEndless: isEndless))
            let (event, eventCount) = write(delivery, &builder)
            builder.append(
                DeliveryRecord(
                    delivery: flight, context: number, function: delivery.pointee.handler, eventIndex: event, eventCount: eventCount,
                    attempt: delivery.pointee.attempt, now: delivery.pointee.now.microseconds, seed: delivery.pointee.seed,
                    subscriptionKey: delivery.pointee.subscriptionKey, cpuLimit: delivery.pointee.cpuMicroseconds,
                    argument: delivery.pointee.argument.rawValue))
            if builder.size >= Self.frameSize { deliver(&builder) }
        }
        context.flightCount += deliveries.count
    }

    /// Closes the open frame: its body goes into the area if there is room, else through the socket.
    private func deliver(_ builder: inout DeliverFrameBuilder) {
        builder.end { events, deliveries in
            area?.note(finished: page.finished)  // or it would begin again at the start too seldom
            if let place = area?.put(events, deliveries) {
                output.appendDelivered(place)
            } else {
                output.appendDeliver(events, deliveries)
            }
        }
    }

    /// Index and count of the delivery's events in the open frame. A batch must lie in a row, so it is always written anew.
    @inline(__always)
    private func write(_ delivery: UnsafePointer<Delivery>, _ builder: inout DeliverFrameBuilder) -> (first: UInt32, count: UInt16) {
        if delivery.pointee.others.isEmpty {
            return (delivery.pointee.event.withUnsafeRecord { record in events.index(of: record) { builder.append(event: $0) } }, 1)
        }
        let first = delivery.pointee.event.withUnsafeRecord { builder.append(event: $0) }
        for event in delivery.pointee.others { _ = event.withUnsafeRecord { builder.append(event: $0) } }
        return (first, UInt16(1 + delivery.pointee.others.count))
    }

    /// Writes any other frame.
    func send(_ write: (FrameBuffer) -> Void) {
        guard !hasEnded else { return }
        if builder.isOpen { deliver(&builder) }
        write(output)
        mark()
    }

    /// Asks the lane to end the deliveries that fit and wait; each still gets its outcome.
    func cancel(reason: String, where fits: (Flights.Flight) -> Bool) {
        for number in flights.numbers(where: fits) {
            guard let context = flights.find(number)?.pointee.context else { continue }
            send { $0.appendCancel(delivery: number, context: context.number, reason: reason) }
        }
    }

    /// Takes a delivery back from the lane's books: it is answered, or given up.
    ///
    /// - Returns: the bus's id.
    @inline(__always)
    func close(_ flight: UnsafeMutablePointer<Flights.Flight>) -> UInt64 {
        if let context = flight.pointee.context {
            context.answered(1, at: watch.heard)
            forgetCalls(of: flight, context)
        }
        let delivery = flight.pointee.delivery
        flights.remove(flight)
        return delivery
    }

    /// Calls `wake` after `delay`, unless the delivery ends before.
    func sleep(_ call: LaneCall, _ delay: Duration, _ wake: @escaping () -> Void) {
        // A lane may give two calls one number: the timer of the first is not lost for that.
        if let other = sleeps[call.delivery]?[call.number] { host.bus.owner.cancel(other) }
        let timer = host.bus.owner.timer(after: delay) { [unowned self] in
            sleeps[call.delivery]?[call.number] = nil
            if sleeps[call.delivery]?.isEmpty == true { sleeps[call.delivery] = nil }
            wake()
        }
        sleeps[call.delivery, default: [:]][call.number] = timer
    }

    /// Of a delivery that ends although calls of it were not answered.
    private func forgetCalls(of flight: UnsafeMutablePointer<Flights.Flight>, _ context: PluginContext) {
        guard flight.pointee.callCount > 0 else { return }
        // Or each attempt that is cut while it sleeps would leave a timer for the rest of its time, up to a day.
        for timer in (sleeps.removeValue(forKey: flights.number(of: flight)) ?? [:]).values { host.bus.owner.cancel(timer) }
        context.waitingCount -= 1
        context.callCount -= Int(flight.pointee.callCount)
    }

    /// Takes deliveries back that are done and left nothing, context by context: they mostly come in runs.
    ///
    /// - Parameters:
    ///   - ids: gets the bus's ids. A delivery that was given up meanwhile has no flight any more: what still comes for it is ignored.
    ///   - idle: called with each context that has nothing unanswered after it.
    func close(_ done: DoneReader, into ids: inout [UInt64], idle: (PluginContext) -> Void) {
        var holder: Unmanaged<PluginContext>?
        var count = 0
        func book() {
            guard let context = holder?.takeUnretainedValue() else { return }
            context.answered(count, at: watch.heard)
            if context.flightCount == 0 { idle(context) }
        }
        ids.reserveCapacity(ids.count + done.count)
        for number in done {
            guard let flight = flights.find(number) else { continue }
            if flight.pointee.holder?.toOpaque() != holder?.toOpaque() {
                book()
                holder = flight.pointee.holder
                count = 0
            }
            if flight.pointee.callCount > 0, let context = flight.pointee.context { forgetCalls(of: flight, context) }
            count += 1
            ids.append(flight.pointee.delivery)
            flights.remove(flight)
        }
        book()
    }

    /// Gives up the deliveries that fit: whatever the lane still says of them is ignored.
    ///
    /// - Returns: the bus's ids.
    func giveUp(where fits: (Flights.Flight) -> Bool) -> [UInt64] {
        flights.numbers(where: fits).compactMap { flights.find($0).map(close) }
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
        if builder.isOpen { deliver(&builder) }
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
        noteRoom()
    }

    /// Tells those who wait for room when there is plenty again: with a thousand plugins, each is asked then.
    private func noteRoom() {
        area?.note(finished: page.finished)
        guard isAwaited, !hasEnded, waitingSize <= Self.backlogMax / 2 else { return }
        isAwaited = false
        host.announceRoom(onLane: number)
    }

    /// Whether it has answered everything and not given the memory of it back. Between the two lie microseconds, in a lane that means well; one
    /// that never does would take no more deliveries and never look busy.
    func keepsMemory() -> Bool {
        area?.note(finished: page.finished)
        return flights.count == 0 && output.isEmpty && !builder.isOpen && (area?.used ?? 0) > 0
    }

    // MARK: Receiving

    private func receive() {
        // Whatever a lane has finished with, it says something afterwards.
        defer { if !hasEnded { noteRoom() } }
        for _ in 0..<Self.readsMax {
            guard !hasEnded else { return }
            var isDrained = false
            switch reader.fill(from: socket) {
            // Less than what a read takes was all that there is: asking again would be a system call for nothing, for each lonely answer.
            case .bytes(let count): isDrained = count < FrameReader.readSize
            case .wouldBlock: return
            case .end, .failed: return host.laneEnded(self, .closed)
            }
            do throws(FrameError) {
                while !hasEnded, let frame = try reader.next() { try take(LaneFrame(frame)) }
            } catch {
                return host.laneEnded(self, .broke("it sent what is no frame (\(error))"))
            }
            if isDrained { return }
        }
    }

    private func take(_ frame: LaneFrame) throws(FrameError) {
        watch.wasHeard()
        if case .ready(let version) = frame {
            guard version == LaneFrame.version else {
                throw FrameError(.badValue, "it speaks version \(version) of the frames, this host \(LaneFrame.version)")
            }
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
            defer { unmap() }
            // A lane whose socket closed is dying already, and keeps the status that it dies with.
            kill(process, SIGKILL)
            return LaneSpawn.reap(process)
        case .thread:
            return nil  // the thread may still use its memory: the host unmaps it when the thread has ended
        }
    }

    /// Ends the mappings that it shares with the host; nobody may use them afterwards.
    func unmap() {
        page.unmap()
        area?.unmap()
    }
}
