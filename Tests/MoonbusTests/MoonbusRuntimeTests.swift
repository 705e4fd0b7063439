import Foundation
import Logging
import Moonbus
import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins
import ServiceLifecycle
import Synchronization
import Testing

@Suite struct MoonbusRuntimeTests {
    struct Order: Codable, Equatable, Sendable {
        var id: String
        var total: Int
    }

    @Test func `an embedder emits a value and gets the handler's answer as a value`() async throws {
        try await withRuntime { runtime in
            try await runtime.subscribe("orders.*.created", name: "price", of: Order.self) { order, _ in
                Order(id: order.id, total: order.total * 2)
            }
            let receipt = try await runtime.emit("orders.eu.created", Order(id: "o-7", total: 12), until: .settled)
            #expect(try receipt.results.first?.result?.decode(Order.self) == Order(id: "o-7", total: 24))
        }
    }

    @Test func `events are seen in order by whoever watches`() async throws {
        try await withRuntime { runtime in
            let events = try runtime.events(matching: "n.*")
            for number in 1...3 { try await runtime.emit("n.\(number)", number) }
            var seen: [String] = []
            for await event in events {
                seen.append(event.typeText)
                if seen.count == 3 { break }
            }
            #expect(seen == ["n.1", "n.2", "n.3"])
        }
    }

    @Test func `what a handler emits through its context is committed with its acknowledgement`() async throws {
        try await withRuntime { runtime in
            let audits = try runtime.events(matching: "audit.noted")
            try await runtime.subscribe("orders.new", name: "audit", of: Order.self) { order, context in
                try context.emit("audit.noted", order.id)
            }
            try await runtime.emit("orders.new", Order(id: "o-1", total: 1), until: .settled)
            var iterator = audits.makeAsyncIterator()
            #expect(try await iterator.next()?.data?.decode(String.self) == "o-1")
        }
    }

    @Test func `data of another shape becomes a dead letter at once, with the reason`() async throws {
        try await withRuntime { runtime in
            try await runtime.subscribe("orders.new", name: "audit", of: Order.self) { _, _ in }
            let receipt = try await runtime.emit("orders.new", ["total": "twelve"], until: .settled)
            let result = try #require(receipt.results.first)
            #expect(result.status == .rejected)
            #expect(result.attempts == 1)
            #expect(result.error?.message.contains("Order") == true)
        }
    }

    @Test func `what is asked for before the runtime runs waits until it does`() async throws {
        let runtime = MoonbusRuntime(logger: quiet)
        async let receipt = runtime.emit("early", until: .settled)
        try await runtime.start()
        #expect(try await receipt.position == 1)
        await runtime.stop()
    }

    @Test func `what is asked for after the end is refused, and the end takes no time when nothing runs`() async throws {
        let runtime = MoonbusRuntime(logger: quiet)
        try await runtime.start()
        let clock = ContinuousClock()
        let elapsed = await clock.measure { await runtime.stop() }
        #expect(elapsed < .seconds(5))
        await #expect(throws: EmitError.self) { try await runtime.emit("late") }
    }

    @Test func `a service group runs it, with plugins on threads, and ends it gracefully`() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "moonbus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let plugin = #"bus.subscribe("hello.asked", function(event) return { text = "Hello, " .. event.data.name } end)"#
        try plugin.write(to: folder.appending(path: "hello.lua"), atomically: true, encoding: .utf8)

        let runtime = MoonbusRuntime(plugins: folder.path, logger: quiet)
        let group = ServiceGroup(services: [runtime], logger: quiet)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            await runtime.whenRunning()
            let receipt = try await runtime.emit("hello.asked", ["name": "Ada"], until: .settled)
            #expect(try receipt.results.first?.result?.decode([String: String].self) == ["text": "Hello, Ada"])
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    @Test func `a plugins folder that is not there is an error of the start, and the bus does not stay`() async throws {
        let runtime = MoonbusRuntime(plugins: "/nowhere/plugins", logger: quiet)
        await #expect(throws: PluginError.self) { try await runtime.run() }
        await #expect(throws: EmitError.self) { try await runtime.emit("late") }
    }

    private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func withRuntime(_ body: (MoonbusRuntime) async throws -> Void) async throws {
        let runtime = MoonbusRuntime(logger: quiet)
        try await runtime.start()
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(runtime)) } catch { outcome = .failure(error) }
        await runtime.stop()
        try outcome.get()
    }
}
