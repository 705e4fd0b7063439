import Foundation
import MoonbusEvents
import Testing

extension Faults {
    @Suite(.timeLimit(.minutes(2))) struct PressureTests {
        private static let plugins = repository.appending(path: "Tests/Data/pressure")
        /// How many events a subscription holds, unless it says otherwise.
        private static let bound = 10_000

        @Test func `a slow consumer holds what its bound says, its emitters are told, and its neighbours don't notice`() async throws {
            let service = try await FaultyService(in: try Scratch(), plugins: Self.plugins)
            try await blocking {
                let connection = try Loopback(port: service.port)
                let before = try Self.latency(connection)
                for turn in 0..<10 {
                    let events = (0..<1_000).map { #"{"specversion":"1.0","type":"slow.fact","source":"/s","id":"\#(turn)-\#($0)"}"# }
                    let body = "[" + events.joined(separator: ",") + "]"
                    #expect(try connection.ask("POST", "/events", body, type: "application/cloudevents-batch+json").status == 202)
                }
                let refused = try connection.ask("POST", "/events/slow.fact")
                #expect(refused.status == 429)
                #expect(refused.fields["retry-after"].flatMap { Int($0) } ?? 0 >= 1)
                #expect(refused.text.contains("slow.slow"), "it names the subscription: \(refused.text)")
                // A handler that emits to it waits, and does not fail.
                let feeding = try connection.ask("POST", "/events/feeder.fact?wait=500ms")
                #expect(feeding.status == 202)
                #expect(try feeding.json.value["pending"] == 1)
                let statistics = try connection.ask("GET", "/statistics").json.value
                let slow = try #require(statistics["subscriptions"]?.array?.first { $0["name"]?.string == "slow.slow" })
                #expect((slow["queued"]?.integer ?? 0) + (slow["in_flight"]?.integer ?? 0) == Int64(Self.bound))
                let after = try Self.latency(connection)
                #expect(after < max(before * 5, .milliseconds(100)), "\(before) before, \(after) beside a full queue")
            }
            await service.killAll()
        }

        /// How long a request to the quick plugin takes: the median of 101.
        private static func latency(_ connection: Loopback) throws -> Duration {
            let clock = ContinuousClock()
            let times = try (0..<101).map { _ in
                try clock.measure {
                    let answer = try connection.ask("POST", "/events/quick.fact?wait=5s")
                    #expect(answer.status == 200)
                }
            }
            return times.sorted()[50]
        }

        @Test func `a poison event is a dead letter after its attempts, and the next of its key goes on`() async throws {
            let service = try await FaultyService(in: try Scratch(), plugins: Self.plugins)
            try await blocking {
                let connection = try Loopback(port: service.port)
                let poison = try connection.ask("POST", "/events/quick.poison?key=k&id=bad", #"{"poison":true}"#)
                #expect(poison.status == 202)
                let next = try connection.ask("POST", "/events/quick.poison?key=k&id=good&wait=10s", #"{"n":1}"#)
                #expect(next.status == 200)
                #expect(try next.json.value["results"]?[0]?["status"]?.string == "done")
                let letters = try connection.ask("GET", "/deliveries?state=dead").json.value.array ?? []
                #expect(letters.count == 1)
                #expect(letters.first?["event"]?["id"]?.string == "bad")
                #expect(letters.first?["failures"]?.array?.count == 3)
                #expect(letters.first?["failures"]?[0]?["error"]?["message"]?.string?.contains("can't be handled") == true)
            }
            #expect(await service.stop() == 0)
        }
    }
}
