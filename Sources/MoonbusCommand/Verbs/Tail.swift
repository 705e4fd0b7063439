import ArgumentParser
import MoonbusEvents
import NIOCore
import NIOHTTP1

/// `moonbus tail`: events as they are recorded.
struct Tail: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watch events as they come.",
        discussion: """
            Shows what is recorded from now on; a service that restarts is found again.
              moonbus tail 'orders.*'           moonbus tail --json | jq .data
            """)

    @Argument(help: "Types to show: * is one token, > the rest.")
    var pattern = ">"

    @Option(help: "End after this many events.")
    var count: Int?

    @OptionGroup var client: ClientOptions

    func run() async throws {
        try await reporting(json: client.json) {
            let address = try client.address()
            do throws(EventError) { _ = try EventPattern(pattern) } catch { throw CommandError(.usage, error.message) }
            if let count, count < 1 { throw CommandError(.usage, "--count is 1 or more") }
            try await watch(address)
        }
    }

    /// Shows events until there were enough. A connection that breaks is made again; the first one must succeed.
    private func watch(_ address: ServiceAddress) async throws {
        let terminal = Terminal.standardError
        var left = count ?? .max
        var wasConnected = false
        while left > 0 {
            do {
                try await ServiceClient.connect(to: address) { connection in
                    let target = "/events/stream?type=\(percentEncoded(pattern))"
                    let head = try await connection.begin(.GET, target, contentType: nil, body: ByteBuffer())
                    guard head.status == .ok else {
                        var answer = ServiceClient.Answer(status: Int(head.status.code), headers: head.headers, body: ByteBuffer())
                        while let part = try await connection.nextPart() { answer.body.writeImmutableBuffer(part) }
                        throw ProblemAnswer(answer).error
                    }
                    if wasConnected || terminal.isInteractive {
                        terminal.print(terminal.paint(.dim, "watching \(pattern) at \(address.text)"))
                    }
                    wasConnected = true
                    var items = ServerSentEvents()
                    while left > 0, let part = try await connection.nextPart() {
                        for item in items.take(part) where left > 0 {
                            if show(item) { left -= 1 }
                        }
                    }
                }
            } catch let error as CommandError where error.code == .unreachable && wasConnected {
                terminal.show(status: "no service at \(address.text); looking again")
                try await Task.sleep(for: .milliseconds(500))
                terminal.clearStatus()
            }
        }
    }

    /// - Returns: whether it was an event.
    private func show(_ item: ServerSentEvents.Item) -> Bool {
        let terminal = Terminal.standardOutput
        guard item.name == "message" else {
            if item.name == "skipped" {
                let count = (try? JSON(item.data).value(at: ["count"])?.integer) ?? 0
                Terminal.standardError.print(terminal.paint(.yellow, "(\(counted(count, "event")) skipped: this terminal is too slow)"))
            }
            return false
        }
        if client.json {
            terminal.print(item.data)
            return true
        }
        guard let event = try? JSON(item.data) else { return false }
        func text(_ name: String) -> String { printable(event.value(at: [name])?.string ?? "") }
        let clock = text("time").split(separator: "T").last.map { String($0.prefix(12)) } ?? ""
        let mark = item.comments.contains("ephemeral") ? " \(terminal.paint(.yellow, "(ephemeral)"))" : ""
        let data = event.value(at: ["data"]).map { printable(JSON($0).text) } ?? ""
        let subject = text("subject").isEmpty ? "" : " \(text("subject"))"
        terminal.print(
            "\(terminal.paint(.dim, clock)) \(terminal.paint(.bold, text("type")))\(mark)\(subject) \(data) \(terminal.paint(.dim, "\(text("source")) \(text("id"))"))"
        )
        return true
    }
}

/// A text as the value of a query parameter.
func percentEncoded(_ text: String) -> String {
    var encoded = ""
    for byte in text.utf8 {
        let isPlain = (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "-._~".utf8.contains(byte)
        if isPlain {
            encoded.unicodeScalars.append(Unicode.Scalar(byte))
        } else {
            encoded += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
    }
    return encoded
}
