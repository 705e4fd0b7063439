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
        guard let floor = moonbus_floor_fanout_open(UInt32(contexts)) else {
            throw CommandError(.internal, "there is no memory for \(contexts) states")
        }
        defer { moonbus_floor_fanout_close(floor) }
        return try await BenchHost.run(kind) { host in
            for index in 0..<contexts { try await host.plugins.load("bench-\(index)", source: script) }
            let source = BenchEvents()
            let window = max(16, 64_000 / contexts)
            try await host.flood(min(events, 50), window: window, deliveriesEach: contexts, source.event)
            let total = try await host.measure(
                inRoundsOf: events, floor: { moonbus_floor_fanout(floor, UInt64($0)) },
                { try await host.flood($0, window: window, deliveriesEach: contexts, source.event) })
            let operations = events * contexts
            return Measurement(
                name: "fan-out to \(contexts), \(kind.text)", operations: operations, wall: total.wall, cpu: total.cpu,
                floor: Double(operations) / total.floor)
        }
    }
}
