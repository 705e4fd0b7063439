import MoonbusEvents
import MoonbusJournal
import NIOCore
import NIOHTTP1

/// What a running service has recorded, page by page.
struct RecordedPast {
    let client: ServiceClient

    private static let pageCount = 1_000
    /// What happens later is not the past: without an end, a busy service would be followed for ever.
    private let end = Timestamp.now()

    init(client: ServiceClient) {
        self.client = client
    }

    /// Shows recorded events in their order, until `visit` returns false or there are no more.
    ///
    /// - Parameters:
    ///   - pattern: types to show.
    ///   - since: only what happened then or later.
    ///   - position: only what comes after it.
    func events(
        _ pattern: EventPattern, since: Timestamp?, after position: UInt64 = 0, _ visit: (RecordedEvent) throws -> Bool
    ) async throws {
        var next = position
        while true {
            var target = "/events?type=\(percentEncoded(pattern.text))&limit=\(Self.pageCount)&after=\(next)"
            if let since { target += "&since=\(percentEncoded(since.description))" }
            let page = try await ask(target)
            let found = try (page["events"]?.array ?? []).map(Self.recorded)
            for recorded in found {
                if recorded.event.time > end { return }
                if try !visit(recorded) { return }
            }
            guard let last = page["next"]?.integer.map(UInt64.init(clamping:)), last > next else { return }
            next = last
        }
    }

    /// The state of a plugin as it is now.
    func state(of plugin: String) async throws -> [StateEntry] {
        var entries: [StateEntry] = []
        var after: String?
        repeat {
            var target = "/plugins/\(percentEncoded(plugin))/kv?limit=\(Self.pageCount)"
            if let after { target += "&after=\(percentEncoded(after))" }
            let page = try await ask(target)
            entries += try (page["entries"]?.array ?? []).map(Self.entry)
            after = page["next"]?.string
        } while after != nil
        return entries
    }

    private func ask(_ target: String) async throws -> JSONValue {
        let answer = try await client.send(.GET, target)
        guard answer.status == 200 else { throw ProblemAnswer(answer).error }
        guard let value = answer.body.json else { throw Self.foreign }
        return value
    }

    private static func recorded(_ value: JSONValue) throws -> RecordedEvent {
        guard let position = value["position"]?.integer.map(UInt64.init(clamping:)), let object = value["event"] else { throw foreign }
        do {
            let event = try JSON(object).withUnsafeBytes { bytes throws(EventError) in try CloudEvent.decode(structured: bytes) }
            return RecordedEvent(position: position, event: event)
        } catch {
            throw CommandError(.internal, "event \(position) of the service cannot be read: \(error)")
        }
    }

    private static func entry(_ value: JSONValue) throws -> StateEntry {
        guard let key = value["key"]?.string, let stored = value["value"], let version = value["version"]?.string.flatMap({ UInt64($0) })
        else { throw foreign }
        return StateEntry(
            key: key, value: JSON(stored), version: version, expires: value["expires"]?.string.flatMap { Timestamp(rfc3339: $0) })
    }

    private static var foreign: CommandError {
        CommandError(.internal, "the service answered something else than expected: is it Moonbus \(MoonbusCommand.version)?")
    }
}
