import Glibc
import MoonbusEvents
import MoonbusPlugins

/// A limit as lists take it.
///
/// - Throws: ``CommandError`` 64.
func checked(limit: Int) throws -> Int {
    guard (1...10_000).contains(limit) else { throw CommandError(.usage, "--limit is a number from 1 to 10000") }
    return limit
}

/// The name of a plugin, as plugins may be called.
///
/// - Throws: ``CommandError`` 64.
@discardableResult
func checked(plugin: String) throws -> String {
    // Handlers in Swift keep state, too, under the name of their subscription.
    guard (1...255).contains(plugin.utf8.count), !plugin.utf8.contains(where: { $0 < 0x21 || $0 == 0x7F }) else {
        throw CommandError(
            .usage, "'\(printable(plugin))' is no plugin: their names have 1 to 255 bytes, without spaces and control characters")
    }
    return plugin
}

/// The longest key of a plugin's store, in bytes; what lanes and the service take.
private let keySizeMax = 512

/// A key of a plugin's store.
///
/// - Throws: ``CommandError`` 64.
@discardableResult
func checked(key: String) throws -> String {
    guard (1...keySizeMax).contains(key.utf8.count) else {
        throw CommandError(.usage, "a key has 1 to \(keySizeMax) bytes, this one has \(key.utf8.count)")
    }
    return key
}

/// Reads the JSON in a file: `FILE`, `@FILE`, or `-` for standard input.
///
/// - Throws: ``CommandError`` 65 when it is not JSON.
func jsonFile(_ name: String) throws -> JSON {
    let reader = try ByteReader(path: name.hasPrefix("@") ? String(name.dropFirst()) : name)
    return try parsed(try reader.rest(limit: 1 << 20), reader.name)
}

/// - Throws: ``CommandError`` 65 when the bytes are not JSON.
func parsed(_ bytes: [UInt8], _ name: String) throws -> JSON {
    do throws(EventError) {
        return try JSON(validating: bytes)
    } catch {
        throw CommandError(.badData, "\(name) is not JSON: \(error.message)")
    }
}

/// Asks a person whether to do what can't be undone; where there is none, it has to be said on the command line.
///
/// - Throws: ``CommandError`` 64 without an answer, 1 when it is no.
func confirm(_ what: String, isGiven: Bool) throws {
    if isGiven { return }
    guard isatty(STDIN_FILENO) == 1, Terminal.standardError.isInteractive else {
        throw CommandError(.usage, "nobody is here to be asked whether to \(what): say --yes")
    }
    Terminal.standardError.print("\(what)? This can't be undone. [y/N]")
    guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else { throw CommandError(.found, "nothing was changed") }
}

/// A text or a number of an answer as a person reads it; nothing for what is not there.
func shown(_ value: JSONValue?) -> String {
    switch value {
    case nil, .null?: ""
    case .string(let text)?: printable(text)
    case .some(let value): printable(JSON(value).text)
    }
}

extension ClientOptions {
    /// Says what has happened: the service's own answer for a program, words for a person.
    func tell(_ answer: JSONValue, _ words: String) {
        Terminal.standardOutput.print(json ? JSON(answer).text : words)
    }
}
