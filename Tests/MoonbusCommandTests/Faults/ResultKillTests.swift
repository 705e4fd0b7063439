import Foundation
import MoonbusEvents
import Testing

extension Faults {
    @Suite(.timeLimit(.minutes(2))) struct ResultKillTests {
        private static let count = 1_000
        private static let kills = 5

        /// A source whose events are booked once by their handler and once by what the source hears of it.
        private static let plugin = """
            bus.source({
              name = "feed", every = "100ms",
              poll = function(cursor)
                local n = cursor or 0
                for _ = 1, math.min(40, \(count) - n) do
                  n = n + 1
                  bus.emit("n.made", { n = n })
                end
                return n
              end,
              result = function(result) kv.incr(string.format("r/%04d", result.result.n)) end,
            })
            bus.subscribe("n.made", { name = "take" }, function(event)
              kv.incr(string.format("h/%04d", event.data.n))
              return { n = event.data.n }
            end)
            """

        @Test func `kill -9 between a handler and its source, and the source hears of each event once`() async throws {
            let scratch = try Scratch()
            try scratch.write(Self.plugin, to: "plugins/feeder.lua")
            let plugins = scratch.url.appending(path: "plugins")
            var service = try await FaultyService(in: scratch, plugins: plugins)
            var heard = 0
            for _ in 0..<Self.kills {
                heard = try await wait(for: heard + 1, service.port)
                await service.killAll()
                service = try await FaultyService(in: scratch, plugins: plugins)
            }
            #expect(try await wait(for: Self.count, service.port) == Self.count)
            #expect(try await counts("r/", service.port) == Array(repeating: 1, count: Self.count))
            #expect(try await counts("h/", service.port) == Array(repeating: 1, count: Self.count))
            #expect(await service.stop() == 0)
        }

        /// Waits until the source has heard of so many events.
        private func wait(for count: Int, _ port: Int) async throws -> Int {
            let clock = ContinuousClock()
            let deadline = clock.now + .seconds(30)
            while true {
                let heard = try await counts("r/", port).count
                if heard >= count { return heard }
                guard clock.now < deadline else { throw Loopback.Failure(description: "the source heard of \(heard) events, not \(count)") }
            }
        }

        private func counts(_ prefix: String, _ port: Int) async throws -> [Int64] {
            try await blocking {
                let answer = try Loopback(port: port).ask("GET", "/plugins/feeder/kv?prefix=\(prefix)&limit=10000")
                let entries = try JSON(validating: answer.body, limits: JSONLimits(bytes: 1 << 24)).value["entries"]
                return (entries?.array ?? []).compactMap { $0["value"]?.integer }
            }
        }
    }
}
