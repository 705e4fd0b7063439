import MoonbusEvents
import Testing

@testable import MoonbusLane

/// A host must survive whatever a lane sends, and a lane should.
@Suite struct FrameFuzzTests {
    /// Decodes a frame to the last field, as its reader does.
    static func decode(_ frame: Frame) throws {
        guard frame.kind >= Frame.LaneKind.ready else {
            if case .deliver(let deliver) = try HostFrame(frame) { try EventTable().locate(deliver) }
            return
        }
        switch try LaneFrame(frame) {
        case .outcomes(var reader):
            while let outcome = try reader.next() {
                var effects = EffectReader(outcome)
                while try effects.next() != nil {}
                if outcome.status == .retry { _ = try outcome.retryDelay() }
            }
        case .loaded(_, _, let json): _ = try? Declarations(json)
        case .ready, .call, .log, .lost: break
        case .done(let deliveries): for _ in deliveries {}
        }
    }

    /// The frame's body with a size field that fits, decoded.
    static func decode(body: some Collection<UInt8>, kind: UInt8) throws {
        let size = (body.count + 7) & ~7
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        memory.copyBytes(from: body)
        try decode(Frame(kind: kind, body: UnsafeRawBufferPointer(memory)))
    }

    @Test(arguments: FrameSamples.all)
    func `a frame that is cut off is refused, wherever it is cut`(sample: Sample) throws {
        let body = sample.body
        try Self.decode(body: body, kind: sample.kind)
        for count in stride(from: 0, to: body.count, by: 8) {
            #expect(throws: FrameError.self, "cut at \(count) of \(body.count)") {
                try Self.decode(body: body.prefix(count), kind: sample.kind)
            }
        }
    }

    @Test(arguments: FrameSamples.all)
    func `a frame with something behind it is refused`(sample: Sample) {
        let body = sample.body + [0, 0, 0, 0, 0, 0, 0, 0]
        #expect(throws: FrameError.self) { try Self.decode(body: body, kind: sample.kind) }
    }

    @Test(arguments: FrameSamples.all)
    func `no change of a frame's bytes crashes its reader`(sample: Sample) {
        var random = SplitMix(state: 0x6D6F_6F6E)
        let body = Array(sample.body)
        for _ in 0..<4_000 where !body.isEmpty {
            var changed = body
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<changed.count, using: &random)
                changed[index] = [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &random)].randomElement(using: &random) ?? 0
            }
            if Bool.random(using: &random) { changed = Array(changed.prefix(Int.random(in: 0...changed.count, using: &random))) }
            do { try Self.decode(body: changed, kind: sample.kind) } catch { #expect(error is FrameError) }
        }
    }

    @Test func `no stream of random bytes crashes a reader`() {
        var random = SplitMix(state: 0x6275_7321)
        for _ in 0..<2_000 {
            var stream = (FrameSamples.lane.randomElement(using: &random) ?? []) + (FrameSamples.lane.randomElement(using: &random) ?? [])
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                stream[Int.random(in: 0..<stream.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            do { try readFrames(stream, limit: 1 << 20) { try Self.decode($0) } } catch { #expect(error is FrameError) }
        }
    }

    @Test func `headers that no frame has are refused`() {
        func refusal(_ header: [UInt8], limit: Int = Frame.sizeMax) -> FrameError.Code? {
            do {
                try readFrames(header, limit: limit) { _ in }
                return nil
            } catch { return (error as? FrameError)?.code }
        }
        #expect(refusal([4, 0, 0, 0, 6, 0, 0, 0]) == nil)
        #expect(refusal([0, 0, 0, 0, 6, 0, 0, 0]) == .badSize)
        #expect(refusal([5, 0, 0, 0, 6, 0, 0, 0]) == .badSize)
        #expect(refusal([4, 0, 0, 0, 6, 1, 0, 0]) == .badValue)
        #expect(refusal([4, 0, 0, 4, 6, 0, 0, 0]) == .tooLarge)
        #expect(refusal([12, 4, 0, 0, 6, 0, 0, 0], limit: 1_024) == .tooLarge)
    }

    @Test(arguments: [UInt8(0), 8, 64, 72, 255])
    func `a kind that nobody sends is refused`(kind: UInt8) {
        let frame = Frame(kind: kind, body: UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(throws: FrameError.self) { try HostFrame(frame) }
        #expect(throws: FrameError.self) { try LaneFrame(frame) }
    }

    @Test func `effects belong to done and checkpoint only`() {
        let frame = bytes { buffer in
            buffer.beginFrame(Frame.LaneKind.outcomes)
            buffer.append(UInt32(1))
            buffer.append(UInt32(0))
            FrameSamples.effects.withUnsafeBytes { effects in
                "{}".withBytes { buffer.appendOutcome(delivery: 1, status: .failed, effects: effects, detail: $0) }
            }
            buffer.endFrame()
        }
        #expect(throws: FrameError.self) { try readFrames(frame) { try Self.decode($0) } }
    }
}

/// Random bits with a seed, so that a failure can be had again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
