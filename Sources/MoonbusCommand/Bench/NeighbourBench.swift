import Glibc
import MoonbusDispatch
import MoonbusEvents
import MoonbusPlugins
import Synchronization

/// What a plugin notices of a hostile one that was put on its lane.
///
/// One witness on each of two process lanes, with the default limits, asked at a fixed rate whether or not it has answered (open loop); first
/// alone, then beside one hostile plugin that gets ten events a second. A response time goes from the emit to the settled result.
///
/// A hostile plugin is placed on the first witness's lane, and found out there: that is `onset`. What follows is `p99_us`.
enum NeighbourBench {
    /// Asks a second, both witnesses together.
    private static let rate = 1_000
    /// From the hostile plugin's first event on: it is found out within its CPU limit, 1 s, and its retries come within another.
    private static let onset = Duration.seconds(3)

    private static let witness = """
        bus.subscribe("witness.NUMBER", { name = "ask" }, function(event)
          local n = kv.incr("n")
          return { n = n, twice = event.data.n * 2 }
        end)
        """

    enum Hostile: String, CaseIterable {
        /// Never returns, and swallows what interrupts it.
        case loop
        /// Never returns from one call of a C function.
        case stuck
        /// Takes memory until there is none.
        case bomb
        /// Its lane dies under it, by SIGSEGV.
        case crasher

        var body: String {
            switch self {
            case .loop: "while true do pcall(function() while true do end end) end"
            case .stuck: #"string.find(("a"):rep(250), ("a*"):rep(30) .. "b")"#
            case .bomb: #"local t = {} while true do t[#t + 1] = ("x"):rep(100000) .. #t end"#
            case .crasher: "while true do end"
            }
        }
    }

    /// - Parameter seconds: how long the witnesses are watched alone, and again beside each hostile plugin after its onset.
    static func run(_ kind: BenchHost.LaneKind, seconds: Int) async throws -> [Measurement] {
        var measurements: [Measurement] = []
        for hostile in Hostile.allCases {
            guard kind == .process || hostile != .crasher else { continue }
            measurements.append(try await BenchHost.run(kind, lanes: 2) { try await watch(hostile, kind, .seconds(seconds), $0) })
        }
        return measurements
    }

    private static func watch(
        _ hostile: Hostile, _ kind: BenchHost.LaneKind, _ time: Duration, _ host: BenchHost
    ) async throws -> Measurement {
        for number in 1...2 {
            try await host.plugins.load("witness-\(number)", source: witness.replacing("NUMBER", with: "\(number)"))
        }
        _ = try await respond(host, for: .seconds(1))  // caches and branch predictors
        let alone = try await respond(host, for: time)

        let handler = #"bus.subscribe("hostile.go", { name = "go" }, function() \#(hostile.body) end)"#
        try await host.plugins.load("hostile", source: handler)
        let end = End()
        let (first, beside) = try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await provoke(host, until: end) }
            if hostile == .crasher { group.addTask { try await crash(until: end) } }
            defer { end.isNear.store(true, ordering: .relaxed) }
            return (try await respond(host, for: onset), try await respond(host, for: time))
        }
        return Measurement(
            name: "neighbour of a \(hostile.rawValue), \(kind.text)", operations: beside.count, wall: time / .seconds(1), cpu: nil,
            extra: [
                ("alone_p50_us", percentile(alone, 50)), ("alone_p99_us", percentile(alone, 99)), ("p50_us", percentile(beside, 50)),
                ("p99_us", percentile(beside, 99)), ("p99_ratio", percentile(beside, 99) / percentile(alone, 99)),
                ("onset_p99_us", percentile(first, 99)), ("onset_max_us", percentile(first, 100)),
            ])
    }

    // MARK: The witnesses

    /// Asks both witnesses in turn, at the rate, for a time; and waits for the answers.
    ///
    /// - Returns: response times in microseconds, sorted.
    private static func respond(_ host: BenchHost, for time: Duration) async throws -> [Double] {
        let times = Mutex<[Double]>([])
        let clock = ContinuousClock()
        let start = clock.now
        var count = 0
        while clock.now - start < time {
            let due = Int((clock.now - start) / .seconds(1) * Double(rate))
            while count < due {
                count += 1
                let event = try Event(type: EventType("witness.\(1 + count % 2)"), data: JSON(["n": .integer(Int64(count))]))
                let asked = clock.now
                host.bus.submit(
                    [event], settled: { _ in times.withLock { $0.append((clock.now - asked) / .microseconds(1)) } },
                    settledWithin: .seconds(30)
                ) {
                    (result: Result<[Receipt], EmitError>) in
                    if case .failure(let error) = result { preconditionFailure("the rate stays within the bounds: \(error)") }
                }
            }
            try await Task.sleep(for: .microseconds(500))
        }
        while times.withLock({ $0.count }) < count { try await Task.sleep(for: .milliseconds(1)) }
        return times.withLock { $0.sorted() }
    }

    private static func percentile(_ sorted: [Double], _ percent: Int) -> Double {
        sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, sorted.count * percent / 100)]
    }

    // MARK: The hostile plugin

    private final class End: Sendable {
        let isNear = Atomic(false)
    }

    private static func provoke(_ host: BenchHost, until end: End) async throws {
        while !end.isNear.load(ordering: .relaxed) {
            _ = try? await host.bus.emit(Event(type: EventType("hostile.go")), within: .seconds(1))
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Kills whichever lane has done nothing but run for a while, by the signal of a memory error: no script that we know of can do that itself.
    private static func crash(until end: End) async throws {
        while !end.isNear.load(ordering: .relaxed) {
            let before = Dictionary(uniqueKeysWithValues: CPUTime.lanePIDs().map { ($0, CPUTime(lanePIDs: [$0]).lanes) })
            try await Task.sleep(for: .milliseconds(100))
            for (lane, used) in before where CPUTime(lanePIDs: [lane]).lanes - used > 0.06 { kill(lane, SIGSEGV) }
        }
    }
}
