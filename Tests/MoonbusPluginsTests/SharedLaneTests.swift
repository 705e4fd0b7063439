import MoonbusDispatch
import MoonbusEvents
import MoonbusPlugins
import Testing

@Suite struct SharedLaneTests {
    /// The first plugin's deliveries fill the lane's backlog (4 MiB) in one turn; the others have nothing in flight whose answer would
    /// give them a turn again.
    @Test func `plugins that found their lane full are served when it has room again`() async throws {
        try await Rig.run(lanes: .threads(count: 1)) { rig in
            for name in ["one", "two", "three"] {
                try await rig.host.load(name, source: #"bus.subscribe("load", function(event) return #event.data end)"#)
            }
            let text = JSON(.string(String(repeating: "x", count: 700_000)))
            let events = try (0..<12).map { _ in try Event(type: EventType("load"), data: text) }
            _ = try await rig.bus.emit(events)
            let last = try await rig.settle("load", "last")
            #expect(last.pending == 0)
            #expect(last.results.map(\.result?.value) == [4, 4, 4])
        }
    }
}
