import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusTesting
import Testing

@testable import MoonbusLane
@testable import MoonbusPlugins

/// Outcomes of a hostile lane that are frames, but ask for what can't be: the lane lives, its deliveries fail.
extension HostileLaneTests {
    @Suite(.timeLimit(.minutes(2))) struct EffectsTests {
        struct Forgery: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let reason: String
            var effects: [UInt8] = []
            var detail: [UInt8] = []
        }

        private static func emit(_ type: String, _ data: String = "", _ options: String = "") -> [UInt8] {
            [1, 0] + bytes(UInt16(type.utf8.count)) + bytes(UInt32(data.utf8.count)) + bytes(UInt16(options.utf8.count))
                + Array((type + data + options).utf8)
        }

        static func set(_ key: [UInt8], _ value: String) -> [UInt8] {
            [3, 0] + bytes(UInt16(key.count)) + bytes(UInt32(value.utf8.count)) + bytes(Int64(0)) + bytes(UInt64(7)) + key
                + Array(value.utf8)
        }

        private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

        static let forgeries: [Forgery] = [
            Forgery(testDescription: "a kind that no effect has", reason: "kind 9", effects: [9, 0, 0, 0]),
            Forgery(testDescription: "an effect that is cut off", reason: "bad_size", effects: [1, 0, 5]),
            Forgery(testDescription: "data of -1 bytes", reason: "bad_size", effects: [1, 0, 1, 0, 255, 255, 255, 255, 0, 0, 0x61]),
            Forgery(testDescription: "a type that is none", reason: "type", effects: emit("a..b")),
            Forgery(testDescription: "a type with a wildcard", reason: "type", effects: emit("a.>")),
            Forgery(testDescription: "a type that is not UTF-8", reason: "UTF-8", effects: [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xC3, 0x28]),
            Forgery(
                testDescription: "a type that the manifest does not allow", reason: "may not emit 'witness.keep'",
                effects: emit("witness.keep", "1")),
            Forgery(
                testDescription: "a type of the host's own", reason: "reserved for Moonbus itself",
                effects: emit("moonbus.plugin.loaded", "1")),
            Forgery(
                testDescription: "another's source", reason: "may not emit with the source '/shop'",
                effects: emit("hostile.out", "1", #"{"source": "/shop", "id": "17"}"#)),
            Forgery(testDescription: "data that is no JSON", reason: "JSON", effects: emit("hostile.out", "{")),
            Forgery(testDescription: "options that are no JSON", reason: "JSON", effects: emit("hostile.out", "1", "{\"key\"")),
            Forgery(testDescription: "a time that is none", reason: "RFC 3339", effects: emit("hostile.out", "1", #"{"at": "soon"}"#)),
            Forgery(
                testDescription: "a key that is too long", reason: "key",
                effects: emit("hostile.out", "1", #"{"key": "\#(String(repeating: "k", count: 300))"}"#)),
            Forgery(testDescription: "an empty kv key", reason: "key of 0 bytes", effects: set([], "1")),
            Forgery(
                testDescription: "a kv key of 600 bytes", reason: "key of 600 bytes",
                effects: set([UInt8](repeating: 0x6B, count: 600), "1")),
            Forgery(testDescription: "a kv key that is not UTF-8", reason: "UTF-8", effects: set([0xFF], "1")),
            Forgery(testDescription: "a kv value that is no JSON", reason: "JSON", effects: set([0x6B], "nil")),
            Forgery(testDescription: "a cursor that is no JSON", reason: "JSON", effects: [5, 0, 0, 0, 1, 0, 0, 0, 0x21]),
            Forgery(
                testDescription: "more effects than a delivery may have", reason: "10,000 effects",
                effects: (0...10_000).flatMap { _ in [4, 0, 1, 0, 0x6B] as [UInt8] }),
            Forgery(testDescription: "a result that is no JSON", reason: "the result", detail: Array("{]".utf8)),
        ]

        @Test(arguments: forgeries) func `effects that can't be fail their delivery with the reason, and none of them is committed`(
            _ forgery: Forgery
        ) async throws {
            let manifest = "[permissions]\nemit = [\"hostile.>\"]\nsubscribe = [\"hostile.>\"]"
            try await HostileRig.run(manifest: manifest) { talk in
                talk.answer(.done, effects: Self.emit("hostile.first") + forgery.effects, detail: forgery.detail)
            } _: { rig, lane in
                let recorded = await rig.bus.statistics().recorded
                let result = try await rig.settle("hostile.go").results.first
                #expect(result?.status == .dead)
                #expect(result?.error?.message.contains(forgery.reason) == true, "\(String(describing: result?.error))")
                #expect(await rig.status("hostile")?.lanes == [lane])
                #expect(await rig.bus.statistics().recorded == recorded + 1)
            }
        }

        @Test func `the keys that a lane names are its own plugin's, whatever they are called`() async throws {
            try await HostileRig.run { talk in
                let names = ["secret", "witness/secret", "../witness/secret", "witness\u{0}secret"]
                talk.answer(
                    .done, effects: names.flatMap { Self.set(Array($0.utf8), "\"stolen\"") }, detail: Array("1".utf8))
            } _: { rig, _ in
                let answer = try await rig.answer("hostile.go")
                #expect(answer == 1)
            }
        }

        @Test(arguments: [
            #"{"at": "9999-12-31T23:59:59Z"}"#, #"{"at": 9223372036854775807}"#, #"{"at": -9223372036854775808}"#,
            #"{"delay_us": 9223372036854775807}"#, #"{"delay_us": -1}"#, #"{"delay_us": 1e300}"#, #"{"at": {}, "subject": 7, "key": null}"#,
        ])
        func `no time that a lane gives stops the clock of the bus`(_ options: String) async throws {
            let effects =
                Self.emit("hostile.out", "1", options) + [3, 0, 1, 0, 1, 0, 0, 0] + Self.bytes(Int64.min) + Self.bytes(UInt64(7))
                + Array("k1".utf8)
            try await HostileRig.run { talk in
                talk.answer(.done, effects: effects, detail: Array("1".utf8))
            } _: { rig, _ in
                let answer = try await rig.answer("hostile.go")
                #expect(answer == 1)
            }
        }

        @Test func `a delivery that is to be tried again at the end of time does not keep others from being delivered`() async throws {
            try await HostileRig.run { talk in
                talk.answer(.retry, detail: Self.bytes(Int64.max))
            } _: { rig, _ in
                _ = try await rig.bus.emit(Event(type: EventType("hostile.go")))
                for _ in 1...3 { _ = try await rig.answer("witness.ask") }
            }
        }
    }
}
