import ArgumentParser
import MoonbusEvents
import NIOHTTP1

/// A replay with effects: the service does it, this command asks for it and watches.
struct LiveReplay {
    let plugin: String
    let json: Bool

    /// How often the service is asked how far it is.
    private static let interval = Duration.milliseconds(200)
    /// Letters that are looked through when the service has forgotten how a replay ended; as many as it keeps.
    private static let lettersMax = 10_000

    /// Begins the replay, and waits for its end if `waits`.
    ///
    /// - Throws: ``CommandError``; `ExitCode` 1 when dead letters came of it, or it ended before its events.
    func run(at address: ServiceAddress, type: EventPattern, _ since: Timestamp?, _ until: Timestamp?, waits: Bool) async throws {
        var order: JSONObject = ["type": .string(type.text)]
        order["from"] = since.map { .string($0.description) }
        order["to"] = until.map { .string($0.description) }
        let body = JSON(.object(order))
        let begun = try await ServiceClient.connect(to: address) { client in
            try await client.ask("/plugins/\(percentEncoded(plugin))/replays", .POST, body: body)
        }
        let number = begun["number"]?.integer ?? 0
        show(begun: begun, number)
        guard waits else { return }
        let end = try await end(of: number, at: address)
        Terminal.standardError.clearStatus()
        try show(end: end, number)
    }

    // MARK: Waiting

    /// Asks until it is over. A connection that breaks is made again: the replay goes on when the service is back.
    private func end(of number: Int64, at address: ServiceAddress) async throws -> JSONValue {
        var last: JSONValue?
        while true {
            do {
                return try await ServiceClient.connect(to: address) { client in
                    while true {
                        guard let status = try await status(number, client) else { return try await forgotten(number, client) }
                        switch status["state"]?.string {
                        case "done", "ended": return status
                        default:
                            show(progress: status, isNews: status != last)
                            last = status
                        }
                        try await Task.sleep(for: Self.interval)
                    }
                }
            } catch let error as CommandError where error.code == .unreachable {
                Terminal.standardError.show(status: "no service at \(address.text); looking again")
                try await Task.sleep(for: .milliseconds(500))
            }
        }
    }

    private func status(_ number: Int64, _ client: ServiceClient) async throws -> JSONValue? {
        do {
            return try await client.ask("/plugins/\(percentEncoded(plugin))/replays/\(number)")
        } catch let error as CommandError where error.code == .found {
            return nil
        }
    }

    /// How a replay ended that the service knows nothing of any more: it was restarted meanwhile. Dead letters are still there.
    private func forgotten(_ number: Int64, _ client: ServiceClient) async throws -> JSONValue {
        let letters = try await client.ask("/deliveries?state=dead&limit=\(Self.lettersMax)").array ?? []
        let dead = letters.count { $0["subscription"]?.string?.hasSuffix("@replay-\(number)") ?? false }
        return ["number": .integer(number), "plugin": .string(plugin), "state": "done", "dead": .integer(Int64(dead))]
    }

    // MARK: Showing

    private func show(begun: JSONValue, _ number: Int64) {
        if json { return Terminal.standardOutput.print(JSON(begun).text) }
        let names = (begun["subscriptions"]?.array ?? []).compactMap(\.string).map(printable).joined(separator: ", ")
        let events = begun["events"]?.integer ?? 0
        let terminal = Terminal.standardOutput
        terminal.print(
            "\(terminal.paint(.bold, "replay \(number)")): \(counted(events, "event")) once more for \(names), "
                + "positions \(shown(begun["first"])) to \(shown(begun["last"]))")
        terminal.print(
            terminal.paint(.dim, "it goes on without this command; DELETE /plugins/\(printable(plugin))/replays/\(number) stops it"))
    }

    private func show(progress status: JSONValue, isNews: Bool) {
        if json {
            if isNews { Terminal.standardOutput.print(JSON(status).text) }
            return
        }
        let first = status["first"]?.integer ?? 0
        let (length, way) = ((status["last"]?.integer ?? 0) - first + 1, (status["position"]?.integer ?? 0) - first + 1)
        let percent = length > 0 ? max(0, min(100, way * 100 / length)) : 100
        var line = "replay \(shown(status["number"]))  \(percent) %  \(shown(status["done"])) done"
        if let dead = status["dead"]?.integer, dead > 0 { line += ", \(dead) dead" }
        if status["state"] == "waiting" { line += "; waits for its plugin" }
        Terminal.standardError.show(status: line)
    }

    private func show(end: JSONValue, _ number: Int64) throws {
        let dead = end["dead"]?.integer ?? 0
        let reason = end["reason"]?.string
        if json {
            Terminal.standardOutput.print(JSON(end).text)
        } else {
            let terminal = Terminal.standardOutput
            let name = terminal.paint(.bold, "replay \(number)")
            let done = end["done"]?.integer.map { ": \($0) done" } ?? ""
            let letters = dead == 0 ? "" : ", \(terminal.paint(.red, "\(dead) dead")) (moonbus dead list)"
            terminal.print(reason.map { "\(name) ended early, \(printable($0))\(done)\(letters)" } ?? "\(name) is done\(done)\(letters)")
        }
        if dead > 0 || reason != nil { throw ExitCode(CommandError.Code.found.rawValue) }
    }
}
