import Glibc
import MoonbusDispatch
import MoonbusEvents
import MoonbusPlugins
import Testing

/// Plugins in sandboxed child processes. They need the `moonbus` command, which the whole package's build puts beside the tests.
@Suite(.serialized, .timeLimit(.minutes(2))) struct LaneProcessTests {
    private func lanes(_ count: Int = 1) throws -> PluginHostConfiguration.Lanes {
        .processes(executable: try LaneExecutable.path(), count: count)
    }

    /// The lanes that this process has now: its children. The kernel lists them with the thread that made them.
    private func laneProcesses() -> [pid_t] {
        guard let folder = opendir("/proc/self/task") else { return [] }
        defer { closedir(folder) }
        var found: [pid_t] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let file = fopen("/proc/self/task/\(name)/children", "r") else { continue }
            defer { fclose(file) }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let size = fread(&buffer, 1, buffer.count, file)
            found += String(decoding: buffer[..<size], as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
        }
        return found
    }

    private let counting = "bus.subscribe('count.up', { name = 'count' }, function() return kv.incr('n') end)"

    @Test func `a plugin in a process handles events`() async throws {
        try await Rig.run(lanes: lanes()) { rig in
            try await rig.host.load("sum", source: "bus.subscribe('sum', function(event) return event.data.a + event.data.b end)")
            #expect(try await rig.answer("sum", ["a": 1, "b": 2]) == 3)
            #expect(laneProcesses().count == 1)
        }
        #expect(laneProcesses().isEmpty)
    }

    @Test func `killing a lane with deliveries in flight loses and doubles nothing`() async throws {
        try await Rig.run(lanes: lanes()) { rig in
            try await rig.host.load("counter", source: counting)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for _ in 0..<100 { _ = try await rig.bus.emit((0..<50).map { _ in try Event(type: EventType("count.up")) }) }
                }
                group.addTask {
                    for _ in 0..<3 {
                        for lane in laneProcesses() { kill(lane, SIGKILL) }
                        _ = await rig.notice { if case .restarted = $0.kind { true } else { false } }
                    }
                }
                try await group.waitForAll()
            }
            // Each kill may cost the delivery that ran one attempt; its retry comes within seconds.
            var count: Int64 = 0
            repeat { count = try await rig.answer("count.up")?.integer ?? 0 } while count < 5_001
            let status = try #require(await rig.status("counter"))
            #expect(status.state == .running)
            #expect(status.strikes == 0)
        }
    }

    @Test func `a stopped lane is found out and replaced`() async throws {
        try await Rig.run(lanes: lanes(), configure: { $0.silence = .milliseconds(300) }) { rig in
            try await rig.host.load("hello", source: "bus.subscribe('hello', function() return 'hello' end)")
            for lane in laneProcesses() { kill(lane, SIGSTOP) }
            #expect(try await rig.answer("hello") == "hello")
        }
    }

    /// A child that has used CPU time since it was first looked at, with the others left alone: the one that spins.
    private func spinningLane() async throws -> pid_t {
        func ticks(_ process: pid_t) -> Int {
            guard let file = fopen("/proc/\(process)/stat", "r") else { return 0 }
            defer { fclose(file) }
            var buffer = [UInt8](repeating: 0, count: 1024)
            let size = fread(&buffer, 1, buffer.count, file)
            // utime is the 14th field; the second one, the command, has no blanks here.
            return Int(String(decoding: buffer[..<size], as: UTF8.self).split(separator: " ")[13]) ?? 0
        }
        let before = Dictionary(uniqueKeysWithValues: laneProcesses().map { ($0, ticks($0)) })
        while true {
            for process in laneProcesses() where ticks(process) >= before[process, default: 0] + 5 { return process }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    // Crashed from outside, by the signal that a failed assertion of the interpreter raises: no crash of the interpreter that we know is left open.
    @Test func `a plugin that breaks its lane gets one of its own, is quarantined at the third strike, and new code lifts that`()
        async throws
    {
        try await Rig.run(lanes: lanes()) { rig in
            try await rig.host.load("counter", source: counting)
            #expect(try await rig.answer("count.up") == 1)
            try await rig.host.load(
                "breaker",
                source:
                    "bus.subscribe('spin', { name = 'spin', retry = { attempts = 9, backoff = '1ms' } }, function() while true do end end)",
                manifest: "[limits]\ncpu = \"30s\"")
            async let spun = rig.answer("spin")
            for strike in 1...3 {
                kill(try await spinningLane(), SIGABRT)
                if strike == 1 {
                    let secluded = await rig.notice { if case .secluded = $0.kind { true } else { false } }
                    #expect(secluded?.plugin == "breaker")
                }
                if strike < 3 {
                    _ = await rig.notice { if case .restarted = $0.kind { $0.plugin == "breaker" } else { false } }
                    let (breaker, counter) = (await rig.status("breaker"), await rig.status("counter"))
                    #expect(breaker?.lanes != counter?.lanes)
                    #expect(breaker?.strikes == strike)
                }
                #expect(try await rig.answer("count.up") == .integer(Int64(strike) + 1))
            }
            let quarantined = await rig.notice { if case .quarantined = $0.kind { true } else { false } }
            guard case .quarantined(let error)? = quarantined?.kind else { return }
            #expect(quarantined?.plugin == "breaker")
            #expect(error.message.contains("SIGABRT"), "\(error)")
            #expect(await rig.status("breaker")?.state == .quarantined)

            try await rig.host.load("breaker", source: "bus.subscribe('spin', { name = 'spin' }, function() return 'mended' end)")
            #expect(try await spun == "mended")
            #expect(await rig.status("breaker")?.state == .running)
        }
    }

    /// Five events that each run up to a limit of 30 s lie in front of the neighbour's.
    @Test func `a plugin that holds its lane while others wait gets one of its own, and they are served`() async throws {
        try await Rig.run(lanes: lanes()) { rig in
            try await rig.host.load("counter", source: counting)
            try await rig.host.load(
                "holder", source: "bus.subscribe('hold', { name = 'hold' }, function() while true do end end)",
                manifest: "[limits]\ncpu = \"30s\"")
            _ = try await rig.bus.emit((0..<5).map { _ in try Event(type: EventType("hold")) })
            #expect(try await rig.answer("count.up") == 1)
            let secluded = await rig.notice { if case .secluded = $0.kind { true } else { false } }
            #expect(secluded?.plugin == "holder")
            let (holder, counter) = (await rig.status("holder"), await rig.status("counter"))
            #expect(holder?.strikes == 0)
            #expect(holder?.lanes != counter?.lanes)
        }
    }

    /// Each run is shorter than what a single one may hold: only what they hold together counts.
    @Test func `a plugin whose runs, one after the other, have most of its lane gets one of its own without a strike`() async throws {
        try await Rig.run(lanes: lanes(), configure: { $0.hold = .seconds(60) }) { rig in
            try await rig.host.load("counter", source: counting)
            let loop = "function() local n = 0; for i = 1, 2e7 do n = n + i % 7 end end"
            try await rig.host.load("hog", source: "bus.subscribe('hog', { name = 'hog', cpu = '30s' }, \(loop))")
            _ = try await rig.bus.emit((0..<500).map { _ in try Event(type: EventType("hog")) })
            // Several, so that between one's answer and its next question another one waits.
            let waiting = (0..<4).map { _ in Task { while !Task.isCancelled { _ = try await rig.answer("count.up") } } }
            let secluded = await rig.notice { if case .secluded = $0.kind { true } else { false } }
            for task in waiting { task.cancel() }
            #expect(secluded?.plugin == "hog")
            guard case .secluded(let reason)? = secluded?.kind else { return }
            #expect(reason.contains("of the last 2000 ms that it ran, while others waited"), "\(reason)")
            #expect(await rig.status("hog")?.strikes == 0)
            #expect(try await rig.answer("count.up") != nil)
            let (hog, counter) = (await rig.status("hog"), await rig.status("counter"))
            #expect(hog?.lanes != counter?.lanes)
        }
    }

    @Test(arguments: [1, 2, 8]) func `a plugin that does not end loading has lanes of its own, and its neighbours are served`(contexts: Int)
        async throws
    {
        try await Rig.run(lanes: lanes(), configure: { $0.load = .seconds(3) }) { rig in
            try await rig.host.load("counter", source: counting)
            let loading = Task {
                try await rig.host.load("looper", source: "while true do end", manifest: "contexts = \(contexts)\n[limits]\ncpu = \"60s\"")
            }
            #expect(try await rig.answer("count.up") == 1)
            for number in 2...20 { #expect(try await rig.answer("count.up") == .integer(Int64(number))) }
            let error = await #expect(throws: PluginError.self) { try await loading.value }
            #expect(error?.code == .timeout && error?.hint?.contains("do less outside of handlers") == true, "\(String(describing: error))")
            #expect(try await rig.answer("count.up") == 21)
        }
    }

    @Test func `a plugin that breaks its lane while it loads is quarantined and the others go on`() async throws {
        try await Rig.run(lanes: lanes()) { rig in
            try await rig.host.load("counter", source: counting)
            let breaking = Task { try await rig.host.load("breaker", source: "while true do end", manifest: "[limits]\ncpu = \"30s\"") }
            for _ in 1...3 { kill(try await spinningLane(), SIGABRT) }
            await #expect(throws: PluginError.self) { try await breaking.value }
            _ = await rig.notice { if case .quarantined = $0.kind { true } else { false } }
            #expect(await rig.status("breaker")?.state == .quarantined)
            #expect(try await rig.answer("count.up") == 1)
        }
    }

    @Test func `a lane that can't be started is an error that says why`() async throws {
        let error = await #expect(throws: PluginError.self) {
            try await Rig.run(lanes: .processes(executable: "/nowhere/moonbus", count: 1)) { _ in }
        }
        #expect(error?.code == .laneDied)
        #expect(error?.message.contains("/nowhere/moonbus") == true)
    }
}
