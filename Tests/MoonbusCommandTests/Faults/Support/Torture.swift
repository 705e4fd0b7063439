import Foundation
import Glibc
import MoonbusEvents

/// Kills a service under load, over and over on one journal, and audits what it has made of it.
struct Torture {
    enum Fault: String {
        /// The service and its lanes are killed.
        case killed
        /// The same, and what was not synced is gone from the disk.
        case power
    }

    var cycles: Int
    var fault: Fault
    var seed = UInt64.random(in: 0...UInt64.max)
    var disk: Disk?

    /// - Parameter progress: hears of each cycle.
    func run(in scratch: Scratch, progress: (Int, Ledger) -> Void = { _, _ in }) async throws -> Audit {
        var random = SplitMix(seed: seed)
        let ledger = Ledger()
        let stage = Stage()
        let publishers = (0..<4).map { index in
            Publisher(
                name: "p\(index)k", keyCount: 4, repeats: index % 2 == 0, seed: random.next(), ledger: ledger, stage: stage)
        }
        for publisher in publishers { publisher.start() }
        for cycle in 1...cycles {
            let service = try await FaultyService(in: scratch, disk: disk)
            stage.open(port: service.port)
            if Int.random(in: 0..<4, using: &random) == 0 {
                await ledger.acknowledgements(Int.random(in: 1...100, using: &random))
                if let lane = service.lanes.randomElement(using: &random) { kill(lane, SIGKILL) }
            }
            await ledger.acknowledgements(Int.random(in: 1...250, using: &random))
            // An acknowledgement is a moment that the service knows: chance moves the kill away from it.
            usleep(UInt32.random(in: 0..<3_000, using: &random))
            await service.killAll()
            if fault == .power { try disk?.cutPower(seed: random.next()) }
            progress(cycle, ledger)
        }
        let service = try await FaultyService(in: scratch, disk: disk)
        stage.open(port: service.port)
        await ledger.acknowledgements(10)
        stage.end()
        for publisher in publishers { try await publisher.join() }
        let port = service.port
        let audit = try await blocking { try Audit(ledger, port: port) }
        _ = await service.stop()
        return audit
    }
}
