import MoonbusEvents
import Testing

@testable import MoonbusLane

@Suite struct FrameTests {
    @Test func `every frame of a host is read as it was written`() throws {
        var seen: [String] = []
        try readFrames(FrameSamples.host.flatMap(\.self)) { frame in
            switch try HostFrame(frame) {
            case .load(let load):
                seen.append("load \(load.context) \(load.header.text) \(load.files.map { "\($0.path)=\($0.bytes.text)" })")
            case .deliver(let frame):
                let table = EventTable()
                try table.locate(frame)
                seen.append("deliver \(frame.eventCount) \(frame.deliveryCount)")
            case .reply(let call, let isOK, let content): seen.append("reply \(call) \(isOK) \(content.text)")
            case .unload(let context): seen.append("unload \(context)")
            case .cancel(let delivery, let context, let reason): seen.append("cancel \(delivery) \(context) \(reason)")
            case .stop: seen.append("stop")
            case .forget(let context, let key, let forgetting): seen.append("forget \(context) \(key) \(forgetting)")
            case .delivered(let place): seen.append("delivered \(place.offset) \(place.size) \(place.end)")
            }
        }
        #expect(
            seen == [
                #"load 3 {"plugin": "hello", "cpu_us": 1000} ["main.lua=return 1", "lib/ü.lua=x"]"#, "deliver 2 6",
                #"reply 9 true {"a": 1}"#, "reply 10 false nobody answered", "unload 4", "cancel 77 4 too late", "stop",
                "forget 4 count version(9)", "delivered 64 128 192",
            ])
    }

    @Test func `every frame of a lane is read as it was written`() throws {
        var seen: [String] = []
        try readFrames(FrameSamples.lane.flatMap(\.self)) { frame in
            switch try LaneFrame(frame) {
            case .ready(let version): seen.append("ready \(version)")
            case .loaded(let context, let isOK, let json): seen.append("loaded \(context) \(isOK) \(json.text)")
            case .outcomes(var reader):
                while let outcome = try reader.next() {
                    seen.append("outcome \(outcome.delivery) \(outcome.status) \(outcome.effects.count > 0)")
                }
            case .call(let call, let delivery, let context, let json): seen.append("call \(call) \(delivery) \(context) \(json.text)")
            case .log(let context, let json): seen.append("log \(context) \(json.text)")
            case .lost(let context, let deliveries): seen.append("lost \(context) \(deliveries)")
            case .done(let deliveries): seen.append("done \(deliveries.count) \(Array(deliveries))")
            }
        }
        #expect(
            seen == [
                "ready 1", #"loaded 3 true {"subscriptions": []}"#, "outcome 1 done true", "outcome 2 retry false",
                "outcome 3 rejected false",
                #"call 5 6 7 {"name": "sleep"}"#, #"log 7 {"level": "info"}"#, "lost 7 [1, 2, 3]", "done 2 [8, 9]",
            ])
    }

    @Test func `deliveries keep their fields and find their events, aligned`() throws {
        try readFrames(FrameSamples.deliver()) { frame in
            guard case .deliver(let deliver) = try HostFrame(frame) else { throw FrameError(.badValue, "not a deliver frame") }
            let table = EventTable()
            try table.locate(deliver)
            #expect(table.deliveries.count == 6 * DeliveryRecord.size)
            for index in 0..<6 {
                let delivery = table.deliveries.load(fromByteOffset: index * DeliveryRecord.size, as: DeliveryRecord.self)
                #expect(delivery.delivery == UInt64(index / 3 * 10 + index % 3 + 1))
                #expect(delivery.context == UInt32(index % 3 + 1))
                #expect(delivery.function == 5)
                #expect(delivery.now == 12)
                #expect(delivery.seed == 13)
                #expect(delivery.subscriptionKey == (14, 15))
                #expect(delivery.cpuLimit == 16)
                #expect(delivery.argument == DeliveryRecord.Argument.data)
                let record = try #require(table.records(from: delivery.eventIndex).pointee)
                #expect(UInt(bitPattern: record) % 8 == 0)
                let size = UnsafeRawPointer(record).load(as: UInt32.self)
                let event = try Event(record: UnsafeRawBufferPointer(start: record, count: Int(size)))
                #expect(event.typeText == (index < 3 ? "a.b" : "a.c"))
            }
        }
    }

    @Test func `effects are read in order, with every field`() throws {
        var seen: [String] = []
        try FrameSamples.effects.withUnsafeBytes { bytes in
            var reader = EffectReader(bytes)
            while let effect = try reader.next() {
                switch effect {
                case .emit(let type, let data, let options): seen.append("emit \(type.text) \(data.text) \(options.text)")
                case .read(let key, let version): seen.append("read \(key) \(version)")
                case .set(let key, let value, let expiry, let version): seen.append("set \(key) \(value.text) \(expiry) \(version)")
                case .delete(let key): seen.append("delete \(key)")
                case .cursor(let json): seen.append("cursor \(json.text)")
                }
            }
        }
        #expect(seen == ["emit a.b [] {}", "read seen 4", "set set 17 99 5", "delete gone", "cursor 1"])
    }

    @Test func `a retry says after how long`() throws {
        try readFrames(FrameSamples.outcomes()) { frame in
            guard case .outcomes(var reader) = try LaneFrame(frame) else { return }
            _ = try reader.next()
            #expect(try reader.next()?.retryDelay() == .milliseconds(250))
        }
    }

    @Test(arguments: [1, 3, 7, 8, 1_000])
    func `a stream that comes in pieces gives the same frames`(piece: Int) throws {
        let stream = (0..<20).flatMap { _ in FrameSamples.host.flatMap(\.self) }
        let reader = FrameReader()
        var kinds: [UInt8] = []
        for start in stride(from: 0, to: stream.count, by: piece) {
            let part = stream[start..<min(start + piece, stream.count)]
            reader.space().copyBytes(from: part)
            reader.filled(part.count)
            while let frame = try reader.next() {
                #expect(UInt(bitPattern: frame.body.baseAddress) % 8 == 0)
                kinds.append(frame.kind)
            }
        }
        #expect(kinds == (0..<20).flatMap { _ in FrameSamples.host.map { $0[4] } })
    }

    @Test func `a frame larger than the reader's memory is read whole`() throws {
        let key = String(repeating: "k", count: 5 << 20)
        var size = 0
        try readFrames(bytes { $0.appendForget(context: 1, key: key) } + bytes { $0.appendStop() }) { frame in
            if case .forget(_, let read, _) = try HostFrame(frame) { size = read.utf8.count }
        }
        #expect(size == 5 << 20)
    }

    @Test func `sent bytes leave a buffer at its front, and its memory is used again`() {
        let buffer = FrameBuffer(capacity: 64)
        var sent: [UInt8] = []
        var written: [UInt8] = []
        for round in 0..<200 {
            let frame = bytes { $0.appendForget(context: UInt32(round), key: String(repeating: "x", count: round)) }
            written += frame
            buffer.append(bytes: frame)
            let count = min(buffer.size, round % 37)
            sent += buffer.bytes.prefix(count)
            buffer.consume(count)
        }
        sent += buffer.bytes
        #expect(sent == written)
    }
}
