import Glibc
import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite

/// W4 through the whole service: `moonbus run` with its journal on this disk, asked over HTTP by one thread.
///
/// | case | what is one operation | its floor, taken in each round right after it |
/// |---|---|---|
/// | `http-record-32` | an event on one of 32 connections, answered 202 | ``RawSQLite`` with as many rows in a commit as the service had |
/// | `http-window-32` | the same on one connection with 32 requests under way, as a client of NATS sends | the same |
/// | `http-react-32` | an event whose handler emits one and writes one value, answered when both are settled | appends with fdatasync a second, times events in a commit |
/// | `http-lone` | an event on one connection, answered 202: its p50 | p50 of one append with fdatasync of the same size |
/// | `memory` | resident after the start, a million events in the file, a thousand idle subscriptions | none |
///
/// Events of 300 bytes. Ratios are taken round by round; their median counts.
struct DurableBench {
    let folder: String
    /// Seconds of load in a round.
    var seconds = 1.5
    var rounds = 5

    /// - Parameter only: the cases whose names have this in them; nil: all.
    static func run(folder: String, seconds: Double, only: String?) async throws -> [Measurement] {
        let bench = DurableBench(folder: folder, seconds: seconds)
        func isWanted(_ name: String) -> Bool { only.map { name.contains($0) } ?? true }
        var measurements: [Measurement] = []
        let loads = Load.allCases.filter { isWanted($0.rawValue) }
        if !loads.isEmpty {
            try bench.writePlugin("react", reacting)
            let service = try BenchService(in: folder)
            defer { service.stop() }
            for load in loads { measurements.append(try await bench.measure(load, service)) }
        }
        if isWanted("memory") { measurements.append(try bench.memory()) }
        return measurements
    }

    // MARK: Load

    private enum Load: String, CaseIterable {
        case record = "http-record-32"
        case window = "http-window-32"
        case react = "http-react-32"
        case lone = "http-lone"

        var connections: Int { self == .lone || self == .window ? 1 : 32 }
        var window: Int { self == .window ? 32 : 1 }
        /// Nobody is subscribed to the one type, the plugin to the other.
        var target: String { self == .react ? "/events/order.created?wait=10s" : "/events/order.noted" }
        var status: String { self == .react ? "200" : "202" }
        var answer: String { self == .react ? #""status":"done""# : #""position":"# }
    }

    private static let reacting = """
        local n = 0
        bus.subscribe("order.created", { name = "react" }, function(event)
          n = n + 1
          kv.set("order-" .. n % 1000, event.data.amount)
          bus.emit("order.seen", { amount = event.data.amount })
        end)

        """
    private static let size = 300
    private static let order: String = {
        let start = #"{"id":"evt-000001","customer":"c-1042","country":"DE","amount":150,"note":""#
        return start + String(repeating: "n", count: size - start.utf8.count - 2) + #""}"#
    }()

    private func measure(_ load: Load, _ service: BenchService) async throws -> Measurement {
        let request =
            "POST \(load.target) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: \(Self.size)\r\n\r\n\(Self.order)"
        let generator = HTTPLoad(
            port: service.port, connections: load.connections, request: Array(request.utf8), expected: Array(load.answer.utf8),
            status: load.status, window: load.window)
        // How many requests are a round: by the rate of a first, short one.
        var count = load.connections * load.window * 50
        let clock = ContinuousClock()
        let first = clock.now
        _ = try await generator.saturate(count)
        count = max(count, Int(Double(count) / ((clock.now - first) / .seconds(1)) * seconds))
        var all: [Round] = []
        for _ in 0..<rounds {
            var round = Round()
            let commits = try await service.commitCount()
            let start = clock.now
            let report = try await generator.saturate(count)
            round.rate = Double(count) / ((clock.now - start) / .seconds(1))
            round.group = Double(count) / Double(max(1, try await service.commitCount() - commits))
            (round.p50, round.p99) = (report.quantile(0.5), report.quantile(0.99))
            try takeFloor(load, &round)
            all.append(round)
        }
        return measurement(load, all, count: count)
    }

