import Foundation
import MoonbusEvents
import Testing

extension Faults {
    @Suite(.timeLimit(.minutes(2))) struct ReplayKillTests {
        private static let count = 2_000
        private static let kills = 3

        /// Books each event once for each time that it has an effect, and the same for what it emits; slow enough to be met in the middle.
        private static let plugin = """
            bus.subscribe("n.given", { name = "take", key = "data.n" }, function(event)
              for _ = 1, 20000 do end
              kv.incr(string.format("n/%04d", event.data.n))
              bus.emit("n.taken", { n = event.data.n })
            end)
            bus.subscribe("n.taken", { name = "note" }, function(event) kv.incr(string.format("t/%04d", event.data.n)) end)
            """

        @Test func `kill -9 in the middle of a replay, and each of its events has had one effect when it is done`() async throws {
            let scratch = try Scratch()
            try scratch.write(Self.plugin, to: "plugins/tally.lua")
            let plugins = scratch.url.appending(path: "plugins")
            var service = try await FaultyService(in: scratch, plugins: plugins)
            try await fill(service.port)
            let number = try await begin(service.port)
            for _ in 0..<Self.kills {
                let met = try await middle(of: number, service.port)
                await service.killAll()
                #expect(met["state"] == "running", "it was killed in the middle of it: \(JSON(met).text)")
                service = try await FaultyService(in: scratch, plugins: plugins)
            }
            #expect(try await booked(service.port) == Self.count)
            #expect(await service.stop() == 0)
        }

        private func fill(_ port: Int) async throws {
            try await blocking {
                let connection = try Loopback(port: port)
                let events = (1...Self.count).map {
                    #"{"specversion":"1.0","id":"\#($0)","source":"/t","type":"n.given","data":{"n":\#($0)}}"#
                }
                let answer = try connection.ask(
                    "POST", "/events?wait=60s", "[\(events.joined(separator: ","))]", type: "application/cloudevents-batch+json")
                guard answer.status == 200 else { throw Loopback.Failure(description: answer.text) }
            }
        }

        private func begin(_ port: Int) async throws -> Int64 {
            try await blocking {
                let answer = try Loopback(port: port).ask("POST", "/plugins/tally/replays", #"{"type":"n.given"}"#)
                guard answer.status == 202, let number = try answer.json.value["number"]?.integer else {
                    throw Loopback.Failure(description: answer.text)
                }
                return number
            }
        }

        /// Waits until some more of the replay is done.
        private func middle(of number: Int64, _ port: Int) async throws -> JSONValue {
            try await blocking {
                let connection = try Loopback(port: port)
                while true {
                    let status = try connection.ask("GET", "/plugins/tally/replays/\(number)").json.value
                    if status["state"] != "running" || status["done"]?.integer ?? 0 > 100 { return status }
                }
            }
        }

        /// Waits until no replay is open and everything emitted is noted.
        ///
        /// - Returns: how many events have had two effects: one when they were recorded, one by the replay.
        private func booked(_ port: Int) async throws -> Int {
            try await blocking {
                let connection = try Loopback(port: port)
                let clock = ContinuousClock()
                let deadline = clock.now + .seconds(30)
                while try connection.ask("GET", "/plugins/tally/replays").text != "[]" {
                    guard clock.now < deadline else { throw Loopback.Failure(description: "the replay does not end") }
                }
                func counts(_ prefix: String) throws -> [Int64] {
                    let answer = try connection.ask("GET", "/plugins/tally/kv?prefix=\(prefix)&limit=10000")
                    let entries = try JSON(validating: answer.body, limits: JSONLimits(bytes: 1 << 24)).value["entries"]
                    return (entries?.array ?? []).compactMap { $0["value"]?.integer }
                }
                while try counts("t/").reduce(0, +) < 2 * Self.count, clock.now < deadline {}
                let (given, taken) = (try counts("n/"), try counts("t/"))
                guard given == taken else { throw Loopback.Failure(description: "effects and emits differ: \(given) and \(taken)") }
                return given.count { $0 == 2 }
            }
        }
    }
}
