import MoonbusDispatch
import MoonbusEvents
import MoonbusTesting
import Testing

@testable import MoonbusLane
@testable import MoonbusPlugins

/// Calls of a hostile lane: too many, senseless, or with answers that it never reads. And declarations that no honest lane makes.
extension HostileLaneTests {
    @Suite(.timeLimit(.minutes(2))) struct CallsTests {
        @Test(arguments: ["{", "[]", #"{"name": 7}"#, #"{"name": "open"}"#, #"{"name": "sleep", "duration_us": -9223372036854775808}"#])
        func `a call that makes no sense is answered, and the delivery goes on`(_ json: String) async throws {
            try await HostileRig.run(afterReply: true) { talk in
                talk.call(1, delivery: talk.deliveries[0], json)
            } _: { rig, _ in
                let answer = try await rig.answer("hostile.go")
                #expect(answer == "replied")
            }
        }

        @Test(arguments: [
            #"{"name": "request", "type": "a..b"}"#, #"{"name": "request", "type": "nobody.there", "timeout_us": 9223372036854775807}"#,
            #"{"name": "request", "type": "nobody.there", "timeout_us": -1, "subject": 1, "key": {}}"#,
            #"{"name": "kv.get", "key": ""}"#, #"{"name": "kv.scan", "prefix": 1, "limit": -9223372036854775808}"#,
        ])
        func `arguments that can't be are answered, too`(_ json: String) async throws {
            try await HostileRig.run(afterReply: true) { talk in
                talk.call(1, delivery: talk.deliveries[0], json)
            } _: { rig, _ in
                let answer = try await rig.answer("hostile.go")
                #expect(answer == "replied")
            }
        }

        @Test func `of more calls than may wait the last ones are answered with an error at once`() async throws {
            try await HostileRig.run(afterReply: true) { talk in
                for number in 0..<UInt64(PluginContext.callsMax + 70_000) {
                    talk.call(number, delivery: talk.deliveries[0], #"{"name":"sleep","duration_us":60000000}"#)
                }
            } _: { rig, _ in
                let answer = try await rig.answer("hostile.go")
                #expect(answer == "replied")
                // None is left in the books, so the next delivery may call again.
                let left = await rig.bus.owner.perform { rig.host.lanes.flatMap { $0.contexts.values.map(\.callCount) }.reduce(0, +) }
                #expect(left == 0)
            }
        }

        @Test func `two calls of one number don't leave a timer`() async throws {
            try await HostileRig.run { talk in
                for _ in 0..<3 { talk.call(7, delivery: talk.deliveries[0], #"{"name":"sleep","duration_us":60000000}"#) }
                talk.answer(.done, detail: Array("1".utf8))
            } _: { rig, _ in
                let before = await rig.bus.owner.perform { rig.bus.owner.timerCount } ?? 0
                for _ in 0..<100 { try await rig.settle("hostile.go") }
                let after = await rig.bus.owner.perform { rig.bus.owner.timerCount } ?? 0
                #expect(after < before + 50, "\(after - before) timers were left")
            }
        }

        @Test func `a lane that calls and never reads the answers is ended before they fill the memory`() async throws {
            try await HostileRig.run { talk in
                for number in 0..<200_000 { talk.call(UInt64(number), delivery: talk.deliveries[0], #"{"name":"nonsense"}"#) }
                talk.stopsReading = true
            } _: { rig, lane in
                _ = await rig.bus.owner.perform { rig.host.answersSizeMax = 1 << 20 }
                let answer = try await rig.answer("hostile.go")
                #expect(answer == "honest")
                let end = await rig.notice { if case .laneEnded = $0.kind { true } else { false } }
                guard case .laneEnded(lane, let reason, _)? = end?.kind else {
                    Issue.record("another lane ended: \(String(describing: end))")
                    return
                }
                #expect(reason.contains("does not read the answers"))
            }
        }

        @Test func `answers that would be more than may wait are errors`() async throws {
            let value = "\"" + String(repeating: "x", count: 128 << 10) + "\""
            try await HostileRig.run { talk in
                guard talk.frameCount > 1 else {
                    let effects = (0..<16).flatMap { EffectsTests.set(Array("big\($0)".utf8), value) }
                    return talk.answer(.done, effects: effects, detail: Array("1".utf8))
                }
                for number in 0..<64 { talk.call(UInt64(number), delivery: talk.deliveries[0], #"{"name":"kv.scan","prefix":"big"}"#) }
                Array(#"{"text": "all asked"}"#.utf8).withUnsafeBytes { talk.output.appendLog(context: talk.context, json: $0) }
                talk.stopsReading = true
            } _: { rig, _ in
                _ = await rig.bus.owner.perform { rig.host.answersSizeMax = 4 << 20 }
                let answer = try await rig.answer("hostile.go")
                #expect(answer == 1)
                _ = try await rig.bus.emit(Event(type: EventType("hostile.go")))
                _ = await rig.notice { if case .log(_, "all asked") = $0.kind { true } else { false } }
                // 2 MiB an answer: the third one makes it more than 4 MiB, and the others are short. What the socket has taken by now, up to
                // some 2 MiB of it, does not wait any more.
                let backlog = await rig.bus.owner.perform { rig.host.lanes.map(\.backlog).max() ?? 0 } ?? 0
                #expect(backlog > 1 << 20 && backlog < 7 << 20, "\(backlog) bytes")
            }
        }

        // MARK: Declarations

        private static let subscription = #""name": "go", "pattern": "hostile.go", "function": 1"#

        @Test(arguments: [
            "", "null", "[]", "{}", #"{"subscriptions": [], "sources": []}"#, #"{"subscriptions": {}, "sources": [], "timers": []}"#,
            list(#"{"name": "go", "pattern": "hostile..go", "function": 1}"#), list(#"{"name": "go", "pattern": "hostile.go"}"#),
            list(#"{"name": "go", "pattern": "hostile.go", "function": 9223372036854775807}"#),
            list(#"{\#(subscription), "timeout_us": 9223372036854775807}"#), list(#"{\#(subscription), "debounce_us": -1}"#),
            list(#"{\#(subscription), "throttle_us": 9223372036854775807}"#), list(#"{\#(subscription), "retry": []}"#),
            list(timers: #"{"name": "t", "kind": "every", "every_us": 9223372036854775807, "function": 1}"#),
            list(timers: #"{"name": "t", "kind": "run", "function": 1}"#), list(timers: #"{"name": "t", "kind": "cron", "function": 1}"#),
        ])
        func `declarations that no honest lane makes end the lane`(_ declarations: String) async throws {
            try await HostileRig.run(declarations: declarations, isRefused: true) { _ in
            } _: { rig, _ in
                // The lane that comes after it is honest.
                let answer = try await rig.answer("hostile.go")
                #expect(answer == "honest")
            }
        }

        @Test(arguments: [
            list(#"{\#(subscription), "concurrency": -9223372036854775808}"#), list(#"{\#(subscription), "retry": {"attempts": -1}}"#),
            list(#"{\#(subscription), "batch": {"count": 9223372036854775807, "within_us": 0}}"#),
            list(#"{\#(subscription), "line": -9223372036854775808}"#), list(#"{\#(subscription), "cpu_us": 31622400000000}"#),
            list(#"{\#(subscription), "timeout_us": 0}"#), list(#"{\#(subscription), "throttle_us": 31622400000000}"#),
            list("{\(subscription)}", timers: #"{"name": "t", "kind": "every", "every_us": 0, "function": 1}"#),
            list("{\(subscription)}", timers: #"{"name": "t", "kind": "every", "every_us": 31622400000000, "function": 1}"#),
        ])
        func `declarations at the ends of their range harm nobody else`(_ declarations: String) async throws {
            try await HostileRig.run(declarations: declarations) { talk in
                talk.answer(.done, detail: Array("1".utf8))
            } _: { rig, _ in
                for _ in 1...3 { _ = try await rig.bus.emit(Event(type: EventType("hostile.go"))) }
            }
        }

        private static func list(_ subscription: String = "", timers: String = "") -> String {
            #"{"subscriptions": [\#(subscription)], "sources": [], "timers": [\#(timers)]}"#
        }
    }
}
