import ArgumentParser
import Glibc

/// `moonbus bench`: how fast it is on this machine, against floors in plain C that are measured in the same run.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure this machine.",
        discussion: """
            A ratio is taken against the same work in plain C, in the same run: 0.6x means that the
            bus, the lane and the sandbox together cost two thirds of a bare C loop.
              moonbus bench                        everything, half a minute
              moonbus bench dispatch --lane thread
              moonbus bench neighbour              beside hostile plugins, a minute; not in "everything"
            """)

    enum Workload: String, ExpressibleByArgument, CaseIterable {
        case match, dispatch, fanout, contexts, http, reload, neighbour, journal, all
    }

    @Argument(help: "What to measure.")
    var workload = Workload.all

    @Option(help: "How handlers run: process, thread or swift (default: process and thread).")
    var lane: BenchHost.LaneKind?

    @Option(help: "How many events, plugins, requests or saves; with neighbour and journal: seconds (default: as the workload is defined).")
    var count: Int?

    @Option(help: "With fanout: how many plugins.")
    var plugins = 1_000

    @Option(help: "With http: how many connections.")
    var connections = 32

    @Option(help: "With journal: where to write (default: a new folder in /tmp). What is there stays there.")
    var folder: String?

    @Option(help: "With journal: only the cases that have this in their name, like http or append-32.")
    var only: String?

    @Flag(help: "Print JSON, one figure a line.")
    var json = false

    @Flag(help: "Print RESULT lines, for scripts that compare servers.")
    var result = false

    func run() async throws {
        try await reporting(json: json) {
            if let count, count < 1 { throw CommandError(.usage, "--count is 1 or more") }
            guard plugins >= 1, connections >= 1 else { throw CommandError(.usage, "--plugins and --connections are 1 or more") }
            let kinds = lane.map { [$0] } ?? [.process, .thread]
            let workloads = workload == .all ? Workload.allCases.filter { $0 != .all && $0 != .neighbour } : [workload]
            for workload in workloads {
                if workload == .match {
                    for measurement in MatchBench.run(events: count ?? 2_000_000) { show(measurement) }
                } else if workload == .neighbour {
                    guard lane != .swift else { throw CommandError(.usage, "--lane swift is for dispatch only: the others are about Lua") }
                    for measurement in try await NeighbourBench.run(lane ?? .process, seconds: count ?? 5) { show(measurement) }
                } else if workload == .journal {
                    let folder = try folder ?? JournalBench.temporaryFolder()
                    guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
                        throw CommandError(.cannotCreate, "\(folder) can't be made: \(systemReason())")
                    }
                    for measurement in try JournalBench.run(folder: folder, seconds: count ?? 2, only: only) { show(measurement) }
                    let seconds = Double(count ?? 2)
                    for measurement in try await DurableBench.run(folder: folder, seconds: seconds, only: only) { show(measurement) }
                } else {
                    for kind in kinds { show(try await measure(workload, kind)) }
                }
            }
        }
    }

    private func measure(_ workload: Workload, _ kind: BenchHost.LaneKind) async throws -> Measurement {
        guard kind != .swift || workload == .dispatch else {
            throw CommandError(.usage, "--lane swift is for dispatch only: the other workloads are about Lua")
        }
        switch workload {
        case .dispatch: return try await DispatchBench.run(kind, count: count ?? 1_000_000)
        case .fanout: return try await FanoutBench.run(kind, contexts: plugins, events: count ?? 1_000)
        case .contexts: return try await ContextsBench.run(kind, count: count ?? 1_000)
        case .http: return try await HTTPBench.run(kind, connections: connections, requests: count ?? 50_000)
        case .reload: return try await ReloadBench.run(kind, saves: count ?? 20)
        case .match, .neighbour, .journal, .all: throw CommandError(.internal, "\(workload) is no single workload")
        }
    }

    private func show(_ measurement: Measurement) {
        let terminal = Terminal.standardOutput
        if result {
            terminal.print(measurement.resultLine)
        } else {
            terminal.print(json ? measurement.jsonLine : measurement.row(terminal))
        }
    }
}

extension BenchHost.LaneKind: ExpressibleByArgument {}
