import Foundation
import MoonbusEvents

/// The ledger held against what the plugin in `Tests/Data/ledger` has booked.
struct Audit: CustomStringConvertible, Sendable {
    var acknowledged = 0
    var unknown = 0
    var refused = 0
    /// Facts that were booked.
    var handled = 0
    /// Acknowledged, and not booked.
    var lost = 0
    /// Booked more than once, or a sum that says so; in either place.
    var doubled = 0
    /// Booked in one place and not in the other.
    var split = 0
    /// Booked after one with a higher number of its key.
    var disorder = 0
    /// Booked, and never sent; or dead letters.
    var strange = 0

    /// Nothing that was promised is broken.
    var isClean: Bool { lost == 0 && doubled == 0 && split == 0 && disorder == 0 && strange == 0 }

    var description: String {
        """
        acknowledged \(acknowledged), unknown \(unknown), refused \(refused), handled \(handled): \
        lost \(lost), doubled \(doubled), split \(split), disorder \(disorder), strange \(strange)
        """
    }

    /// What one place has booked for a key.
    private struct Book {
        var sum = 0
        var marks: [Int: Int] = [:]

        init(_ report: JSONValue?) {
            sum = report?["of"]?.integer.map { Int($0) } ?? -1
            for page in report?["pages"]?.array ?? [] {
                for (name, count) in page.object ?? [:] { marks[Int(name) ?? -1] = count.integer.map { Int($0) } ?? -1 }
            }
        }
    }

    /// Asks the service on `port`, which must be the last one: everything that it owes is waited for.
    init(_ ledger: Ledger, port: Int) throws {
        let connection = try Loopback(port: port, patience: .seconds(90))
        try Self.drain(connection)
        let pages = ledger.pages
        // A last fact of each key, which is behind all others in both places.
        for key in pages.keys {
            let last = #"{"id":"\#(key)-last","source":"/ledger","type":"ledger.fact","partitionkey":"\#(key)","data":{"n":\#(Self.last)}}"#
            let answer = try connection.ask("POST", "/events?wait=60s", last)
            let status = try answer.json.value["results"]?[0]?["status"]?.string
            guard answer.status == 200, status == "done" else {
                throw Loopback.Failure(description: "the last fact of \(key) was not handled: \(answer.text)")
            }
        }
        let totals = try Self.totals(connection)
        disorder = totals.disorder
        for (key, page) in pages { try take(key, page, connection) }
        if totals.facts != handled + pages.count { doubled += 1 }
        let letters = try connection.ask("GET", "/deliveries?state=dead").json.value.array ?? []
        strange += letters.count
    }

    /// A number that no fact reaches.
    private static let last = 1_000_000_000

    /// Waits until nothing is owed: a thousand kills leave more than one answer's time is for.
    private static func drain(_ connection: Loopback) throws {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(600)
        while clock.now < deadline {
            let subscriptions = try connection.ask("GET", "/statistics").json.value["subscriptions"]?.array ?? []
            let owed = subscriptions.reduce(0) { $0 + ($1["queued"]?.integer ?? 0) + ($1["in_flight"]?.integer ?? 0) }
            if !subscriptions.isEmpty, owed == 0 { return }
            usleep(50_000)
        }
        throw Loopback.Failure(description: "the service still owes deliveries after ten minutes")
    }

    /// Waits until both places have booked the same number, or no longer than is sensible: then the audit will say what is missing.
    private static func totals(_ connection: Loopback) throws -> (facts: Int, disorder: Int) {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(30)
        while true {
            let report = try report(connection, "")
            let facts = report["facts"]?["total"]?.integer ?? -1
            let disorder = (report["facts"]?["disorder"]?.integer ?? 0) + (report["derived"]?["disorder"]?.integer ?? 0)
            if facts == report["derived"]?["total"]?.integer || clock.now > deadline { return (Int(facts), Int(disorder)) }
        }
    }

    private static func report(_ connection: Loopback, _ body: String) throws -> JSONValue {
        let answer = try connection.ask("POST", "/events/ledger.report?wait=30s", body)
        guard let report = try answer.json.value["results"]?[0]?["result"] else {
            throw Loopback.Failure(description: "no report: \(answer.text)")
        }
        return report
    }

    private mutating func take(_ key: String, _ page: Ledger.Page, _ connection: Loopback) throws {
        let report = try Self.report(connection, #"{"key":"\#(key)"}"#)
        var (facts, derived) = (Book(report["facts"]), Book(report["derived"]))
        facts.marks[Self.last] = nil
        derived.marks[Self.last] = nil
        acknowledged += page.acknowledged.count
        unknown += page.unknown.count
        refused += page.refused.count
        handled += facts.marks.count
        lost += page.acknowledged.subtracting(facts.marks.keys).count
        doubled += facts.marks.values.filter { $0 != 1 }.count + derived.marks.values.filter { $0 != 1 }.count
        // The last fact is in the sum, too.
        doubled += (facts.sum == facts.marks.count + 1 ? 0 : 1) + (derived.sum == derived.marks.count + 1 ? 0 : 1)
        split += Set(facts.marks.keys).symmetricDifference(derived.marks.keys).count
        strange += Set(facts.marks.keys).subtracting(page.acknowledged).subtracting(page.unknown).subtracting(page.refused).count
    }
}
