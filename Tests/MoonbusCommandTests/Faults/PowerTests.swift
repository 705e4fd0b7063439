import Foundation
import Testing

extension Faults {
    @Suite(.timeLimit(.minutes(Cycles.minutes))) struct PowerTests {
        @Test func `a power cut at any moment loses nothing that was acknowledged, and makes nothing twice`() async throws {
            let scratch = try Scratch()
            let torture = Torture(cycles: Cycles.count(25), fault: .power, disk: try Disk(in: scratch))
            let audit = try await torture.run(in: scratch, progress: Cycles.show)
            Cycles.show(audit, of: torture)
            #expect(audit.isClean, "seed \(torture.seed): \(audit)")
            #expect(audit.acknowledged > torture.cycles)
        }

        /// The control of the test above: a disk that only says it has synced must be found out, or that test proves nothing.
        @Test func `where syncs of the log are a lie, a power cut loses what was acknowledged, and is noticed`() async throws {
            let scratch = try Scratch()
            let disk = try Disk(in: scratch)
            let ledger = Ledger()
            let stage = Stage()
            let publisher = Publisher(name: "k", keyCount: 4, repeats: false, seed: 1, ledger: ledger, stage: stage)
            publisher.start()
            let first = try await FaultyService(in: scratch, disk: disk)
            try disk.set(.lyingSyncs)
            stage.open(port: first.port)
            await ledger.acknowledgements(10)
            stage.end()
            // The mark beside the log is synced when nothing more is written: by then it says more than the lying disk keeps. More events
            // would bring a checkpoint, and after one of those a lying disk leaves nothing that could be accepted.
            try await publisher.join()
            try await blocking {
                let connection = try Loopback(port: first.port)
                let until = ContinuousClock.now + .milliseconds(400)
                repeat { _ = try connection.ask("GET", "/health/ready") } while ContinuousClock.now < until
            }
            await first.killAll()
            #expect(try disk.cutPower(seed: 0).changes > 0)
            try disk.set(.none)
            let refused = try await Executable.run(FaultyService.arguments(), in: scratch.url)
            #expect(refused.status == 74)
            #expect(refused.errors.contains("moonbus.db-wal") && refused.errors.contains("--accept-loss"))
            let second = try await FaultyService(in: scratch, ["--accept-loss"])
            let audit = try await blocking { try Audit(ledger, port: second.port) }
            #expect(audit.lost > 0, "\(audit)")
            #expect(audit.split == 0 && audit.doubled == 0)
            #expect(await second.stop() == 0)
        }
    }
}
