import Foundation

/// What plugins/thermostat is to find in a year of readings, calculated a second time: from the text of the records and the words of
/// plugin.toml, with nothing of ours in between.
///
/// A station is cold from a reading of 40 °F or less on, until one of 45 °F or more; hot from 85 °F on, until 80 °F or less. The reading
/// that ends one state may begin another. Each change is told once.
enum ClimateRules {
    struct Finding: Hashable {
        var type: String
        var station: String
        var state: String
        var date: String
        var temp: Double
    }

    private struct BadRecord: Error { let line: Substring }

    /// In the order of the readings.
    static func findings(in station: String) throws -> [Finding] {
        let file = repository.appending(path: "Tests/Data/\(station)-temps.csv")
        var lines = try String(contentsOf: file, encoding: .utf8).split(whereSeparator: \.isNewline)
        let temperatureIsFirst = lines.removeFirst() == "temp,date"
        var found: [Finding] = []
        var (isCold, isHot) = (false, false)
        for line in lines {
            let fields = line.split(separator: ",")
            guard fields.count == 2, let temp = Double(fields[temperatureIsFirst ? 0 : 1]) else { throw BadRecord(line: line) }
            func tell(_ type: String, _ state: String) {
                let date = String(fields[temperatureIsFirst ? 1 : 0])
                found.append(Finding(type: "climate.\(type)", station: station, state: state, date: date, temp: temp))
            }
            if isCold, temp >= 45 {
                isCold = false
                tell("cleared", "cold")
            }
            if isHot, temp <= 80 {
                isHot = false
                tell("cleared", "hot")
            }
            if !isCold, !isHot, temp <= 40 {
                isCold = true
                tell("alarm", "cold")
            }
            if !isCold, !isHot, temp >= 85 {
                isHot = true
                tell("alarm", "hot")
            }
        }
        return found
    }
}
