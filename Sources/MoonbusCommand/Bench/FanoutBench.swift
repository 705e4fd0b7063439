import CLuaShim
import MoonbusEvents
import MoonbusPlugins

/// W2: one event to many plugins, each in a context of its own. The unit is the delivery.
enum FanoutBench {
    private static let script = """
        local n = 0
        bus.subscribe("order.created", { name = "count" }, function(event)
          if event.type == "order.created" and event.data.amount > 100 then n = n + 1 end
        end)
        """

    /// - Parameters:
    ///   - contexts: plugins.
    ///   - events: emitted; each is delivered to all of them.
    static func run(_ kind: BenchHost.LaneKind, contexts: Int, events: Int) async throws -> Measurement {
        let floorCPU = moonbus_floor_fanout(UInt32(contexts), UInt64(events))
        guard floorCPU > 0 else { throw CommandError(.internal, "the floor could not be measured") }
        return try await BenchHost.run(kind) { host in
            for index in 0..<contexts { try await host.plugins.load("bench-\(index)", source: script) }
            let source = BenchEvents()
            let window = max(16, 64_000 / contexts)
            try await host.flood(min(events, 50), window: window, deliveriesEach: contexts, source.event)
            let (wall, cpu) = try await host.measure {
                try await host.flood(events, window: window, deliveriesEach: contexts, source.event)
            }
            let operations = events * contexts
            return Measurement(
                name: "fan-out to \(contexts), \(kind.text)", operations: operations, wall: wall, cpu: cpu,
                floor: Double(operations) / floorCPU)
        }
    }
}
