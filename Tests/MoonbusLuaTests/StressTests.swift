import CLuaShim
import Glibc
import MoonbusLua
import Synchronization
import Testing

/// The tests that find what nobody thought of: random moments, and every allocation refused in turn.
@Suite(.serialized) struct StressTests {
    /// Allocates, formats, compiles, makes coroutines, calls the host, emits: something for every moment.
    private static let churn = """
        local kept, round = {}, 0
        local function churn()
          while true do
            round = round + 1
            kept[round % 400] = {tostring(round), round * 1.5, ("x"):rep(round % 50), string.format("%g %d %s", round / 3, round, "abc"), host.add1(round),
              json.decode(json.encode({a = {round, "é"}, b = {}})),
              coroutine.wrap(function(text) local guard <close> = setmetatable({}, {__close = function() round = round + 1 end}) return text .. "!" end)(tostring(round))}
            pcall(error, {})
            if round % 50 == 0 then
              local texts = {}
              for _, entry in pairs(kept) do texts[#texts + 1] = entry[1] end
              table.sort(texts)
              local _ = table.concat(texts, ","):gsub("%d+", function(text) return text .. "." end)
              load("return " .. round .. " + 1.5e3")()
            end
          end
        end
        """
    private static let checked = """
        host.on(function(event)
          local sum = 0
          for i = 1, 100 do
            local key = "k" .. i
            local value = json.decode(json.encode({[key] = i}))
            sum = (sum * 31 + value[key] + #key:rep(3) + (key:find("%d") or 0) + host.add1(i)) % 1000003
          end
          return sum
        end)
        """
    /// What `checked` returns.
    private static func expected(on lane: LuaLane) throws -> String {
        try unwrap(Script(on: lane, Self.checked).send(), "no outcome").text
    }

    /// Runs checked work on a lane of its own until told to stop; counts wrong results.
    private final class Witness: @unchecked Sendable {
        let isOver = Atomic(false)
        let runs = Atomic(0), wrong = Atomic(0)
        private var thread = pthread_t()

        init() {
            var attributes = pthread_attr_t()
            pthread_attr_init(&attributes)
            pthread_attr_setstacksize(&attributes, 16 << 20)
            let pointer = Unmanaged.passUnretained(self).toOpaque()
            pthread_create(
                &thread, &attributes,
                {
                    Unmanaged<Witness>.fromOpaque($0!).takeUnretainedValue().run(); return nil
                }, pointer)
        }

        private func run() {
            guard let lane = LuaLane(), let expected = try? StressTests.expected(on: lane) else { return }
            while !isOver.load(ordering: .relaxed) {
                guard let script = try? Script(on: lane, limits: .quick(cpu: .seconds(5)), StressTests.checked) else { break }
                for _ in 0..<100 where !isOver.load(ordering: .relaxed) {
                    runs.add(1, ordering: .relaxed)
                    if script.send()?.text != expected { wrong.add(1, ordering: .relaxed) }
                }
            }
        }

        func stop() {
            isOver.store(true, ordering: .relaxed)
            pthread_join(thread, nil)
        }
    }

