import Glibc
import MoonbusPlugins

/// W6: what one more plugin costs, with everything that the host keeps about it; and what a reload costs.
enum ContextsBench {
    private static let script = """
        local seen, total, limits = {}, 0, { DE = 100, FR = 120, default = 500 }
        local function limit_for(country) return limits[country] or limits.default end
        local function score(order)
          local s = 0
          if order.amount > limit_for(order.country) then s = s + 50 end
          if order.items and #order.items > 5 then s = s + 10 end
          if seen[order.customer] then s = s - 5 end
          return s
        end
        bus.subscribe("orders.*.created", { name = "created" }, function(event)
          total = total + 1
          local s = score(event.data)
          seen[event.data.customer] = true
          if s >= 50 then bus.emit("order.flagged", { id = event.id, score = s }) end
        end)
        bus.subscribe("orders.*.cancelled", { name = "cancelled" }, function(event)
          seen[event.data.customer] = nil
          total = total - 1
          bus.emit("order.closed", { id = event.id })
        end)
        """

    static func run(_ kind: BenchHost.LaneKind, count: Int) async throws -> Measurement {
        try await BenchHost.run(kind) { host in
            try await host.plugins.load("warm", source: script)
            let pids = CPUTime.lanePIDs() + [getpid()]
            let before = CPUTime.residentBytes(of: pids)
            let (wall, cpu) = try await host.measure {
                for index in 0..<count { try await host.plugins.load("bench-\(index)", source: script) }
            }
            let bytes = CPUTime.residentBytes(of: pids) - before
            let reloads = 100
            let (reloading, _) = try await host.measure {
                for _ in 0..<reloads { try await host.plugins.load("warm", source: script) }
            }
            return Measurement(
                name: "\(count) plugins, \(kind.text)", operations: count, wall: wall, cpu: cpu,
                extra: [
                    ("kib_each", Double(bytes) / Double(count) / 1_024), ("us_each", wall / Double(count) * 1e6),
                    ("reload_us", reloading / Double(reloads) * 1e6),
                ])
        }
    }
}
