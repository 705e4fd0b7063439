import Foundation
import MoonbusEvents
import Testing

@testable import MoonbusCommand

/// Two real records through the real service and the shipped thermostat, against the same rules written down a second time (``ClimateRules``).
@Suite(.timeLimit(.minutes(5))) struct TemperatureTests {
    @Test func `the thermostat finds in a year of two cities what an independent calculation finds`() async throws {
        let scratch = try Scratch()
        let (service, environment) = try await RunningCommand.service(
            in: scratch.url, ["--plugins", repository.appending(path: "plugins").path, "--journal", "journal"])
        let tail = try RunningCommand(["tail", "climate.>", "--json"], in: scratch.url, environment: environment)
        while tail.lines.isEmpty { _ = try await Executable.run(["emit", "climate.begin"], in: scratch.url, environment: environment) }

        var expected: Set<ClimateRules.Finding> = []
        for station in ["seattle", "sf"] {
            let file = repository.appending(path: "Tests/Data/\(station)-temps.csv").path
            let arguments = ["emit", "temperature.\(station)", "--csv", file, "--wait"]
            let outcome = try await Executable.run(arguments, in: scratch.url, environment: environment)
            #expect(outcome.status == 0, "\(outcome.errors)")
            expected.formUnion(try ClimateRules.findings(in: station))
        }
        _ = try await Executable.run(["emit", "climate.end"], in: scratch.url, environment: environment)
        _ = try await tail.line { $0.value(at: ["type"])?.string == "climate.end" }

        let told = tail.lines.filter { ["climate.alarm", "climate.cleared"].contains($0.value(at: ["type"])?.string) }
        let found = Set(told.map(ClimateRules.Finding.init))
        #expect(found.count == told.count, "nothing is told twice")
        #expect(found == expected)
        #expect(!expected.isEmpty)
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    /// The figures are those of a third one, a few lines of Python with its csv module (2026-11-25).
    @Test func `the second calculation comes to the known figures`() throws {
        let seattle = try ClimateRules.findings(in: "seattle")
        let alarms = seattle.filter { $0.type == "climate.alarm" }
        #expect(alarms.count == 54)
        #expect(seattle.count - alarms.count == 53)
        #expect(Set(seattle.map(\.state)) == ["cold"])
        #expect(alarms.map(\.temp).min() == 39.4 && alarms.map(\.temp).max() == 40.0)
        #expect(alarms.first?.date == "2010/01/01 00:00" && alarms.last?.date == "2010/12/06 05:00")
        #expect(try ClimateRules.findings(in: "sf").isEmpty)
    }

    @Test func `scripts/demo prints what the second calculation finds`() async throws {
        let outcome = try await Executable.run(
            [], of: repository.appending(path: "scripts/demo"), in: repository, environment: ["MOONBUS": try Executable.url.path])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let alarms = try ClimateRules.findings(in: "seattle").filter { $0.type == "climate.alarm" }
        let clears = try ClimateRules.findings(in: "seattle").filter { $0.type == "climate.cleared" }
        let temperatures = alarms.map(\.temp).sorted()
        let row = "seattle cold \(alarms.count) \(clears.count) \(alarms[0].date.prefix(10)) \(alarms[alarms.count - 1].date.prefix(10))"
        let lines = outcome.lines.map { $0.split(separator: " ").joined(separator: " ") }
        #expect(lines.contains("\(row) \(temperatures[0]) to \(temperatures[temperatures.count - 1]) °F"), "\(outcome.output)")
        #expect(lines.contains { $0.hasPrefix("sf mild all year") })
        #expect(lines.count == 3)
    }
}

extension ClimateRules.Finding {
    init(_ event: JSON) {
        func text(_ name: String) -> String { event.value(at: ["data", name])?.string ?? "" }
        self.init(
            type: event.value(at: ["type"])?.string ?? "", station: text("station"), state: text("is") + text("was"), date: text("date"),
            temp: event.value(at: ["data", "temp"])?.number ?? .nan)
    }
}
