import Foundation
import Synchronization

/// What publishers know of their facts, kept outside of the service: what was acknowledged with 2xx must be there at the end, once.
final class Ledger: Sendable {
    /// One event: its number under its key.
    struct Fact: Hashable, Sendable {
        var key: String
        var number: Int
        /// Bytes of padding, so that commits take from one page to several.
        var padding: Int

        var id: String { "\(key)-\(number)" }
        /// As a CloudEvent.
        var body: String {
            """
            {"id":"\(id)","source":"/ledger","type":"ledger.fact","partitionkey":"\(key)",\
            "data":{"n":\(number),"padding":"\(String(repeating: "x", count: padding))"}}
            """
        }
    }

    /// What is known of the facts of one key.
    struct Page: Sendable {
        var acknowledged: Set<Int> = []
        /// Sent, and the connection ended before the answer.
        var unknown: Set<Int> = []
        /// Answered with anything but 2xx.
        var refused: Set<Int> = []
    }

    private struct State {
        var pages: [String: Page] = [:]
        var acknowledgedCount = 0
        var waiting: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var pages: [String: Page] { state.withLock { $0.pages } }
    var acknowledgedCount: Int { state.withLock { $0.acknowledgedCount } }

    func note(_ fact: Fact, status: Int) {
        let due = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.pages[fact.key, default: Page()].unknown.remove(fact.number)
            guard (200..<300).contains(status) else {
                state.pages[fact.key, default: Page()].refused.insert(fact.number)
                return []
            }
            state.pages[fact.key, default: Page()].acknowledged.insert(fact.number)
            state.acknowledgedCount += 1
            let due = state.waiting.filter { $0.count <= state.acknowledgedCount }.map(\.continuation)
            if !due.isEmpty { state.waiting.removeAll { $0.count <= state.acknowledgedCount } }
            return due
        }
        for continuation in due { continuation.resume() }
    }

    func noteUnknown(_ fact: Fact) {
        state.withLock { _ = $0.pages[fact.key, default: Page()].unknown.insert(fact.number) }
    }

    /// Waits for so many acknowledgements from now on.
    func acknowledgements(_ count: Int) async {
        await withCheckedContinuation { continuation in
            state.withLock { $0.waiting.append(($0.acknowledgedCount + count, continuation)) }
        }
    }
}

/// Where the service is at present, for publishers that live longer than it.
final class Stage: @unchecked Sendable {
    private let condition = NSCondition()
    private var port = 0
    private var generation = 0
    private var isOver = false

    /// A service is there.
    func open(port: Int) {
        condition.withLock {
            self.port = port
            generation += 1
            condition.broadcast()
        }
    }

    /// No new facts; what is unknown may still be asked for again.
    func end() {
        condition.withLock {
            isOver = true
            condition.broadcast()
        }
    }

    var hasEnded: Bool { condition.withLock { isOver } }

    /// Waits for a service after the one with this generation.
    ///
    /// - Returns: nil when it is over.
    func next(after last: Int) -> (port: Int, generation: Int)? {
        condition.withLock {
            while generation <= last, !isOver { condition.wait() }
            return generation > last ? (port, generation) : nil
        }
    }
}

/// A client that sends facts as fast as they are answered, through all crashes.
final class Publisher: @unchecked Sendable {
    /// Requests under way at once.
    private static let depth = 8

    private let keys: [String]
    private let repeats: Bool
    private let ledger: Ledger
    private let stage: Stage
    private var numbers: [Int]
    private var turn = 0
    /// Sent and not answered, in order.
    private var open: [Ledger.Fact] = []
    private var random: SplitMix
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameter repeats: whether what got no answer is sent again, with the same id, before anything new.
    init(name: String, keyCount: Int, repeats: Bool, seed: UInt64, ledger: Ledger, stage: Stage) {
        keys = (0..<keyCount).map { "\(name)\($0)" }
        self.repeats = repeats
        (self.ledger, self.stage) = (ledger, stage)
        numbers = Array(repeating: 0, count: keyCount)
        random = SplitMix(seed: seed)
    }

    func start() {
        Thread.detachNewThread { [self] in
            var generation = 0
            while let place = stage.next(after: generation) {
                generation = place.generation
                // However it ends, what was not answered is unknown, and the next service is waited for.
                try? publish(to: place.port)
                for fact in open { ledger.noteUnknown(fact) }
                if !repeats { open = [] }
            }
            ended.signal()
        }
    }

    /// Waits until it has stopped.
    func join() async throws {
        try await blocking { self.ended.wait() }
    }

    private func publish(to port: Int) throws {
        let connection = try Loopback(port: port)
        try connection.send(open.flatMap { Loopback.request("POST", "/events", $0.body) })
        while true {
            if !stage.hasEnded {
                let fresh = (open.count..<max(open.count, Self.depth)).map { _ in nextFact() }
                open += fresh
                try connection.send(fresh.flatMap { Loopback.request("POST", "/events", $0.body) })
            }
            guard let first = open.first else { return }
            let answer = try connection.answer()
            open.removeFirst()
            ledger.note(first, status: answer.status)
        }
    }

    private func nextFact() -> Ledger.Fact {
        turn = (turn + 1) % keys.count
        numbers[turn] += 1
        let padding = Int.random(in: 0..<8, using: &random) == 0 ? Int.random(in: 0..<20_000, using: &random) : 20
        return Ledger.Fact(key: keys[turn], number: numbers[turn], padding: padding)
    }
}

/// Chance that can be had again: a run prints its seed.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
