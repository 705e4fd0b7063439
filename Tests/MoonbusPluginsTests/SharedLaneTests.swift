import MoonbusDispatch
import MoonbusEvents
import MoonbusPlugins
import Testing

@Suite struct SharedLaneTests {
    /// The first plugin's deliveries fill the lane's backlog (1 MiB) in one turn; the others have nothing in flight whose answer would
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

    /// Small deliveries fill it too, while the lane empties it: whoever was told that there is no room is told when there is.
    @Test(.timeLimit(.minutes(1))) func `many plugins of one lane are served when it had no room in between`() async throws {
        try await Rig.run(lanes: .threads(count: 1)) { rig in
            for index in 0..<80 {
                try await rig.host.load("p\(index)", source: #"bus.subscribe("load", { name = "take" }, function() end)"#)
            }
            for _ in 0..<4 {
                let events = try (0..<100).map { _ in try Event(type: EventType("load")) }
                _ = try await rig.bus.emit(events)
            }
            let last = try await rig.settle("load", "last")
            #expect(last.pending == 0)
            #expect(last.results.count == 80)
        }
    }
}
