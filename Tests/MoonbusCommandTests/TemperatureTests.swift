import Foundation
import MoonbusEvents
import Testing

@testable import MoonbusCommand

/// Two real records through the real service and the shipped thermostat, against the same rules written down a second time here.
@Suite(.timeLimit(.minutes(5))) struct TemperatureTests {
    struct Finding: Hashable {
        var type: String
        var station: String
        var state: String
        var date: String
        var temp: Double
    }

    @Test func `the thermostat finds in a year of two cities what an independent calculation finds`() async throws {
        let scratch = try Scratch()
        let (service, environment) = try await RunningCommand.service(
            in: scratch.url, ["--plugins", repository.appending(path: "plugins").path])
        let tail = try RunningCommand(["tail", "climate.>", "--json"], in: scratch.url, environment: environment)
        while tail.lines.isEmpty { _ = try await Executable.run(["emit", "climate.begin"], in: scratch.url, environment: environment) }

        var expected: Set<Finding> = []
        for station in ["seattle", "sf"] {
            let file = repository.appending(path: "Tests/Data/\(station)-temps.csv").path
            let arguments = ["emit", "temperature.\(station)", "--csv", file, "--wait"]
            let outcome = try await Executable.run(arguments, in: scratch.url, environment: environment)
            #expect(outcome.status == 0, "\(outcome.errors)")
            expected.formUnion(try findings(station, file))
        }
        _ = try await Executable.run(["emit", "climate.end"], in: scratch.url, environment: environment)
        _ = try await tail.line { $0.value(at: ["type"])?.string == "climate.end" }

        let told = tail.lines.filter { ["climate.alarm", "climate.cleared"].contains($0.value(at: ["type"])?.string) }
        let found = Set(told.map(Finding.init))
        #expect(found.count == told.count, "nothing is told twice")
        #expect(found == expected)
        #expect(!expected.isEmpty)
        service.signal(SIGTERM)
        #expect(await service.end() == 0)
    }

    /// Cold from 40 °F down until 45 °F, hot from 85 °F up until 80 °F: plugins/thermostat/plugin.toml.
    private func findings(_ station: String, _ file: String) throws -> Set<Finding> {
        var reader = try CSVReader(ByteReader(path: file))
        let dateColumn = try #require(reader.columns.firstIndex(of: "date"))
        let tempColumn = try #require(reader.columns.firstIndex(of: "temp"))
        var found: Set<Finding> = []
        var state: String?
        while let record = try reader.next() {
            let date = record.fields[dateColumn]
            let temp = try #require(Double(record.fields[tempColumn]))
            if let was = state, was == "cold" ? temp >= 45 : temp <= 80 {
                found.insert(Finding(type: "climate.cleared", station: station, state: was, date: date, temp: temp))
                state = nil
            }
            if state == nil, temp <= 40 || temp >= 85 {
                let now = temp <= 40 ? "cold" : "hot"
                found.insert(Finding(type: "climate.alarm", station: station, state: now, date: date, temp: temp))
                state = now
            }
        }
        return found
    }
}

extension TemperatureTests.Finding {
    init(_ event: JSON) {
        func text(_ name: String) -> String { event.value(at: ["data", name])?.string ?? "" }
        self.init(
            type: event.value(at: ["type"])?.string ?? "", station: text("station"), state: text("is") + text("was"), date: text("date"),
            temp: event.value(at: ["data", "temp"])?.number ?? .nan)
    }
}