    private struct Round {
        var rate = 0.0
        var group = 0.0
        var p50 = 0.0
        var p99 = 0.0
        /// Rate, or with a lone event the p50 in microseconds.
        var floor = 0.0
        var ratio = 0.0
    }

    private func takeFloor(_ load: Load, _ round: inout Round) throws {
        switch load {
        case .record, .window:
            let report = try rawSQLite(group: max(1, Int(round.group.rounded())))
            round.floor = Double(report.rows) / report.wall
            round.ratio = round.rate / round.floor
        case .react:
            let times = try JournalBench.syncTimes(in: folder, bytes: Self.size, seconds: seconds / 2)
            round.floor = Double(times.count) / (times.reduce(0, +) * 1e-6) * round.group
            round.ratio = round.rate / round.floor
        case .lone:
            let times = try JournalBench.syncTimes(in: folder, bytes: Self.size, seconds: seconds / 2).sorted()
            round.floor = times[times.count / 2]
            round.ratio = round.p50 / round.floor
        }
    }

    private func rawSQLite(group: Int) throws -> RawSQLite.Report {
        do throws(JournalError) {
            return try RawSQLite(folder: folder).run(group: group, size: Self.size, seconds: seconds / 2)
        } catch {
            throw CommandError(.ioError, error.message)
        }
    }

    private func measurement(_ load: Load, _ rounds: [Round], count: Int) -> Measurement {
        func median(_ value: (Round) -> Double) -> Double { rounds.map(value).sorted()[rounds.count / 2] }
        let ratios = rounds.map(\.ratio)
        let rate = median(\.rate)
        let wall = Double(count * rounds.count) / rate
        return Measurement(
            name: load.rawValue, operations: count * rounds.count, wall: wall, cpu: nil,
            floor: load == .lone ? nil : rate / median(\.ratio),
            extra: [
                ("p50us", median(\.p50)), ("p99us", median(\.p99)), ("group", median(\.group)),
                (load == .lone ? "floor_p50us" : "floor_rate", median(\.floor)), ("ratio", median(\.ratio)),
                ("ratio_min", ratios.min() ?? 0), ("ratio_max", ratios.max() ?? 0),
            ])
    }

    // MARK: Memory

    private static let events = 1_000_000
    private static let subscriptions = 1_000

    /// What the service takes that has just started over a full journal.
    private func memory() throws -> Measurement {
        try fill("\(folder)/full")
        let script = """
            for number = 1, \(Self.subscriptions) do
              bus.subscribe("idle.n" .. number, { name = "idle-" .. number }, function() end)
            end

            """
        try writePlugin("idle", script)
        let clock = ContinuousClock()
        let start = clock.now
        let service = try BenchService(in: folder, journal: "full")
        let wall = (clock.now - start) / .seconds(1)
        defer { service.stop() }
        let memory = service.residentBytes
        return Measurement(
            name: "memory", operations: Self.events, wall: wall, cpu: nil,
            extra: [("service_mb", Double(memory.service) / 1e6), ("lanes_mb", Double(memory.lanes) / 1e6), ("start_s", wall)])
    }

    private func fill(_ folder: String) throws {
        let journal: SQLiteJournal
        do throws(JournalError) {
            journal = try SQLiteJournal(folder: folder)
        } catch {
            throw CommandError(opening: error)
        }
        defer { journal.close() }
        let log = JournalBench.Subject(journal: journal)
        let data = try JSON(Self.order)
        let type = try EventType("order.noted")
        for _ in 0..<(Self.events / 1_000) { log.append(try (0..<1_000).map { _ in try Event(type: type, data: data) }) }
    }

    private func writePlugin(_ name: String, _ script: String) throws {
        for folder in [folder, "\(folder)/plugins"] where mkdir(folder, 0o700) != 0 && errno != EEXIST {
            throw CommandError(.cannotCreate, "\(folder) can't be made: \(systemReason())")
        }
        try write(script, to: "\(folder)/plugins/\(name).lua")
    }
}