    @Test func `ten thousand kills at random points harm nobody else`() throws {
        let witness = Witness()
        let kills = try onLane { lane in
            let expected = try Self.expected(on: lane)
            let sibling = try Script(on: lane, limits: .quick(cpu: .seconds(5)), Self.checked)
            let tormentor = Tormentor(lane, level: 2)
            defer { tormentor.stop() }
            let limits = LuaLimits.quick(cpu: .seconds(60), memory: 8 << 20)
            let end = ContinuousClock.now + .seconds(12)
            var kills = 0
            while kills < 10_000 && ContinuousClock.now < end {
                let script = try Script(on: lane, limits: limits, Self.churn + " host.on(churn)")
                tormentor.begin()
                let outcome = script.send()
                tormentor.end()
                #expect(outcome?.status == .killed)
                kills += 1
                if kills % 16 == 0 { #expect(sibling.send()?.text == expected) }
            }
            return kills
        }
        witness.stop()
        #expect(kills >= 200)
        #expect(witness.runs.load(ordering: .relaxed) > 0 && witness.wrong.load(ordering: .relaxed) == 0)
    }

    @Test func `interrupts at random points leave the context right, thousands of times over`() throws {
        try onLane { lane in
            let expected = try Self.expected(on: lane)
            let source = Self.churn + " host.on(churn) " + Self.checked
            let script = try Script(on: lane, limits: .quick(cpu: .seconds(60)), source)
            let tormentor = Tormentor(lane, level: 1)
            defer { tormentor.stop() }
            let end = ContinuousClock.now + .seconds(5)
            for _ in 0..<5_000 where ContinuousClock.now < end {
                tormentor.begin()
                let outcome = script.send(to: 0)
                tormentor.end()
                #expect(outcome?.status == .timeout)
                #expect(script.send(to: 1)?.text == expected)
            }
            #expect(script.context.usage.used_bytes < 4 << 20)
        }
    }

    @Test func `a context that cannot be made for want of memory is refused, at whichever allocation it fails`() throws {
        try onLane { lane in
            var refused = 0
            for allocation in UInt64(1)... {
                moonbus_test_fail_next_context(allocation)
                guard let context = try? LuaContext(on: lane, answer: { _ in .values([]) }) else {
                    refused += 1
                    continue
                }
                moonbus_test_fail_allocation(context.handle, 0)
                try context.load("assert(json.encode({}) == '{}')")
                break
            }
            #expect(refused > 50)
        }
    }

    @Test func `furnishing, loading, delivering, waiting, resuming and cancelling survive every refused allocation`() throws {
        try onLane { lane in
            var stages: [String: Int] = [:]
            for allocation in UInt64(1)... {
                let stage = try attempt(failingAt: allocation, on: lane)
                stages[stage, default: 0] += 1
                if stage == "all" { break }
            }
            #expect(Set(stages.keys) == ["furnish", "load", "deliver", "resume", "cancel", "all"], "\(stages)")
        }
    }

    private static let swept = """
        local kept = {}
        for i = 1, 10 do
          kept[i] = {tostring(i), i * 1.5, ("x"):rep(i * 20), string.format("%g %s", i / 3, "abc"), json.decode('{"a":[1,"é\\\\n"],"b":null}'),
            coroutine.wrap(function(text) local guard <close> = setmetatable({}, {__close = function() kept.x = text end}) return text .. "!" end)(tostring(i))}
          pcall(error, {})
        end
        load("return 1 + 1")()
        assert(string.format("%s", kept) == "table" and next(config) == "deep" and require("part") == 7)
        on(function(event)
          bus.emit("swept." .. event.type, {data = event.data, more = {1, 2.5, "three"}}, {key = "k"})
          local got = coroutine.wrap(function() return wait() end)()
          for key, value in pairs(event) do kept[key] = value end
          table.sort({5, 3, 9, 1}, function(a, b) return a < b end)
          return {got = got, event = event}
        end)
        """

    /// One life of a context in which every allocation from the n-th on fails. Returns where it ended.
    private func attempt(failingAt allocation: UInt64, on lane: LuaLane) throws -> String {
        final class Box { var handler: Int32 = 0 }
        let box = Box()
        let context = try LuaContext(on: lane) { call in
            if case .function(let reference)? = call.arguments.first { box.handler = reference }
            return call.name == "wait" ? .wait : .values([])
        }
        func works() throws {
            moonbus_test_fail_allocation(context.handle, 0)
            try context.load("assert(#('x'):rep(1000) == 1000)")
        }
        moonbus_test_fail_allocation(context.handle, allocation)
        let isFurnished =
            context.register("on", signature: "f") && context.register("wait", signature: "")
            && context.set("config", json: #"{"deep":{"list":[1,2]}}"#)
            && context.addModule("part", chunk: "lib/part.lua", source: "return 7") && context.seal()
        guard isFurnished else {
            try works()
            return "furnish"
        }
        do { try context.load(Self.swept) } catch {
            #expect(error.status == .memory || error.json.contains(text: "not enough memory"), "\(error.json)")
            try works()
            return "load"
        }
        var delivery = moonbus_delivery()
        (delivery.delivery, delivery.function, delivery.event_count) = (1, box.handler, 1)
        func deliver() -> LuaStatus {
            EventRecord.withPointers([EventRecord(data: #"{"list":[1,2,{"x":"é"}]}"#)]) { context.deliver(delivery, records: $0) }
        }
        func ends(_ status: LuaStatus, at stage: String, well: LuaStatus) throws -> String? {
            let outcomes = lane.takeOutcomes()
            guard status != well else { return nil }
            #expect(status == .memory || status == .failed, "\(stage): \(status) \(outcomes)")
            try works()
            return stage
        }
        if let stage = try ends(deliver(), at: "deliver", well: .waiting) { return stage }
        if let stage = try ends(context.resume(1, with: [.json(#"{"answer":[true,"é"]}"#)]), at: "resume", well: .done) { return stage }
        delivery.delivery = 2
        if let stage = try ends(deliver(), at: "cancel", well: .waiting) { return stage }
        let cancelled = context.cancel(2, reason: "enough")
        #expect(cancelled == .cancelled && lane.takeOutcomes().last?.status == .cancelled)
        try works()
        return "all"
    }

    @Test func `a lane holds ten thousand contexts at once`() throws {
        try onLane { lane in
            var contexts: [LuaContext] = []
            for number in UInt64(1)...10_000 {
                let context = try LuaContext(on: lane, identifier: number, answer: { _ in .values([]) })
                try context.load("kept = 'context ' .. \(number)")
                contexts.append(context)
            }
            for (index, context) in contexts.enumerated() { try context.load("assert(kept == 'context ' .. \(index + 1))") }
        }
    }

    @Test func `thousands of contexts come and go without leaving anything`() throws {
        try onLane { lane in
            func residentBytes() -> Int {
                guard let file = fopen("/proc/self/statm", "r") else { return 0 }
                defer { fclose(file) }
                var total: CLong = 0, resident: CLong = 0
                withUnsafeMutablePointer(to: &total) { total in
                    withUnsafeMutablePointer(to: &resident) { resident in
                        withVaList([total, resident]) { _ = vfscanf(file, "%ld %ld", $0) }
                    }
                }
                return Int(resident) * 4096
            }
            func life() throws { _ = try Script(on: lane, "host.on(function() host.wait() end)").send() }
            for _ in 0..<100 { try life() }
            let before = residentBytes()
            for _ in 0..<10_000 { try life() }
            // One that leaked would leave 350 MiB. AddressSanitizer alone keeps up to 256 MiB of freed blocks.
            #expect(residentBytes() - before < 300 << 20)
        }
    }
}
