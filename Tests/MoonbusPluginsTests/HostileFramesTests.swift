import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

@testable import MoonbusLane
@testable import MoonbusPlugins

/// One after the other: each starts three lanes, and a process has room for 64 on threads.
@Suite(.serialized) enum HostileLaneTests {}

/// Lanes that say what no honest lane says: each loses itself at most. Beside each, a witness on a lane of the honest kind.
extension HostileLaneTests {
    @Suite(.timeLimit(.minutes(2))) struct FramesTests {
        // MARK: What no lane sends

        struct Nonsense: Sendable, CustomTestStringConvertible {
            let testDescription: String
            /// A part of what the host says of it.
            let reason: String
            let say: @Sendable (FakeLane.Talk) -> Void

            init(_ name: String, _ reason: String, _ say: @escaping @Sendable (FakeLane.Talk) -> Void) {
                testDescription = name
                self.reason = reason
                self.say = say
            }

            static func body(_ name: String, _ reason: String, kind: UInt8, _ write: @escaping @Sendable (FrameBuffer, UInt64) -> Void)
                -> Self
            {
                Self(name, reason) { talk in
                    talk.output.beginFrame(kind)
                    write(talk.output, talk.deliveries[0])
                    talk.output.endFrame()
                }
            }

            /// One outcome record with the fields as given.
            static func outcome(
                _ name: String, _ reason: String, status: UInt32, effects: UInt32 = 0, detail: UInt32 = 0, size: UInt32 = 24,
                tail: [UInt8] = []
            ) -> Self {
                body(name, reason, kind: Frame.LaneKind.outcomes) { output, delivery in
                    output.append(UInt32(1))
                    output.append(UInt32(0))
                    output.append(delivery)
                    for field in [status, effects, detail, size] { output.append(field) }
                    output.append(bytes: tail)
                }
            }
        }

        static let nonsense: [Nonsense] = [
            Nonsense("random bytes", "") { talk in
                var bits = SeededBits(state: 7)
                talk.say((0..<4_096).map { _ in UInt8.random(in: 0...255, using: &bits) })
            },
            Nonsense("a frame of 4 GiB", "too_large") { $0.say([0xFC, 0xFF, 0xFF, 0xFF, 67, 0, 0, 0]) },
            Nonsense("a frame above the host's limit of 32 MiB", "too_large") { $0.say([0x04, 0, 0, 0x02, 67, 0, 0, 0, 0, 0, 0, 0]) },
            Nonsense("a frame of no size", "bad_size") { $0.say([0, 0, 0, 0, 67, 0, 0, 0]) },
            Nonsense("a body that is not padded", "bad_size") { $0.say([5, 0, 0, 0, 67, 0, 0, 0, 0]) },
            Nonsense("reserved bytes in use", "bad_value") { $0.say([4, 0, 0, 0, 67, 1, 0, 0]) },
            Nonsense("a kind that nobody sends", "unknown_kind") { $0.say([4, 0, 0, 0, 200, 0, 0, 0]) },
            Nonsense("a kind that only hosts send", "unknown_kind") { $0.output.appendStop() },
            Nonsense("an empty body", "bad_size") { $0.say([4, 0, 0, 0, 67, 0, 0, 0]) },
            .body("another version", "version 2", kind: Frame.LaneKind.ready) { output, _ in
                output.append(UInt32(2))
                output.append(UInt32(0))
            },
            .body("a context that is neither loaded nor refused", "bad_value", kind: Frame.LaneKind.loaded) { output, _ in
                for field in [1, 2, 0] as [UInt32] { output.append(field) }
            },
            .body("four billion outcomes", "do not fit", kind: Frame.LaneKind.outcomes) { output, _ in
                output.append(UInt32.max)
                output.append(UInt32(0))
            },
            .body("one outcome and something behind it", "follow the last outcome", kind: Frame.LaneKind.outcomes) { output, _ in
                output.append(UInt32(0))
                output.append(UInt32(0))
                output.append(UInt64(1))
            },
            .outcome("an outcome of -1 bytes", "bad_size", status: 0, size: .max),
            .outcome("an outcome with effects of -1 bytes", "bad_size", status: 0, effects: .max),
            .outcome("an outcome with a detail of -1 bytes", "bad_size", status: 0, detail: .max),
            .outcome("an outcome whose sizes wrap around", "bad_size", status: 0, effects: .max - 23, detail: 0, size: 0),
            .outcome("a status that there is not", "status 6", status: 6),
            .outcome("a status with reserved bytes", "bad_value", status: 0x100),
            .outcome("effects of a failure", "has effects", status: 2, effects: 8, size: 32, tail: [4, 0, 1, 0, 0x6B, 0, 0, 0]),
            .outcome("a retry without its delay", "without its delay", status: 8),
            .outcome("a retry in the past", "in the past", status: 8, detail: 8, size: 32, tail: [0, 0, 0, 0, 0, 0, 0, 0x80]),
            .body("four billion lost deliveries", "do not fit", kind: Frame.LaneKind.lost) { output, _ in
                output.append(UInt32(1))
                output.append(UInt32.max)
            },
            .body("a call of -1 bytes", "bad_size", kind: Frame.LaneKind.call) { output, delivery in
                output.append(UInt64(1))
                output.append(delivery)
                output.append(UInt32(1))
                output.append(UInt32.max)
            },
            .body("a log line of -1 bytes", "bad_size", kind: Frame.LaneKind.log) { output, _ in
                output.append(UInt32(1))
                output.append(UInt32.max)
            },
        ]

        @Test(arguments: nonsense)
        func `a lane that sends what is no frame is ended with the reason, and its deliveries go to the next one`(
            _ nonsense: Nonsense
        ) async throws {
            try await HostileRig.run { talk in
                nonsense.say(talk)
            } _: { rig, lane in
                let receipt = try await rig.settle("hostile.go")
                // The lane after it is an honest one: what the first had is not lost and not counted as an attempt.
                #expect(receipt.results.map(\.result?.value) == ["honest"])
                #expect(receipt.results.first?.attempts == 1)
                let end = await rig.notice { if case .laneEnded = $0.kind { true } else { false } }
                guard case .laneEnded(let number, let reason, let plugins)? = end?.kind else { return }
                #expect(number == lane)
                #expect(reason.contains("no frame") && reason.contains(nonsense.reason), "\(reason)")
                #expect(plugins == ["hostile"])
            }
        }

        @Test(arguments: [0, 1, 7, 8, 20, 31]) func `a lane that hangs up in the middle of a frame loses nothing but itself`(_ size: Int)
            async throws
        {
            try await HostileRig.run { talk in
                talk.say(Array(([28, 0, 0, 0, 67, 0, 0, 0] + [UInt8](repeating: 0, count: 24)).prefix(size)))
                talk.hangsUp = true
            } _: { rig, _ in
                let answer = try await rig.answer("hostile.go")
                #expect(answer == "honest")
            }
        }

        // MARK: Frames that are none of its business

        @Test func `outcomes for deliveries that a lane does not have change nothing, and a second answer neither`() async throws {
            try await HostileRig.run { talk in
                let mine = talk.deliveries
                for stranger in [0, 1, 2, 64, 65, 1 << 32 | 1, .max, .max << 32] as [UInt64] where !mine.contains(stranger) {
                    talk.forge(deliveries: [stranger], detail: Array("\"forged\"".utf8))
                    talk.output.appendLost(context: talk.context, deliveries: [stranger, stranger])
                    talk.call(1, delivery: stranger, #"{"name": "kv.get", "key": "secret"}"#)
                }
                talk.forge(deliveries: mine + mine, detail: Array("\"mine\"".utf8))
                talk.output.appendLost(context: talk.context, deliveries: mine)
            } _: { rig, lane in
                let before = await rig.bus.statistics()
                for _ in 1...20 {
                    let receipt = try await rig.settle("hostile.go")
                    #expect(receipt.results.map(\.result?.value) == ["mine"])
                }
                #expect(await rig.bus.statistics().settled - before.settled == 20)
                #expect(await rig.status("hostile")?.lanes == [lane])
            }
        }

        @Test func `log lines and answers for contexts of others are nobody's`() async throws {
            try await HostileRig.run { talk in
                for context in [0, 1, 2, 99, UInt32.max] where context != talk.context {
                    Array(#"{"level": "error", "text": "forged"}"#.utf8).withUnsafeBytes {
                        talk.output.appendLog(context: context, json: $0)
                    }
                    Array(#"{"message": "gone"}"#.utf8).withUnsafeBytes {
                        talk.output.appendLoaded(context: context, isOK: false, json: $0)
                    }
                    Array("{}".utf8).withUnsafeBytes { talk.output.appendLoaded(context: context, isOK: true, json: $0) }
                }
                Array("no JSON".utf8).withUnsafeBytes { talk.output.appendLog(context: talk.context, json: $0) }
                Array(#"{"level": 7, "text": [], "fields": 1}"#.utf8).withUnsafeBytes {
                    talk.output.appendLog(context: talk.context, json: $0)
                }
                talk.answer(.done, detail: Array("1".utf8))
            } _: { rig, lane in
                let answer = try await rig.answer("hostile.go")
                #expect(answer == 1)
                #expect(await rig.status("hostile")?.lanes == [lane])
            }
        }

        // MARK: Fuzzing

        @Test(arguments: 0..<8) func `no change of a lane's bytes harms more than the lane`(_ seed: Int) async throws {
            try await Rig.run(lanes: .threads(count: 1)) { rig in
                try await rig.host.load("witness", source: "bus.subscribe('witness.ask', { name = 'ask' }, function() return 'here' end)")
                for round in 0..<40 {
                    // A name of its own for each: what the one before left draining must not be where this one is placed.
                    let (name, type) = ("hostile-\(round)", "hostile.go\(round)")
                    let lane = try await FakeLane.install(for: name, in: rig.host) { frame, talk in
                        switch frame {
                        case .load: talk.loaded(FakeLane.subscription(to: type))
                        case .deliver:
                            Self.garble(talk, SeededBits(state: UInt64(seed * 1_000 + round)))
                            talk.hangsUp = true
                        default: break
                        }
                    }
                    try await rig.host.load(name, source: "bus.subscribe('\(type)', { name = 'go' }, function() end)")
                    _ = try await rig.bus.emit(Event(type: EventType(type)))
                    let end = await rig.notice { if case .laneEnded(lane, _, _) = $0.kind { true } else { false } }
                    #expect(end != nil)
                    #expect(try await rig.answer("witness.ask") == "here", "seed \(seed), round \(round)")
                    try await rig.host.unload(name)
                }
            }
        }

        /// Says everything that a lane can say about its delivery, with some bytes changed.
        private static func garble(_ talk: FakeLane.Talk, _ seeded: SeededBits) {
            var bits = seeded
            let (mine, json) = (talk.deliveries[0], Array(#"{"name": "kv.get", "key": "a", "level": "info", "text": "x"}"#.utf8))
            let effects: [UInt8] =
                [1, 0, 3, 0, 1, 0, 0, 0, 2, 0] + Array("a.b1{}".utf8) + [4, 0, 1, 0, 0x6B, 5, 0, 0, 0, 1, 0, 0, 0, 0x31]
            let order = (0..<6).shuffled(using: &bits)
            for kind in order {
                switch kind {
                case 0: talk.output.appendReady()
                case 1: json.withUnsafeBytes { talk.output.appendLoaded(context: talk.context, isOK: true, json: $0) }
                case 2: talk.answer(Bool.random(using: &bits) ? .done : .checkpoint, effects: effects, detail: json)
                case 3: json.withUnsafeBytes { talk.output.appendCall(1, delivery: mine, context: talk.context, json: $0) }
                case 4: json.withUnsafeBytes { talk.output.appendLog(context: talk.context, json: $0) }
                default: talk.output.appendLost(context: talk.context, deliveries: [mine])
                }
            }
            var stream = Array(talk.output.bytes)
            talk.output.removeAll()
            for _ in 0..<Int.random(in: 0...8, using: &bits) {
                let index = Int.random(in: 0..<stream.count, using: &bits)
                stream[index] = [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &bits)].randomElement(using: &bits) ?? 0
            }
            if Bool.random(using: &bits) { stream.removeLast(Int.random(in: 0..<stream.count, using: &bits)) }
            talk.say(stream)
        }
    }
}
