import MoonbusDispatch
import MoonbusEvents
import MoonbusPlugins
import Testing

@Suite struct OwedLimitTests {
    @Test(arguments: [(400, 2_500), (1_000, 1_000)])
    func `a plugin with many subscriptions shares out what it may be owed`(subscriptions: Int, limit: Int) async throws {
        try await Rig.run(lanes: .threads(count: 1)) { rig in
            let source = "for i = 1, \(subscriptions) do bus.subscribe('load', { name = 's' .. i }, function() end) end"
            try await rig.host.load("many", source: source)
            let events = try (0...limit).map { _ in try Event(type: EventType("load")) }
            let error = await #expect(throws: EmitError.self) { try await rig.bus.emit(events) }
            #expect(error?.description.contains("holds at most \(limit)") == true, "\(String(describing: error))")
        }
    }
}
