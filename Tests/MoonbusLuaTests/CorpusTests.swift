import CLuaShim
import Glibc
import MoonbusLua
import Testing

/// Runs the shared corpus of hostile scripts where it lies at hand (`MOONBUS_CORPUS`): it is not part of this repository.
@Suite(.serialized, .enabled(if: Corpus.isThere, "no corpus of hostile scripts on this machine"))
struct CorpusTests {
    @Test(arguments: Corpus.scripts)
    func `a hostile script comes to one of the outcomes that are allowed for it`(script: Corpus.Script) throws {
        let seen = try onLane { lane in
            let witness = try Script(on: lane, "local upper = string.upper host.on(function() return upper('abc') .. ('x'):rep(3) end)")
            let seen = try run(script, on: lane)
            #expect(witness.send()?.text == #""ABCxxx""#)
            return seen
        }
        #expect(!seen.isDisjoint(with: script.allowed), "\(script.name): saw \(seen), allowed \(script.allowed)")
    }

    /// What happened, in the corpus's words.
    private func run(_ hostile: Corpus.Script, on lane: LuaLane) throws -> Set<String> {
        let limits = LuaLimits.quick(cpu: .milliseconds(700), grace: .milliseconds(50), memory: 64 << 20)
        let script: Script
        do {
            script = try Script(on: lane, limits: limits, Corpus.prelude + hostile.source)
        } catch let fault as LuaFault {
            return words(for: fault.status)
        }
        var seen: Set<String> = []
        let handlers = script.notes.count { $0 == "handler" }
        for _ in 0..<(hostile.isRepeated ? 500 : 1) {
            for handler in 0..<handlers where !script.context.usage.dead {
                guard let outcome = script.deliver([Corpus.event], to: handler) else { continue }
                seen.formUnion(words(for: outcome.status))
                #expect(!String(decoding: outcome.effects, as: UTF8.self).contains(text: #""escaped":true"#), "\(hostile.name)")
            }
        }
        return seen.isEmpty ? ["ok-isolated", "blocked"] : seen
    }

    private func words(for status: LuaStatus) -> Set<String> {
        switch status {
        case .done: ["ok-isolated", "blocked"]
        case .memory: ["memory"]
        case .timeout, .killed: ["timeout"]
        default: ["error", "blocked"]
        }
    }
}

enum Corpus {
    struct Script: Sendable, CustomTestStringConvertible {
        let name, source: String
        let allowed: Set<String>
        let isRepeated: Bool
        var testDescription: String { name }
    }

    static let folder = getenv("MOONBUS_CORPUS").map { String(cString: $0) } ?? "/work/shared/corpus/hostile"
    static var isThere: Bool { !scripts.isEmpty }

    static let scripts: [Script] = names(in: folder).filter { $0.hasPrefix("s") && $0.hasSuffix(".lua") }.sorted().map { name in
        let source = text(of: folder + "/" + name)
        let allowed = header("expect", of: source).split(separator: "|").map(String.init)
        return Script(name: name, source: source, allowed: Set(allowed), isRepeated: header("trigger", of: source) == "every-event")
    }

    private static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            )
        }
        return names
    }

    private static func text(of path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 16) { $1 = fread($0.baseAddress, 1, $0.count, file) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func header(_ name: String, of source: String) -> String {
        let start = "-- \(name): "
        return source.split(separator: "\n").first { $0.hasPrefix(start) }.map { String($0.dropFirst(start.count)) } ?? ""
    }

    /// The corpus reads `event.name`: an extension attribute here.
    static let event = {
        var event = EventRecord(type: "hostile.go", data: #"{"value":"original","nested":{"list":["first"]}}"#)
        event.extensions = #"{"name":"hostile.go"}"#
        return event
    }()

    /// The names that the corpus assumes, on one line so that line numbers stay.
    static let prelude = """
        do local on, note, emit = host.on, host.note, bus.emit \
        bus = setmetatable({}, {__index = bus}) \
        bus.on = function(pattern, fn) if type(fn) ~= 'function' then error('handler must be a function', 2) end on(fn) note('handler') return fn end \
        bus.after = function() end bus.every = bus.after bus.request = function() error('no reply', 2) end bus.off = function() end log = note end 
        """
}
