import Glibc
import MoonbusDispatch

@testable import MoonbusLane
@testable import MoonbusPlugins

/// A lane whose end of the socket is in the hands of a test: what it says may be anything.
///
/// A thread of its own reads what the host sends and hands each frame to `behave`, which appends what the lane says to it. It ends when the
/// host closes the socket.
enum FakeLane {
    /// What the lane has heard so far, and what it is about to say. Confined to the lane's thread.
    final class Talk {
        /// Frames, or whatever bytes; sent when `behave` returns.
        let output = FrameBuffer()
        /// The context that was asked for last.
        fileprivate(set) var context: UInt32 = 0
        /// The numbers of the deliveries that came last.
        var deliveries: [UInt64] = []
        /// How many frames with deliveries came.
        fileprivate(set) var frameCount = 0
        /// Closes the socket once `output` is sent.
        var hangsUp = false
        /// Goes on living and never reads again.
        var stopsReading = false

        /// Says what an honest lane says when it has loaded a plugin with one subscription.
        func loaded(_ declarations: String) {
            output.appendReady()
            withBytes(declarations) { output.appendLoaded(context: context, isOK: true, json: $0) }
        }

        /// Answers the deliveries at hand.
        func answer(_ status: OutcomeStatus, effects: [UInt8] = [], detail: [UInt8] = []) {
            output.beginFrame(Frame.LaneKind.outcomes)
            output.append(UInt32(deliveries.count))
            output.append(UInt32(0))
            for delivery in deliveries {
                effects.withUnsafeBytes { effects in
                    detail.withUnsafeBytes { output.appendOutcome(delivery: delivery, status: status, effects: effects, detail: $0) }
                }
            }
            output.endFrame()
        }

        /// Outcomes `done` for any deliveries.
        func forge(deliveries: [UInt64], detail: [UInt8]) {
            output.beginFrame(Frame.LaneKind.outcomes)
            output.append(UInt32(deliveries.count))
            output.append(UInt32(0))
            for delivery in deliveries {
                detail.withUnsafeBytes {
                    output.appendOutcome(
                        delivery: delivery, status: .done, effects: UnsafeRawBufferPointer(start: nil, count: 0), detail: $0)
                }
            }
            output.endFrame()
        }

        func call(_ number: UInt64, delivery: UInt64, _ json: String) {
            withBytes(json) { output.appendCall(number, delivery: delivery, context: context, json: $0) }
        }

        /// Bytes that need not be a frame.
        func say(_ bytes: [UInt8]) { output.append(bytes: bytes) }

        private func withBytes(_ text: String, _ body: (UnsafeRawBufferPointer) -> Void) {
            Array(text.utf8).withUnsafeBytes(body)
        }
    }

    /// Declares a subscription to `type` under the name `hostile.go`.
    static func subscription(to type: String) -> String {
        #"{"subscriptions": [{"name": "go", "pattern": "\#(type)", "function": 1, "retry": {"attempts": 1}}], "sources": [], "timers": []}"#
    }

    /// Puts a fake lane into the host, as the one on which `plugin` will be placed next.
    ///
    /// - Returns: the lane's number.
    static func install(
        for plugin: String, in host: PluginHost, behave: @escaping @Sendable (HostFrame, Talk) -> Void
    ) async throws -> Int {
        let result = await host.bus.owner.perform { Result { try put(plugin, host, behave) } }
        guard let result else { throw PluginHost.stoppedError }
        return try result.get()
    }

    /// On the owner thread.
    private static func put(_ plugin: String, _ host: PluginHost, _ behave: @escaping @Sendable (HostFrame, Talk) -> Void) throws -> Int {
        guard let page = LanePage(memory: nil) else { throw LaneSpawn.Failure("mmap", ENOMEM) }
        let (ours, theirs) = try LaneSpawn.socketPair()
        guard spawnThread(stackSize: 1 << 20, { converse(theirs, behave) }) != nil else { throw LaneSpawn.Failure("thread", EAGAIN) }
        host.lastLaneNumber += 1
        let lane = Lane(
            number: host.lastLaneNumber, home: .thread(try endedThread()), socket: ours, page: page, area: nil, resident: plugin, host: host
        )
        host.plugin(named: plugin).isSecluded = true
        host.lanes.append(lane)
        lane.open()
        return lane.number
    }

    /// A lane needs a home. This one's host is gone before it begins, so it ends at once and only waits to be joined.
    private static func endedThread() throws -> ThreadLane {
        let (ours, theirs) = try LaneSpawn.socketPair()
        close(ours)
        guard let thread = ThreadLane.start(socket: theirs, page: nil) else { throw LaneSpawn.Failure("thread", EAGAIN) }
        return thread
    }

    private static func converse(_ socket: Int32, _ behave: (HostFrame, Talk) -> Void) {
        defer { close(socket) }
        let (reader, talk, table) = (FrameReader(), Talk(), EventTable())
        while case .bytes = reader.fill(from: socket) {
            while let next = try? reader.next(), let frame = try? HostFrame(next) {
                switch frame {
                case .load(let load): talk.context = load.context
                case .deliver(let deliver):
                    talk.deliveries = numbers(deliver, table)
                    talk.frameCount += 1
                default: break
                }
                behave(frame, talk)
                guard send(talk.output, to: socket), !talk.hangsUp else { return }
                if talk.stopsReading { return waitForHangUp(socket) }
            }
        }
    }

    private static func numbers(_ frame: DeliverFrame, _ table: EventTable) -> [UInt64] {
        guard (try? table.locate(frame)) != nil else { return [] }
        return (0..<frame.deliveryCount).map {
            table.deliveries.loadUnaligned(fromByteOffset: $0 * DeliveryRecord.size, as: DeliveryRecord.self).delivery
        }
    }

    /// False when the host has closed the socket.
    private static func send(_ output: FrameBuffer, to socket: Int32) -> Bool {
        while !output.isEmpty {
            let bytes = output.bytes
            let count = Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { return false }
            output.consume(count)
        }
        return true
    }

    /// POLLHUP is told without being asked for.
    private static func waitForHangUp(_ socket: Int32) {
        var waited = pollfd(fd: socket, events: 0, revents: 0)
        while poll(&waited, 1, -1) < 0, errno == EINTR {}
    }
}

/// Random bits with a seed, so that a failure can be had again. Origin: SplitMix64.
struct SeededBits: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
