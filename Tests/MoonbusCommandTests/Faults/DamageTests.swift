import Foundation
import Testing

extension Faults {
    @Suite(.timeLimit(.minutes(2))) struct DamageTests {
        /// A journal with facts in it, and how its service ended.
        private func journal(in scratch: Scratch, ending: (FaultyService) async -> Void) async throws -> URL {
            let service = try await FaultyService(in: scratch)
            try await blocking {
                let connection = try Loopback(port: service.port)
                for number in 1...50 {
                    let fact = Ledger.Fact(key: "k", number: number, padding: 2_000)
                    #expect(try connection.ask("POST", "/events?wait=10s", fact.body).status == 200)
                }
            }
            await ending(service)
            return scratch.url.appending(path: "journal")
        }

        private func change(_ file: URL, at place: (Int) -> Int, _ bytes: [UInt8]) throws {
            var data = try Data(contentsOf: file)
            let start = place(data.count)
            data.replaceSubrange(start..<start + bytes.count, with: bytes)
            try data.write(to: file)
        }

        @Test func `a log with a damaged tail is refused with 74, and the refusal names it and the way out`() async throws {
            let scratch = try Scratch()
            let folder = try await journal(in: scratch) { await $0.killAll() }
            // A page before the last: what follows it is whole, and would be dropped without a word.
            try change(folder.appending(path: "moonbus.db-wal"), at: { $0 - 3 * 4_120 }, [0xFF, 0x00, 0xFF, 0x00])
            let refused = try await Executable.run(FaultyService.arguments(), in: scratch.url)
            #expect(refused.status == 74)
            #expect(refused.errors.contains("moonbus.db-wal"))
            #expect(refused.errors.contains("--accept-loss"))
        }

        @Test func `a file with a damaged page is refused with 74, and the refusal names it and the way out`() async throws {
            let scratch = try Scratch()
            let folder = try await journal(in: scratch) { _ = await $0.stop() }
            // The head of a page in the middle: of the events' table, most likely, and no valid one in any case.
            try change(folder.appending(path: "moonbus.db"), at: { $0 / 8_192 * 4_096 }, Array(repeating: 0xAA, count: 64))
            let refused = try await Executable.run(FaultyService.arguments(), in: scratch.url)
            #expect(refused.status == 74)
            #expect(refused.errors.contains("journal/moonbus.db"))
            #expect(refused.errors.contains("restore a backup"))
        }
    }
}
