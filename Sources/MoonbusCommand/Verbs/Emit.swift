import ArgumentParser
import MoonbusEvents

/// `moonbus emit`: events into a running service.
struct Emit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Emit events.",
        discussion: """
            One event:          moonbus emit order.created '{"total": 120}' --wait
            from a file:        moonbus emit order.created @order.json
            a line an event:    moonbus emit temperature.sf --csv sf-temps.csv
                                tail -f log.jsonl | moonbus emit log.line --jsonl -
            A file is sent in batches; each batch is recorded whole or not at all, and sent again until it is.
            """)

    @Argument(help: "The events' type, e.g. orders.eu.created.")
    var type: String

    @Argument(help: "The data: JSON, @FILE, or - for standard input.")
    var data: String?

    @Option(help: "Read events from a CSV file (- is standard input): a line is an object.")
    var csv: String?

    @Option(help: "Read events from a file with a JSON value a line (- is standard input).")
    var jsonl: String?

    @Option(help: "The events' key: events with the same one are handled in order. With --csv or --jsonl, the name of a field.")
    var key: String?

    @Option(help: "What the events are about.")
    var subject: String?

    @Flag(name: .customLong("wait"), help: "Wait until they are handled, and show the results.")
    var waits = false

    @Option(help: "How long to wait for results.")
    var timeout = "30s"

    @Option(help: "At most this many events a second.")
    var rate: Double?

    @Option(help: "Emit it this often; with a file, only its first events.")
    var count: Int?

    @OptionGroup var client: ClientOptions

    func run() async throws {
        try await reporting(json: client.json) {
            let plan = try plan()
            try await ServiceClient.connect(to: try client.address()) { connection in
                var emission = Emission(plan, connection)
                try await emission.run()
            }
        }
    }

    /// Everything that can be wrong with the command line is found before anything is sent.
    private func plan() throws -> EmissionPlan {
        let eventType: EventType
        let wait: Duration
        do throws(EventError) {
            eventType = try EventType(type)
            wait = try DurationText.parse(timeout)
        } catch {
            throw CommandError(.usage, error.message)
        }
        guard wait <= .seconds(60) else { throw CommandError(.usage, "--timeout is at most 60s") }
        guard [data, csv, jsonl].count(where: { $0 != nil }) <= 1 else {
            throw CommandError(.usage, "give the data, --csv or --jsonl: only one of them")
        }
        if let rate, !(rate > 0 && rate <= 1_000_000) { throw CommandError(.usage, "--rate is a number above 0, up to 1,000,000") }
        if let count, count < 1 { throw CommandError(.usage, "--count is 1 or more") }
        return EmissionPlan(
            type: eventType, input: try input(), key: key, subject: subject, wait: waits ? wait : nil, rate: rate, count: count ?? .max,
            isSingle: csv == nil && jsonl == nil, json: client.json)
    }

    private func input() throws -> EventInput {
        if let csv {
            let bytes = try ByteReader(path: csv)
            let reader = try CSVReader(bytes)
            if let key, !reader.columns.contains(key) {
                throw CommandError(
                    .badData,
                    "\(bytes.name) has no column '\(key)'\(Suggestion.hint(for: key, in: reader.columns)) (it has \(reader.columns.joined(separator: ", ")))"
                )
            }
            return .csv(bytes, reader)
        }
        if let jsonl { return .jsonLines(try ByteReader(path: jsonl), line: 0) }
        var json: JSON?
        switch data {
        case nil: break
        case "-":
            let reader = try ByteReader(path: "-")
            json = try Self.json(try reader.rest(limit: 1 << 20), from: reader.name)
        case .some(let text) where text.hasPrefix("@"):
            let reader = try ByteReader(path: String(text.dropFirst()))
            json = try Self.json(try reader.rest(limit: 1 << 20), from: reader.name)
        case .some(let text): json = try Self.json(Array(text.utf8), from: "the data")
        }
        return .single(json, count: count ?? 1)
    }

    private static func json(_ bytes: [UInt8], from name: String) throws -> JSON {
        do throws(EventError) {
            return try JSON(validating: bytes)
        } catch {
            throw CommandError(.badData, "\(name) is not JSON: \(error.message)")
        }
    }
}
