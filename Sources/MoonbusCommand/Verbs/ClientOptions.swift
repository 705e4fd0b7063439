import ArgumentParser

/// What the verbs that talk to a running service have in common.
struct ClientOptions: ParsableArguments {
    @Option(help: "The service's address; MOONBUS_URL.")
    var url: String?

    @Flag(help: "Print JSON, one value a line.")
    var json = false

    /// - Throws: ``CommandError`` 64.
    func address() throws -> ServiceAddress { try ServiceAddress(url ?? environment("MOONBUS_URL") ?? "http://127.0.0.1:7070") }
}
