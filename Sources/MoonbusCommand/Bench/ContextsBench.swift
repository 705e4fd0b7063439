import CLuaShim
import Glibc
import MoonbusDispatch
import MoonbusEvents
import MoonbusPlugins

/// W6: what one more plugin costs, with everything that the host keeps about it and one event that it has handled; what a reload costs;
/// and how long many plugins take that are loaded together, as when a folder is read.
///
/// The floor is a plain state with the same script and as safe libraries: no limits, no bus, no names, no host.
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

    private static let rounds = 5

    /// - Parameter count: plugins that are loaded one after the other, and as many together.
    static func run(_ kind: BenchHost.LaneKind, count: Int) async throws -> Measurement {
        let floor = moonbus_floor_contexts(UInt32(count))
        guard floor.seconds > 0 else { throw CommandError(.internal, "the floor could not be measured") }
        // One by one first: what the others leave to malloc would hide what these take.
        var figures = try await loadOneByOne(kind, count: count)
        let together = try await loadTogether(kind, count: count)
        figures.floor = 1 / floor.seconds
        figures.extra += [
            ("together_s_per_10000", together * 10_000), ("floor_kb", floor.bytes / 1_024), ("floor_us", floor.seconds * 1e6),
        ]
        return figures
    }

    private static func loadOneByOne(_ kind: BenchHost.LaneKind, count: Int) async throws -> Measurement {
        try await BenchHost.run(kind) { host in
            try await host.plugins.load("warm", source: script)
            let pids = CPUTime.lanePIDs() + [getpid()]
            var (times, bytes, cpus): ([Double], [Double], [Double]) = ([], [], [])
            let size = max(1, count / rounds)
            for round in 0..<rounds {
                let before = CPUTime.residentBytes(of: pids)
                let (wall, cpu) = try await host.measure {
                    for index in 0..<size { try await host.plugins.load("bench-\(round)-\(index)", source: script) }
                }
                try await tellAll(host)
                times.append(wall / Double(size))
                cpus.append(cpu / Double(size))
                bytes.append(Double(CPUTime.residentBytes(of: pids) - before) / Double(size))
            }
            let loaded = size * rounds
            return Measurement(
                name: "\(loaded) plugins, \(kind.text)", operations: loaded, wall: median(times) * Double(loaded),
                cpu: median(cpus) * Double(loaded),
                extra: [
                    ("kb_each", bytes.reduce(0, +) / Double(rounds) / 1_024), ("us_each", median(times) * 1e6),
                    ("reload_us", try await reload(host) * 1e6),
                ])
        }
    }

    /// One event for every plugin: what a handler's first run makes is part of what a plugin costs. It flags nothing, so that the journal
    /// keeps no more events than this one.
    private static func tellAll(_ host: BenchHost) async throws {
        let event = try Event(
            type: EventType("orders.eu.created"), data: JSON(#"{"amount": 50, "country": "DE", "customer": "c-1"}"#))
        _ = try await host.bus.emit(event, until: .settled)
    }

    /// Seconds for a plugin when all are loaded at once: the lane compiles one while the host reads the next.
    private static func loadTogether(_ kind: BenchHost.LaneKind, count: Int) async throws -> Double {
        try await BenchHost.run(kind) { host in
            let (wall, _) = try await host.measure {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<count { group.addTask { try await host.plugins.load("bench-\(index)", source: script) } }
                    try await group.waitForAll()
                }
            }
            return wall / Double(count)
        }
    }

    /// Seconds for a new version of a plugin among many.
    private static func reload(_ host: BenchHost) async throws -> Double {
        var times: [Double] = []
        let clock = ContinuousClock()
        for _ in 0..<200 {
            let start = clock.now
            try await host.plugins.load("warm", source: script)
            times.append((clock.now - start) / .seconds(1))
        }
        return median(times)
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
