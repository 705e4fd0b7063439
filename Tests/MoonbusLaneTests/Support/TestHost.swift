import Glibc
import MoonbusEvents
import MoonbusLane
import Testing

/// The host's end of a thread lane, one frame at a time.
final class TestHost {
    /// What the lane says, copied out of its frame.
    enum Answer: Equatable {
        case ready
        case loaded(UInt32, isOK: Bool, JSON)
        case outcome(Outcome)
        case call(UInt64, delivery: UInt64, JSON)
        case log(JSON)
        case lost([UInt64])
        /// A `done` frame without deliveries: only a sign of life.
        case nothing
    }

    struct Outcome: Equatable {
        var delivery: UInt64
        var status: OutcomeStatus
        var effects: [Effect]
        /// The versions of what it set, in order.
        var versions: [UInt64]
        var detail: [UInt8]

        var text: String { String(decoding: detail, as: UTF8.self) }
        var json: JSONValue? { try? JSON(validating: detail).value }
    }

    enum Effect: Equatable {
        case emit(String, String)
        case read(String, UInt64)
        case set(String, String, expiry: Int64)
        case delete(String)
        case cursor(String)
    }

    struct Unexpected: Error {
        let answer: Answer
    }

    /// Seconds after which an answer is missing: a lane that hangs fails its test, not the whole run.
    private static let patience = 30

    let output = FrameBuffer()
    let lane: ThreadLane
    private let socket: Int32
    private let reader = FrameReader()
    private var answers: [Answer] = []
    private var lastDelivery: UInt64 = 0
    /// Page and area of a lane that has them: plain memory of this process.
    private let memory: UnsafeMutableRawBufferPointer?
    private static let pageSize = 4_096

    /// - Parameter hasArea: whether the lane has an area for deliveries, and a page; see ``deliverInArea(_:_:at:end:context:)``.
    init(hasArea: Bool = false) throws {
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        socket = ends[0]
        var patience = timeval(tv_sec: Self.patience, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        memory = hasArea ? .allocate(byteCount: Self.pageSize + DeliveryArea.size, alignment: Self.pageSize) : nil
        memory?.initializeMemory(as: UInt8.self, repeating: 0)
        let area = memory.map { UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer($0)[Self.pageSize...]) }
        lane = try #require(ThreadLane.start(socket: ends[1], page: memory?.baseAddress, area: area))
        #expect(try next() == .ready)
    }

    deinit {
        close(socket)
        _ = lane.join()
        memory?.deallocate()
    }

    /// Bytes of the area that the lane says it has finished with.
    var finished: UInt64 { memory.map { $0.load(fromByteOffset: 56, as: UInt64.self) } ?? 0 }

    // MARK: Says

    func send() throws {
        while !output.isEmpty {
            let count = write(socket, output.bytes.baseAddress, output.bytes.count)
            try #require(count > 0)
            output.consume(count)
        }
    }

    /// Loads a plugin that must be fine, and returns what it declared.
    @discardableResult
    func load(_ main: String, lib: [String: String] = [:], header: JSONValue = [:], context: UInt32 = 1) throws -> Declarations {
        try sendLoad(main, lib: lib, header: header, context: context)
        let answer = try nextButLogs()
        guard case .loaded(context, true, let json) = answer else { throw Unexpected(answer: answer) }
        return try json.withUnsafeBytes { try Declarations($0) }
    }

    /// Loads a plugin that must be refused, and returns the error.
    func refusal(_ main: String, lib: [String: String] = [:], header: JSONValue = [:], context: UInt32 = 1) throws -> JSONObject {
        try sendLoad(main, lib: lib, header: header, context: context)
        let answer = try nextButLogs()
        guard case .loaded(context, false, let json) = answer, let object = json.value.object else { throw Unexpected(answer: answer) }
        return object
    }

    func sendLoad(_ main: String, lib: [String: String] = [:], header: JSONValue = [:], context: UInt32 = 1) throws {
        let files = [("main.lua", Array(main.utf8))] + lib.map { ("lib/\($0.key).lua", Array($0.value.utf8)) }
        JSON(header).withUnsafeBytes { output.appendLoad(context: context, header: $0, files: files) }
        try send()
    }

    /// Sends deliveries of events with this data, one each, to a function.
    ///
    /// - Returns: their ids.
    @discardableResult
    func deliver(_ function: Int32, _ data: [JSONValue] = [.null], context: UInt32 = 1, now: Int64 = 1_000_000_000, seed: UInt64 = 7) throws
        -> [UInt64]
    {
        var builder = DeliverFrameBuilder()
        let ids = try gather(function, data, context: context, now: now, seed: seed, in: &builder)
        builder.end(in: output)
        try send()
        return ids
    }

