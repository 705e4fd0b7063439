import CLuaShim
import MoonbusDispatch
import MoonbusEvents
import MoonbusPlugins
import Synchronization

/// W1: emit → handler → settled, one event after the other to one handler.
///
/// The handler is that of the floor, `if event.type == "order.created" and event.data.amount > 100 then n = n + 1 end`, and n must be the
/// number of events at the end. The floor makes a fresh table of four fields for each event and calls the handler protected.
enum DispatchBench {
    private static let script = """
        local n = 0
        bus.subscribe("order.created", { name = "count" }, function(event)
          if event.type == "order.created" and event.data.amount > 100 then n = n + 1 end
        end)
        bus.subscribe("bench.count", { name = "tell" }, function() return n end)
        """

    /// - Parameter count: events.
    static func run(_ kind: BenchHost.LaneKind, count: Int) async throws -> Measurement {
        return try await BenchHost.run(kind) { host in
            let counter = Counter()
            if kind == .swift {
                try await host.bus.subscribe(EventPattern("order.created"), name: "count") { event, _ in
                    if event.typeText == "order.created", (event.data?.value(at: ["amount"])?.integer ?? 0) > 100 {
                        counter.value.add(1, ordering: .relaxed)
                    }
                    return nil
                }
            } else {
                try await host.plugins.load("bench", source: script)
            }
            let events = BenchEvents()
            try await host.flood(min(count, 20_000), events.event)  // caches, arenas and branch predictors
            let total = try await host.measure(inRoundsOf: count, floor: { moonbus_floor_dispatch(UInt64($0)) }) {
                try await host.flood($0, events.event)
            }
            let counted = kind == .swift ? counter.value.load(ordering: .relaxed) : try await handled(by: host)
            guard counted == count + min(count, 20_000) else {
                throw CommandError(.internal, "\(counted) events were handled, not \(count)")
            }
            return Measurement(
                name: "dispatch, \(kind.text)", operations: count, wall: total.wall, cpu: total.cpu, floor: Double(count) / total.floor)
        }
    }

    private static func handled(by host: BenchHost) async throws -> Int {
        let receipt = try await host.bus.emit(Event(type: EventType("bench.count")), until: .settled)
        return Int(receipt.results.first?.result?.value.integer ?? -1)
    }
}

/// A number that handlers on any thread raise.
final class Counter: Sendable {
    let value = Atomic(0)
}
