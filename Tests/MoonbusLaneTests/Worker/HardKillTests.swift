import MoonbusEvents
import MoonbusLane
import Testing

/// Scripts that are stuck inside of C code lose their context; it is made again from its sources at once.
@Suite struct HardKillTests {
    private static let main = """
        local count = 0
        bus.subscribe("count", function() count = count + 1 return count end)
        bus.subscribe("stuck", function() return string.find(("a"):rep(400), ("a*"):rep(20) .. "b") end)
        bus.subscribe("sleep", function() time.sleep(60) end)
        """
    private static let header: JSONValue = ["cpu_us": 20_000]

    @Test func `the delivery is reported killed, those that waited are due again, and those behind it run in a new context`() throws {
        let host = try TestHost()
        let functions = try host.load(Self.main, header: Self.header).subscriptions.map(\.function)
        try host.load(Self.main, context: 2)
        #expect(try host.run(functions[0]).json == 1)
        let sleeping = try host.deliver(functions[2], [.null, .null])
        _ = (try host.call(), try host.call())

        let stuck = try host.deliver(functions[1])
        let behind = try host.deliver(functions[0])
        let killed = try host.outcome()
        #expect(killed.delivery == stuck[0])
        #expect(killed.status == .killed)
        #expect(killed.json?["kind"] == "killed")
        #expect(try host.next() == .lost(sleeping))
        let first = try host.outcome()
        #expect(first.delivery == behind[0])
        #expect(first.json == 1, "a new context counts from the start")
        #expect(try host.run(functions[0], context: 2).json == 1, "its neighbour noticed nothing")
    }

    @Test func `a context that declares something else when it is made again is refused`() throws {
        let host = try TestHost()
        // Nothing of a context survives it; only the clock tells one load from the next.
        let main = """
            local function stuck() return string.find(("a"):rep(400), ("a*"):rep(20) .. "b") end
            bus.subscribe("a" .. string.format("%.0f", time.now() * 1e6), stuck)
            """
        let function = try host.load(main, header: Self.header).subscriptions[0].function
        let stuck = try host.deliver(function)
        #expect(try host.outcome().delivery == stuck[0])
        guard case .loaded(1, false, let json) = try host.next() else { return #expect(Bool(false), "not refused") }
        #expect(json.value["message"]?.string?.contains("declared something else") == true)
        let behind = try host.deliver(function)
        #expect(try host.next() == .lost(behind))
    }

    @Test func `a plugin that is stuck while it loads is refused`() throws {
        let host = try TestHost()
        let error = try host.refusal(#"string.find(("a"):rep(400), ("a*"):rep(20) .. "b")"#, header: Self.header)
        #expect(error["kind"] == "killed" || error["kind"] == "timeout")
        try host.load("bus.subscribe('a', print)", context: 2)
    }
}
