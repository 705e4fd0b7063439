import ArgumentParser

/// The command: one verb a file, in `Verbs`.
struct MoonbusCommand: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "moonbus",
        abstract: "An event runtime for plugins written in Lua.",
        discussion: """
            Start with `moonbus new hello`, then `moonbus run`, and in another terminal:
              moonbus emit hello.asked '{"name": "Ada"}' --wait

            Exit codes:
              0 done, 1 found something, 64 wrong usage, 65 bad data, 69 no service reached,
              70 internal error, 73 can't create, 74 damaged, unreadable or unwritable, 75 try later, 78 bad settings
            """,
        version: version,
        subcommands: [
            Run.self, Check.self, New.self, Emit.self, Tail.self, Replay.self, Events.self, Dead.self, Kv.self, Bench.self, Lane.self,
        ])
}

/// Ends the command with a reason on standard error and an honest exit code (sysexits.h).
struct CommandError: Error, CustomStringConvertible {
    /// What the shell is told.
    enum Code: Int32 {
        /// Something was found, e.g. an error in a plugin.
        case found = 1
        case usage = 64
        case badData = 65
        case unreachable = 69
        case `internal` = 70
        case cannotCreate = 73
        case ioError = 74
        case tryLater = 75
        case badSettings = 78
    }

    let code: Code
    /// What happened, to what, and what to do.
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    var description: String { message }

    /// Says it on standard error.
    ///
    /// - Parameter json: as a JSON line: `{"error":{"code":73,"message":…}}`.
    func show(json: Bool) {
        let terminal = Terminal.standardError
        if json {
            terminal.print(JSONLine { $0.object("error") { $0.number("code", Int(code.rawValue)).text("message", message) } }.text)
        } else {
            terminal.print("\(terminal.paint(.red, "moonbus:")) \(message)")
        }
    }
}

extension AsyncParsableCommand {
    /// Runs a verb's work and turns its ``CommandError`` into a message and an exit code.
    ///
    /// - Parameter json: as for ``CommandError/show(json:)``.
    func reporting(json: Bool = false, _ work: () async throws -> Void) async throws {
        do {
            try await work()
        } catch let error as CommandError {
            error.show(json: json)
            throw ExitCode(error.code.rawValue)
        }
    }
}
