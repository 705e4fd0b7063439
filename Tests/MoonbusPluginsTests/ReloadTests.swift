import MoonbusDispatch
import MoonbusEvents
import MoonbusPlugins
import Synchronization
import Testing

/// Files that change while events flow, on thread lanes.
@Suite(.timeLimit(.minutes(2))) struct ReloadTests {
    private let files = TemporaryFolder()

    private func answering(_ text: String) -> String { "bus.subscribe('ask', { name = 'ask' }, function() return '\(text)' end)" }

    @Test func `a saved file answers the next event`() async throws {
        files.write(answering("one"), to: "a.lua")
        try await Rig.run(files: files) { rig in
            #expect(try await rig.answer("ask") == "one")
            files.replace("a.lua", with: answering("two"))
            try await rig.loaded("a")  // the first version's notice
            try await rig.loaded("a")
            #expect(try await rig.answer("ask") == "two")
            #expect(await rig.status("a")?.version == 2)
        }
    }

    @Test func `a version that fails never replaces one that works`() async throws {
        files.write(answering("one"), to: "a.lua")
        try await Rig.run(files: files) { rig in
            try await rig.loaded("a")
            for (broken, code, line) in [
                ("bus.subscribe('ask', function( end)", PluginError.Code.syntax, 1), ("\nerror('no')", .raised, 2),
                ("while true do end", .timeout, 1), ("bus.subscribe('ask', { nmae = 'x' }, function() end)", .raised, 1),
            ] {
                files.replace("a.lua", with: broken)
                let notice = await rig.notice { if case .failed = $0.kind { true } else { false } }
                guard case .failed(let error, let serving)? = notice?.kind else { return }
                #expect(error.code == code, "\(error)")
                #expect(error.file == "a.lua")
                #expect(error.line == line, "\(error)")
                #expect(serving == 1)
                #expect(try await rig.answer("ask") == "one")
            }
            files.replace("a.lua", with: answering("two"))
            try await rig.loaded("a")
            #expect(try await rig.answer("ask") == "two")
            #expect(await rig.status("a")?.error == nil)
        }
    }

    @Test func `a half-written file is never loaded`() async throws {
        files.write(answering("one"), to: "a.lua")
        try await Rig.run(files: files) { rig in
            try await rig.loaded("a")
            let descriptor = files.openForWriting("a.lua")
            files.append("bus.subscribe('ask', { name = 'ask' }, function() return 'half' end) ", to: descriptor)
            files.write(answering("other").replacing("'ask'", with: "'other'"), to: "b.lua")
            try await rig.loaded("b")  // saved later, there earlier: a.lua is still being written
            #expect(try await rig.answer("ask") == "one")
            files.append("bus.subscribe('whole', function() return 'whole' end)", to: descriptor)
            files.close(descriptor)
            try await rig.loaded("a")
            #expect(try await rig.answer("whole") == "whole")
        }
    }

    @Test func `a file that is away for a while costs nothing: what it is owed waits`() async throws {
        let files = TemporaryFolder()
        let source = """
            bus.subscribe("pile.x", { name = "q", concurrency = 1 }, function(event) time.sleep(0.002) kv.incr("n") end)
            bus.subscribe("pile.count", { name = "count" }, function() return kv.get("n") end)
            """
        files.write(source, to: "pile.lua")
        try await Rig.run(files: files) { rig in
            try await rig.bus.emit((1...100).map { _ in try Event(type: EventType("pile.x")) })
            files.delete("pile.lua")
            let notice = await rig.notice { if case .unloaded = $0.kind { true } else { false } }
            #expect(notice?.description.contains("if it is back within 1m, it goes on where it was") == true)
            let owed = try await rig.settle("pile.count")
            #expect(owed.results.isEmpty && owed.pending == 1)
            files.write(source, to: "pile.lua")
            try await rig.loaded("pile")
            for _ in 0..<10_000 where try await rig.answer("pile.count") != 100 { await Task.yield() }
            #expect(try await rig.answer("pile.count") == 100)
        }
    }

    @Test func `a deleted file is unloaded and its state stays`() async throws {
        let counting = "bus.subscribe('count', function() return kv.incr('n') end)"
        files.write(counting, to: "a.lua")
        try await Rig.run(files: files) { rig in
            #expect(try await rig.answer("count") == 1)
            files.delete("a.lua")
            _ = await rig.notice { if case .unloaded = $0.kind { true } else { false } }
            #expect(try await rig.settle("count").results.isEmpty)
            files.write(counting, to: "a.lua")
            try await rig.loaded("a")
            // The event that came meanwhile was the second one.
            #expect(try await rig.answer("count") == 3)
        }
    }

    @Test func `what a handler is doing it finishes in its old version`() async throws {
        try await Rig.run { rig in
            let slow = "bus.subscribe('ask', { name = 'ask' }, function() log.info('begun') time.sleep('200ms') return 'old' end)"
            try await rig.host.load("a", source: slow)
            async let old = rig.answer("ask")
            _ = await rig.notice { if case .log(_, "begun") = $0.kind { true } else { false } }
            try await rig.host.load("a", source: answering("new"))
            #expect(try await rig.answer("ask") == "new")
            #expect(try await old == "old")
        }
    }

    @Test func `a handler that outlasts the draining time runs again in the new version`() async throws {
        try await Rig.run(configure: { $0.drain = .milliseconds(50) }) { rig in
            try await rig.host.load("a", source: "bus.subscribe('ask', { name = 'ask' }, function() time.sleep('10s') return 'old' end)")
            async let answer = rig.answer("ask")
            while await rig.status("a")?.inFlight == 0 { await Task.yield() }
            try await rig.host.load("a", source: answering("new"))
            #expect(try await answer == "new")
        }
    }

    @Test func `two hundred reloads under load lose and double no event`() async throws {
        @Sendable func counting(_ version: Int) -> String {
            "local version = \(version)\nbus.subscribe('count.up', { name = 'count' }, function(event) kv.incr('n') return version end)"
        }
        try await Rig.run { rig in
            try await rig.host.load("a", source: counting(0))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for _ in 0..<100 {
                        _ = try await rig.bus.emit((0..<20).map { _ in try Event(type: EventType("count.up")) })
                    }
                }
                group.addTask {
                    for version in 1...200 { try await rig.host.load("a", source: counting(version)) }
                }
                try await group.waitForAll()
            }
            #expect(try await rig.answer("count.up") == 200)
            try await rig.host.load("b", source: "bus.subscribe('x', function() end)")
            try await rig.host.load("a", source: "bus.subscribe('read', function() return kv.get('n') end)")
            #expect(try await rig.answer("read") == 2_001)
        }
    }

    @Test func `edits of a file under load are handled whole or not at all`() async throws {
        // A version says its number twice: a handler made of two halves would answer with two different ones.
        @Sendable func counting(_ version: Int) -> String {
            """
            local first = \(version)
            bus.subscribe('count.up', { name = 'count' }, function(event) kv.incr('n') return { first = first, last = \(version) } end)
            """
        }
        files.write(counting(0), to: "a.lua")
        try await Rig.run(files: files) { rig in
            try await rig.loaded("a")
            let isEditing = Switch()
            try await withThrowingTaskGroup(of: Int64.self) { group in
                group.addTask {
                    var count: Int64 = 0
                    while isEditing.isOn {
                        let answer = try #require(try await rig.answer("count.up"))
                        #expect(answer["first"] == answer["last"])
                        count += 1
                    }
                    return count
                }
                for version in 1...40 {
                    let text = counting(version)
                    if version % 2 == 0 {
                        files.replace("a.lua", with: text)
                    } else {
                        let descriptor = files.openForWriting("a.lua")
                        files.append(String(text.prefix(60)), to: descriptor)
                        await Task.yield()
                        files.append(String(text.dropFirst(60)), to: descriptor)
                        files.close(descriptor)
                    }
                    try await rig.loaded("a")
                }
                isEditing.turnOff()
                let count = try #require(try await group.next())
                #expect(try await rig.answer("count.up")?["last"] == 40)
                files.replace("a.lua", with: "bus.subscribe('read', function() return kv.get('n') end)")
                try await rig.loaded("a")
                #expect(try await rig.answer("read") == .integer(count + 1))
            }
        }
    }
}

private final class Switch: Sendable {
    private let state = Atomic(true)

    var isOn: Bool { state.load(ordering: .relaxed) }

    func turnOff() { state.store(false, ordering: .relaxed) }
}