    /// The same, with the frame's body in the area.
    func deliverInArea(_ function: Int32, _ data: [JSONValue], at offset: Int, end: UInt64, context: UInt32 = 1) throws -> [UInt64] {
        let memory = try #require(memory)
        var builder = DeliverFrameBuilder()
        let ids = try gather(function, data, context: context, now: 1_000_000_000, seed: 7, in: &builder)
        var size = 0
        builder.end { events, deliveries in
            size = events.count + deliveries.count
            let place = UnsafeMutableRawBufferPointer(rebasing: memory[(Self.pageSize + offset)..<(Self.pageSize + offset + size)])
            place.copyBytes(from: events)
            UnsafeMutableRawBufferPointer(rebasing: place[events.count...]).copyBytes(from: deliveries)
        }
        output.appendDelivered(DeliveryArea.Place(offset: UInt32(offset), size: UInt32(size), end: end))
        try send()
        return ids
    }

    private func gather(
        _ function: Int32, _ data: [JSONValue], context: UInt32, now: Int64, seed: UInt64, in builder: inout DeliverFrameBuilder
    ) throws -> [UInt64] {
        builder.begin()
        var ids: [UInt64] = []
        for value in data {
            let event = try Event(type: EventType("test.event"), data: JSON(value), id: "e\(lastDelivery + 1)")
            let index = event.withUnsafeRecord { builder.append(event: $0) }
            lastDelivery += 1
            ids.append(lastDelivery)
            builder.append(
                DeliveryRecord(
                    delivery: lastDelivery, context: context, function: function, eventIndex: index, now: now, seed: seed,
                    subscriptionKey: (lastDelivery, 1)))
        }
        return ids
    }

    func reply(_ call: UInt64, _ value: JSONValue) throws {
        JSON(value).withUnsafeBytes { output.appendReply(call: call, value: $0) }
        try send()
    }

    func stop() throws -> LaneWorker.End? {
        output.appendStop()
        try send()
        return lane.join()
    }

    // MARK: Hears

    func next() throws -> Answer {
        while answers.isEmpty {
            while let frame = try reader.next() { answers += try Self.copies(of: LaneFrame(frame)) }
            if answers.isEmpty {
                let fill = reader.fill(from: socket)
                guard case .bytes = fill else { throw Silence(fill: fill) }
            }
        }
        return answers.removeFirst()
    }

    struct Silence: Error {
        let fill: FrameReader.Fill
    }

    func nextButLogs() throws -> Answer {
        while true {
            let answer = try next()
            if case .log = answer { continue }
            return answer
        }
    }

    func outcome() throws -> Outcome {
        let answer = try nextButLogs()
        guard case .outcome(let outcome) = answer else { throw Unexpected(answer: answer) }
        return outcome
    }

    func call() throws -> (id: UInt64, delivery: UInt64, json: JSONValue) {
        let answer = try nextButLogs()
        guard case .call(let id, let delivery, let json) = answer else { throw Unexpected(answer: answer) }
        return (id, delivery, json.value)
    }

    /// Delivers one event and returns its outcome, or throws whatever came instead.
    func run(_ function: Int32, _ data: JSONValue = .null, context: UInt32 = 1, now: Int64 = 1_000_000_000, seed: UInt64 = 7) throws
        -> Outcome
    {
        try deliver(function, [data], context: context, now: now, seed: seed)
        return try outcome()
    }

    private static func copies(of frame: LaneFrame) throws -> [Answer] {
        switch frame {
        case .ready: return [.ready]
        case .loaded(let context, let isOK, let json): return [.loaded(context, isOK: isOK, try JSON(validating: json))]
        case .call(let call, let delivery, _, let json): return [.call(call, delivery: delivery, try JSON(validating: json))]
        case .log(_, let json): return [.log(try JSON(validating: json))]
        case .lost(_, let deliveries): return [.lost(deliveries)]
        case .done(let deliveries) where deliveries.count == 0: return [.nothing]
        case .done(let deliveries):
            return deliveries.map { .outcome(Outcome(delivery: $0, status: .done, effects: [], versions: [], detail: [])) }
        case .outcomes(var reader):
            var answers: [Answer] = []
            while let outcome = try reader.next() {
                var copied = Outcome(
                    delivery: outcome.delivery, status: outcome.status, effects: [], versions: [], detail: Array(outcome.detail))
                var effectReader = EffectReader(outcome)
                while let effect = try effectReader.next() {
                    copied.effects.append(copy(of: effect))
                    if case .set(_, _, _, let version) = effect { copied.versions.append(version) }
                }
                answers.append(.outcome(copied))
            }
            return answers
        }
    }

    private static func copy(of effect: EffectRecord) -> Effect {
        func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }
        return switch effect {
        case .emit(let type, let data, _): .emit(text(type), text(data))
        case .read(let key, let version): .read(key, version)
        case .set(let key, let value, let expiry, _): .set(key, text(value), expiry: expiry)
        case .delete(let key): .delete(key)
        case .cursor(let json): .cursor(text(json))
        }
    }
}
