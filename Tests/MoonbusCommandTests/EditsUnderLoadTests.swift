import Foundation
import Glibc
import MoonbusEvents
import NIOCore
import NIOHTTP1
import Synchronization
import Testing

@testable import MoonbusCommand

/// A thousand edits of one plugin while events flow through it: the real service in a process of its own, so that what is counted of its
/// memory, descriptors and children is nobody else's.
///
/// Edits come in pairs. The first of a pair is overtaken by the second at once, as by an editor that saves while its author types: it may
/// come to life or be skipped. The second is waited for until it answers. Half of each kind are renamed over the file, half are written in
/// place, in two writes with a pause between them.
@Suite(.serialized, .timeLimit(.minutes(5))) struct EditsUnderLoadTests {
    private static let editCount = 1_000
    /// Edits after which the service counts as warm.
    private static let warmCount = 100
    private static let emitterCount = 4
    private static let batchCount = 16

    @Test func `a thousand edits under load lose, double and halve no event, and leave nothing behind`() async throws {
        let scratch = try Scratch()
        try scratch.write(Self.counting(0), to: "plugins/count.lua")
        try scratch.write(Self.ledger, to: "plugins/ledger.lua")
        let (service, environment) = try await RunningCommand.service(in: scratch.url, ["--lanes", "2"])
        let address = try ServiceAddress(try #require(environment["MOONBUS_URL"]))
        let load = Load()

        let (warm, end) = try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<Self.emitterCount { group.addTask { try await Self.emit(load, to: address) } }
            defer { load.isOver.store(true, ordering: .relaxed) }
            let file = scratch.url.appending(path: "plugins/count.lua").path
            let facts = try await ServiceClient.connect(to: address) { client in
                try await Self.edit(file, 1...Self.warmCount, client)
                let warm = try ProcessFacts(of: service.processIdentifier)
                try await Self.edit(file, Self.warmCount + 1...Self.editCount, client)
                return (warm, try ProcessFacts(of: service.processIdentifier))
            }
            load.isOver.store(true, ordering: .relaxed)
            try await group.waitForAll()
            return facts
        }

        let count = load.next.load(ordering: .relaxed)
        try await ServiceClient.connect(to: address) { client in
            let counted = try await Self.ask("count.read", client) { $0["n"]?.integer == Int64(count) }
            #expect(counted["n"] == .integer(Int64(count)), "each event was handled once")
            let seen = try await Self.ask("ledger.read", client) { $0["n"]?.integer == Int64(count) }
            #expect(seen["n"] == .integer(Int64(count)), "what each handling emitted was handled once")
            #expect(seen["sum"] == .integer(Int64(count) * Int64(count - 1) / 2))
        }
        #expect(load.versions.load(ordering: .relaxed) > Self.editCount / 4, "events met many versions")
        #expect(count > Self.editCount, "events flowed all the while")
        #expect(end.children == warm.children, "the lanes are the same processes")
        #expect(end.descriptors <= warm.descriptors + 2, "\(warm.descriptors) descriptors became \(end.descriptors)")
        // A leak of one script (32 KiB) an edit would be 28 MiB in the service, one of a context (80 KiB) 70 MiB in the lane.
        let growth = (end.residentBytes - warm.residentBytes, end.childrenResidentBytes - warm.childrenResidentBytes)
        #expect(growth.0 < 8 << 20, "the service grew by \(growth.0 >> 10) KiB over \(count) events")
        #expect(growth.1 < 4 << 20, "its lanes grew by \(growth.1 >> 10) KiB")
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    // MARK: Plugins

    /// A version says its number at its begin and at its end. What lies before the padding is a whole plugin by itself: if half a file were
    /// loaded, it would answer with -1.
    private static func counting(_ version: Int) -> String {
        """
        local first, last = \(version), -1
        bus.subscribe("count.up", { name = "count", key = "type" }, function(event)
          kv.incr("n")
          bus.emit("count.seen", event.data)
          return { first = first, last = last, n = event.data }
        end)
        bus.subscribe("count.version", { name = "version" }, function() return { first = first, last = last } end)
        bus.subscribe("count.read", { name = "read" }, function() return { n = kv.get("n") } end)
        \(String(repeating: "-- padding that makes a copy of this text too large to be overlooked\n", count: 480))
        last = \(version)

        """
    }

    private static let ledger = """
        bus.subscribe("count.seen", { name = "ledger", key = "type" }, function(event)
          kv.incr("n")
          kv.incr("sum", event.data)
        end)
        bus.subscribe("ledger.read", { name = "read" }, function() return { n = kv.get("n"), sum = kv.get("sum") } end)
        """

    // MARK: Load

    /// What the emitters share.
    private final class Load: Sendable {
        let next = Atomic(0)
        let versions = Atomic(0)
        let lastVersion = Atomic(0)
        let isOver = Atomic(false)
    }

    /// Emits batches and waits for their answers, again and again: each event is answered once, by one version.
    private static func emit(_ load: Load, to address: ServiceAddress) async throws {
        try await ServiceClient.connect(to: address) { client in
            while !load.isOver.load(ordering: .relaxed) {
                let first = load.next.add(batchCount, ordering: .relaxed).oldValue
                let numbers = first..<first + batchCount
                let events = numbers.map { #"{"specversion":"1.0","id":"\#($0)","source":"/test","type":"count.up","data":\#($0)}"# }
                let answer = try await client.send(
                    .POST, "/events?wait=30s", contentType: "application/cloudevents-batch+json",
                    body: ByteBuffer(string: "[\(events.joined(separator: ","))]"))
                let receipts = try JSON(String(buffer: answer.body)).value.array ?? []
                try #require(
                    answer.status == 200 && receipts.count == batchCount, "\(answer.status): \(String(buffer: answer.body).prefix(500))")
                for (number, receipt) in zip(numbers, receipts) {
                    let results = receipt["results"]?.array ?? []
                    let result = results.first?["result"]
                    try #require(results.count == 1 && results[0]["status"] == "done", "event \(number): \(receipt)")
                    try #require(
                        result?["n"] == .integer(Int64(number)) && result?["first"] == result?["last"], "event \(number): \(receipt)")
                    let version = Int(result?["last"]?.integer ?? -1)
                    if load.lastVersion.exchange(version, ordering: .relaxed) != version { load.versions.add(1, ordering: .relaxed) }
                }
            }
        }
    }

    // MARK: Edits

    private static func edit(_ file: String, _ versions: ClosedRange<Int>, _ client: ServiceClient) async throws {
        for version in versions {
            if version % 4 < 2 { await writeInPlace(counting(version), file) } else { replace(counting(version), file) }
            guard version.isMultiple(of: 2) else { continue }
            let live = try await ask("count.version", client) { $0["last"] == .integer(Int64(version)) }
            try #require(live["first"] == .integer(Int64(version)) && live["last"] == live["first"], "edit \(version) is not live: \(live)")
        }
    }

    /// Asks until the answer fits, for at most 20 s.
    ///
    /// - Returns: the last answer.
    private static func ask(_ type: String, _ client: ServiceClient, until fits: (JSONValue) -> Bool) async throws -> JSONValue {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(20)
        while true {
            let answer = try await client.send(.POST, "/events/\(type)?wait=10s", contentType: "application/json")
            let value = try JSON(String(buffer: answer.body)).value["results"]?.array?.first?["result"] ?? .null
            if fits(value) || clock.now > deadline { return value }
        }
    }

    private static func replace(_ text: String, _ file: String) {
        let aside = "\(file).new~"
        let descriptor = open(aside, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        write(text.utf8, to: descriptor)
        close(descriptor)
        precondition(rename(aside, file) == 0)
    }

    private static func writeInPlace(_ text: String, _ file: String) async {
        let descriptor = open(file, O_WRONLY | O_TRUNC)
        write(text.utf8.prefix(text.utf8.count / 2), to: descriptor)
        await Task.yield()
        write(text.utf8.dropFirst(text.utf8.count / 2), to: descriptor)
        close(descriptor)
    }

    private static func write(_ bytes: some Collection<UInt8>, to descriptor: Int32) {
        let bytes = Array(bytes)
        precondition(Glibc.write(descriptor, bytes, bytes.count) == bytes.count, "write failed")
    }
}

/// What the kernel says of a process at one moment.
private struct ProcessFacts {
    var residentBytes: Int
    var descriptors: Int
    var children: [pid_t]
    var childrenResidentBytes: Int

    init(of process: pid_t) throws {
        residentBytes = CPUTime.residentBytes(of: [process])
        descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").count
        // The kernel lists children with the thread that made them.
        children = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task").flatMap { task in
            let text = (try? String(contentsOfFile: "/proc/\(process)/task/\(task)/children", encoding: .utf8)) ?? ""
            return text.split(whereSeparator: \.isWhitespace).compactMap { pid_t($0) }
        }.sorted()
        childrenResidentBytes = CPUTime.residentBytes(of: children)
    }
}
