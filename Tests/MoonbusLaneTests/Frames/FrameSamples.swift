import MoonbusEvents
import Testing

@testable import MoonbusLane

/// A frame with a name, so that a failing test says which one.
struct Sample: Sendable, CustomTestStringConvertible {
    let bytes: [UInt8]

    var kind: UInt8 { bytes[4] }
    var body: ArraySlice<UInt8> { bytes.dropFirst(Frame.headerSize) }
    var testDescription: String { "kind \(kind), \(bytes.count) bytes" }
}

/// One frame of every kind, with every field in use.
enum FrameSamples {
    static let all = (host + lane).map(Sample.init)

    static let host: [[UInt8]] = [
        bytes { buffer in
            #"{"plugin": "hello", "cpu_us": 1000}"#.withBytes { header in
                buffer.appendLoad(
                    context: 3, header: header, files: [("main.lua", Array("return 1".utf8)), ("lib/ü.lua", Array("x".utf8))])
            }
        },
        deliver(),
        bytes { buffer in #"{"a": 1}"#.withBytes { buffer.appendReply(call: 9, value: $0) } },
        bytes { $0.appendReply(call: 10, error: "nobody answered") },
        bytes { $0.appendUnload(context: 4) },
        bytes { $0.appendCancel(delivery: 77, context: 4, reason: "too late") },
        bytes { $0.appendStop() },
        bytes { $0.appendForget(context: 4, key: "count", .version(9)) },
        bytes { $0.appendDelivered(DeliveryArea.Place(offset: 64, size: 128, end: 192)) },
    ]

    static let lane: [[UInt8]] = [
        bytes { $0.appendReady() },
        bytes { buffer in #"{"subscriptions": []}"#.withBytes { buffer.appendLoaded(context: 3, isOK: true, json: $0) } },
        outcomes(),
        bytes { buffer in #"{"name": "sleep"}"#.withBytes { buffer.appendCall(5, delivery: 6, context: 7, json: $0) } },
        bytes { buffer in #"{"level": "info"}"#.withBytes { buffer.appendLog(context: 7, json: $0) } },
        bytes { $0.appendLost(context: 7, deliveries: [1, 2, 3]) },
        bytes { buffer in withUnsafeBytes(of: (UInt64(8).littleEndian, UInt64(9).littleEndian)) { buffer.appendDone($0) } },
    ]

    static func deliver() -> [UInt8] {
        bytes { buffer in
            var builder = DeliverFrameBuilder()
            builder.begin()
            for (index, type) in ["a.b", "a.c"].enumerated() {
                guard let type = try? EventType(type),
                    let event = try? Event(type: type, data: JSON(["n": .integer(Int64(index))]), id: "e\(index)")
                else { continue }
                let index = event.withUnsafeRecord { builder.append(event: $0) }
                for context in UInt32(1)...3 {
                    builder.append(
                        DeliveryRecord(
                            delivery: UInt64(index) * 10 + UInt64(context), context: context, function: 5, eventIndex: index, now: 12,
                            seed: 13,
                            subscriptionKey: (14, 15), cpuLimit: 16, argument: DeliveryRecord.Argument.data))
                }
            }
            builder.end(in: buffer)
        }
    }

    static let effects: [UInt8] =
        [1, 0, 3, 0, 2, 0, 0, 0, 2, 0] + Array("a.b".utf8) + Array("[]".utf8) + Array("{}".utf8)
        + KvEffect.read(KvKey(Array("seen".utf8)), version: 4)
        + Array("17".utf8).withUnsafeBytes { KvEffect.set(KvKey(Array("set".utf8)), $0, expiry: 99, version: 5) }
        + KvEffect.delete(KvKey(Array("gone".utf8)))
        + [5, 0, 0, 0, 1, 0, 0, 0] + Array("1".utf8)

    static func outcomes() -> [UInt8] {
        bytes { buffer in
            buffer.beginFrame(Frame.LaneKind.outcomes)
            buffer.append(UInt32(3))
            buffer.append(UInt32(0))
            effects.withUnsafeBytes { effects in
                "true".withBytes { buffer.appendOutcome(delivery: 1, status: .done, effects: effects, detail: $0) }
            }
            let none = UnsafeRawBufferPointer(start: nil, count: 0)
            withUnsafeBytes(of: Int64(250_000).littleEndian) {
                buffer.appendOutcome(delivery: 2, status: .retry, effects: none, detail: $0)
            }
            "no price".withBytes { buffer.appendOutcome(delivery: 3, status: .rejected, effects: none, detail: $0) }
            buffer.endFrame()
        }
    }
}
