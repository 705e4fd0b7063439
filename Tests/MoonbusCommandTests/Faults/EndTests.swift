import Foundation
import Glibc
import MoonbusEvents
import Testing

extension Faults {
    @Suite(.timeLimit(.minutes(3))) struct EndTests {
        @Test func `SIGTERM under load ends it with 0 within 10 s, and nothing is lost`() async throws {
            let scratch = try Scratch()
            let ledger = Ledger()
            let stage = Stage()
            let publishers = (0..<4).map {
                Publisher(name: "p\($0)k", keyCount: 4, repeats: false, seed: UInt64($0), ledger: ledger, stage: stage)
            }
            for publisher in publishers { publisher.start() }
            let service = try await FaultyService(in: scratch)
            stage.open(port: service.port)
            await ledger.acknowledgements(500)
            let clock = ContinuousClock()
            let start = clock.now
            #expect(await service.stop() == 0)
            #expect(clock.now - start < .seconds(10))
            stage.end()
            for publisher in publishers { try await publisher.join() }
            let again = try await FaultyService(in: scratch)
            let audit = try await blocking { try Audit(ledger, port: again.port) }
            #expect(audit.isClean && audit.acknowledged >= 500, "\(audit)")
            #expect(await again.stop() == 0)
        }

        @Test func `a service that owes 100,000 deliveries and 10,000 delayed events is ready within a second`() async throws {
            let scratch = try Scratch()
            let plugins = repository.appending(path: "Tests/Data/backlog")
            let first = try await FaultyService(in: scratch, plugins: plugins)
            try await blocking {
                let connection = try Loopback(port: first.port)
                for _ in 0..<10 { #expect(try connection.ask("POST", "/events/backlog.later?wait=30s", "1000").status == 200) }
            }
            #expect(await first.stop() == 0)

            // While its plugin is away, 100,000 events come for it.
            try FileManager.default.createDirectory(at: scratch.url.appending(path: "nothing"), withIntermediateDirectories: true)
            let second = try await FaultyService(in: scratch, plugins: scratch.url.appending(path: "nothing"))
            try await blocking { try Self.sendBacklog(Loopback(port: second.port)) }
            await second.killAll()

            let clock = ContinuousClock()
            let start = clock.now
            let third = try await FaultyService(in: scratch, plugins: plugins)
            let time = clock.now - start
            #expect(time < .seconds(1), "ready after \(time)")
            try await blocking { try Self.awaitBacklog(Loopback(port: third.port, patience: .seconds(90))) }
            #expect(await third.stop() == 0)
        }

        private static func sendBacklog(_ connection: Loopback) throws {
            for batch in 0..<50 {
                let events = (0..<2_000).map {
                    #"{"specversion":"1.0","id":"\#(batch)-\#($0)","source":"/backlog","type":"backlog.fact"}"#
                }
                let body = "[" + events.joined(separator: ",") + "]"
                let answer = try connection.ask("POST", "/events", body, type: "application/cloudevents-batch+json")
                #expect(answer.status == 202)
            }
        }

        /// Waits until all of it has been handled; the delayed events are still waiting then.
        private static func awaitBacklog(_ connection: Loopback) throws {
            let clock = ContinuousClock()
            let deadline = clock.now + .seconds(90)
            var done: Int64 = 0
            while done < 100_000, clock.now < deadline {
                let statistics = try connection.ask("GET", "/statistics").json.value
                let facts = statistics["subscriptions"]?.array?.first { $0["name"]?.string == "backlog.facts" }
                done = facts?["done"]?.integer ?? 0
                #expect(statistics["delayed"]?.integer == 10_000)
            }
            #expect(done == 100_000)
        }
    }
}
