import CLuaShim
import Glibc

/// What a lane has to say and has not sent yet: outcome records in the shim's output region, all other frames in a buffer.
final class LaneOutput {
    /// So many outcomes are sent at the latest.
    static let outcomesMax = 256
    /// So many bytes are sent at the latest. Far below the limit of a frame: one delivery can add 4 MiB of effects and 1 MiB of result.
    private static let sizeMax = 1 << 20

    /// Frames other than `outcomes`. They are sent before the outcomes that lie in the region: whoever writes a frame
    /// that must come after them calls ``sealOutcomes()`` first.
    let frames = FrameBuffer()
    private let socket: Int32
    private let lane: OpaquePointer
    /// The watchdog's tick when work began that was not answered yet.
    @exclusivity(unchecked) private var tick: UInt32 = 0

    init(socket: Int32, lane: OpaquePointer) {
        self.socket = socket
        self.lane = lane
    }

    /// The outcome records that wait in the region.
    var outcomes: (records: UnsafeRawBufferPointer, count: UInt32) {
        var size = 0
        var count: UInt32 = 0
        let start = moonbus_lane_output(lane, &size, &count)
        return (UnsafeRawBufferPointer(start: start, count: size), count)
    }

    /// The deliveries that are done and left nothing, as the body of a `done` frame.
    private var done: UnsafeRawBufferPointer {
        var count: UInt32 = 0
        let start = moonbus_lane_done(lane, &count)
        return UnsafeRawBufferPointer(start: start, count: Int(count) * MemoryLayout<UInt64>.size)
    }

    /// Moves what lies in the shim into the buffer, so that what is appended next comes after it.
    func sealOutcomes() {
        let (records, count) = outcomes
        let done = done
        guard count > 0 || !done.isEmpty else { return }
        if !done.isEmpty { frames.appendDone(done) }
        if count > 0 { frames.appendOutcomes(count: count, records: records) }
        moonbus_lane_output_clear(lane)
    }

    /// Gives the last record of the region more effects, in front of its own.
    ///
    /// - Parameter offset: where that record begins, and how many are before it.
    func prepend(effects: [UInt8], toRecordAt offset: (size: Int, count: UInt32)) {
        let (records, _) = outcomes
        guard records.count > offset.size else { return }
        let earlier = UnsafeRawBufferPointer(rebasing: records[..<offset.size])
        let last = UnsafeRawBufferPointer(rebasing: records[offset.size...])
        let staged = Int(UInt32(littleEndian: last.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
        let detail = Int(UInt32(littleEndian: last.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
        let body = OutcomeRecord.headerSize
        let done = done
        if !done.isEmpty { frames.appendDone(done) }
        if offset.count > 0 { frames.appendOutcomes(count: offset.count, records: earlier) }

        frames.beginFrame(Frame.LaneKind.outcomes)
        frames.append(UInt32(1))
        frames.append(UInt32(0))
        frames.append(bytes: UnsafeRawBufferPointer(rebasing: last[..<12]))
        frames.append(UInt32(effects.count + staged))
        frames.append(UInt32(detail))
        frames.append(UInt32(padded(body + effects.count + staged + detail)))
        frames.append(bytes: effects)
        frames.append(bytes: UnsafeRawBufferPointer(rebasing: last[body..<body + staged + detail]))
        frames.endFrame()
        moonbus_lane_output_clear(lane)
    }

    /// Makes sure that the next flush sends something.
    func saySomething() {
        if frames.isEmpty, outcomes.count == 0, done.isEmpty { frames.appendDone(UnsafeRawBufferPointer(start: nil, count: 0)) }
    }

    /// New work has come: what it leaves may wait until the clock ticks.
    func beginTurn() {
        tick = moonbus_lane_ticks(lane)
    }

    /// Sends when enough waits, or when the oldest of it may have waited for a tick of the watchdog (1 ms).
    ///
    /// The watchdog's ticks rather than a clock: even the coarse one took 15 ns of each delivery.
    @inline(__always)
    func flushIfDue() throws(LaneWorker.End) {
        let (records, count) = outcomes
        let waiting = Int(count) + done.count / MemoryLayout<UInt64>.size
        let isFull = waiting >= Self.outcomesMax || records.count + frames.size >= Self.sizeMax
        if isFull || (waiting > 0 && moonbus_lane_ticks(lane) != tick) { try flush() }
    }

    /// Sends everything, in as few writes as the socket takes.
    func flush() throws(LaneWorker.End) {
        let (records, count) = outcomes
        beginTurn()
        if !done.isEmpty { frames.appendDone(done) }
        guard count > 0 || !frames.isEmpty else { return }
        // The header of the last frame, whose body is sent from where it lies.
        var header = (
            UInt32(4 + 8 + records.count).littleEndian, UInt32(Frame.LaneKind.outcomes).littleEndian, count.littleEndian, UInt32(0)
        )
        let buffered = frames.bytes
        try withUnsafeMutableBytes(of: &header) { header throws(LaneWorker.End) in
            let tail = count > 0 ? (header.count, records.count) : (0, 0)
            var parts = (
                iovec(iov_base: UnsafeMutableRawPointer(mutating: buffered.baseAddress), iov_len: buffered.count),
                iovec(iov_base: header.baseAddress, iov_len: tail.0),
                iovec(iov_base: UnsafeMutableRawPointer(mutating: records.baseAddress), iov_len: tail.1)
            )
            try withUnsafeMutableBytes(of: &parts) { parts throws(LaneWorker.End) in try send(parts.bindMemory(to: iovec.self)) }
        }
        frames.removeAll()
        moonbus_lane_output_clear(lane)
    }

    private func send(_ parts: UnsafeMutableBufferPointer<iovec>) throws(LaneWorker.End) {
        var parts = parts[...]
        while let first = parts.first {
            if first.iov_len == 0 {
                parts = parts.dropFirst()
                continue
            }
            // Not writev: on a thread lane, a host that has closed its end must be an error, not the SIGPIPE that ends an embedder.
            var header = msghdr()
            header.msg_iov = parts.base.baseAddress?.advanced(by: parts.startIndex)
            header.msg_iovlen = parts.count
            var sent = sendmsg(socket, &header, Int32(MSG_NOSIGNAL))
            if sent < 0 {
                switch errno {
                case EINTR: continue
                case EAGAIN:
                    var interest = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
                    poll(&interest, 1, -1)
                    continue
                default: throw .disconnected
                }
            }
            for index in parts.indices where sent > 0 {
                let taken = min(sent, parts.base[index].iov_len)
                parts.base[index].iov_base += taken
                parts.base[index].iov_len -= taken
                sent -= taken
            }
        }
    }
}
