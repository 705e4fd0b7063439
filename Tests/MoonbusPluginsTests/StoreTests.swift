import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins
import Testing

/// `kv` through the whole of host, lane and journal.
@Suite struct StoreTests {
    @Test func `counters in kv lose no event`() async throws {
        try await Rig.run { rig in
            try await rig.host.load("counter", source: #"bus.subscribe("count.*", function(event) return kv.incr("n") end)"#)
            for _ in 0..<20 {
                _ = try await rig.bus.emit((0..<50).map { _ in try Event(type: EventType("count.up")) })
            }
            #expect(try await rig.answer("count.up") == 1_001)
        }
    }

    @Test func `copies of a plugin on different lanes share their state without losing a write`() async throws {
        try await Rig.run { rig in
            try await rig.host.load(
                "counter", source: #"bus.subscribe("count.*", function(event) return kv.incr("n") end)"#, manifest: "contexts = 2")
            for _ in 0..<10 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<8 { group.addTask { try await rig.settle("count.up") } }
                    try await group.waitForAll()
                }
            }
            #expect(try await rig.answer("count.up") == 81)
            #expect(await rig.status("counter")?.lanes.count == 2)
        }
    }

    private static let countingTwice = """
        bus.subscribe("count.*", function(event)
            kv.set("last", event.data)
            return kv.incr("n") + kv.incr("m")
        end)
        """

    @Test func `a handler that writes several keys runs once for each event`() async throws {
        try await Rig.run(lanes: .threads(count: 1)) { rig in
            try await rig.host.load("counter", source: Self.countingTwice)
            #expect(try await rig.answer("count.up", 1) == 2)
            for _ in 0..<20 {
                _ = try await rig.bus.emit((0..<50).map { _ in try Event(type: EventType("count.up"), data: JSON(1)) })
            }
            #expect(try await rig.answer("count.up", 1) == 2_004)
            #expect(await rig.bus.statistics().delivered == 1_002)
        }
    }

    // All of the first deliveries wait for the journal at the same time, and see the same versions.
    @Test func `handlers that read the same keys for the first time together run at most twice more`() async throws {
        try await Rig.run(lanes: .threads(count: 1)) { rig in
            try await rig.host.load("counter", source: Self.countingTwice)
            _ = try await rig.bus.emit((0..<1_000).map { _ in try Event(type: EventType("count.up"), data: JSON(1)) })
            #expect(try await rig.answer("count.up", 1) == 2_002)
            let statistics = await rig.bus.statistics()
            #expect(statistics.retried == 0)
            #expect(statistics.delivered <= 3 * 1_001)
        }
    }

    @Test func `kv is scanned in key order`() async throws {
        try await Rig.run { rig in
            try await rig.host.load(
                "store",
                source: """
                    bus.subscribe("put", function(event) kv.set(event.data.key, event.data.value) end)
                    bus.subscribe("list", function() return json.array(kv.scan("a:")) end)
                    """)
            for (key, value) in [("a:2", 2), ("b:1", 9), ("a:1", 1)] as [(String, Int64)] {
                try await rig.settle("put", ["key": .string(key), "value": .integer(value)])
            }
            #expect(try await rig.answer("list") == [["key": "a:1", "value": 1], ["key": "a:2", "value": 2]])
        }
    }

    @Test func `of many runs that find a key absent one writes it, and the others see that`() async throws {
        try await Rig.run { rig in
            try await rig.host.load(
                "lock",
                source: """
                    bus.subscribe("claim", function(event)
                        if kv.get("owner") ~= nil then return false end
                        time.sleep("5ms")
                        kv.set("owner", event.id)
                        return true
                    end)
                    """, manifest: "contexts = 2")
            let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 { group.addTask { try await rig.answer("claim") == true } }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(winners == 1)
        }
    }

    @Test func `a run whose scan found what has changed by the commit runs again`() async throws {
        try await Rig.run { rig in
            try await rig.host.load(
                "sum",
                source: """
                    bus.subscribe("put", function(event)
                        if kv.get(event.data.key) ~= event.data.value then kv.set(event.data.key, event.data.value) end
                    end)
                    bus.subscribe("sum", function(event)
                        local sum = 0
                        for _, entry in ipairs(kv.scan("a:")) do sum = sum + entry.value end
                        bus.request("put", { key = event.data, value = 5 })
                        return sum
                    end)
                    """)
            try await rig.settle("put", ["key": "a:1", "value": 1])
            #expect(try await rig.answer("sum", "a:1") == 5)
            // What the docs of kv.scan say: a key that comes is no change of what was found.
            #expect(try await rig.answer("sum", "a:2") == 5)
            #expect(try await rig.answer("sum", "a:2") == 10)
        }
    }

    @Test func `a plugin that fills its limits.state fails with the limit named, sees nothing of it, and can make room`() async throws {
        let source = """
            local once = { attempts = 1 }
            bus.subscribe("fill", { name = "fill", retry = once }, function(event)
                kv.set(event.data, string.rep("x", 200 * 1024))
                return #kv.scan("")
            end)
            bus.subscribe("look", { name = "look" }, function(event) return kv.get(event.data) == nil end)
            bus.subscribe("free", { name = "free" }, function(event) kv.delete(event.data) end)
            """
        try await Rig.run { rig in
            try await rig.host.load("hog", source: source, manifest: "[limits]\nstate = \"1MB\"")
            try await rig.host.load("other", source: #"bus.subscribe("count", function() return kv.incr("n") end)"#)
            for key in 1...5 { #expect(try await rig.settle("fill", .string("k\(key)")).results.map(\.status) == [.done]) }
            let refused = try await rig.settle("fill", "k6").results.first
            #expect(refused?.status == .dead)
            #expect(refused?.error?.kind == .full)
            #expect(
                refused?.error?.message.hasPrefix(
                    "plugin 'hog' stores 1000.3 KB and would store 1.2 MB, its limit is 1.0 MB (limits.state): let it delete keys") == true,
                "\(refused?.error?.message ?? "no error")")
            #expect(try await rig.answer("look", "k6") == true)
            #expect(try await rig.answer("count") == 1)
            try await rig.settle("free", "k1")
            #expect(try await rig.settle("fill", "k6").results.map(\.status) == [.done])
            #expect(try await rig.answer("look", "k6") == false)
        }
    }
}
