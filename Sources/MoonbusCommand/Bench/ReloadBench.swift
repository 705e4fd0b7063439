import Glibc
import MoonbusDispatch
import MoonbusEvents

/// From a saved file to the first event that runs the new code.
enum ReloadBench {
    static func run(_ kind: BenchHost.LaneKind, saves: Int) async throws -> Measurement {
        var template = Array("/tmp/moonbus-bench-XXXXXX\0".utf8).map { CChar(bitPattern: $0) }
        guard mkdtemp(&template) != nil else { throw CommandError(.cannotCreate, "no folder under /tmp: \(systemReason())") }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            unlink("\(folder)/bench.lua")
            rmdir(folder)
        }
        try save(0, in: folder)
        return try await BenchHost.run(kind, folder: folder) { host in
            var times: [Double] = []
            let clock = ContinuousClock()
            let start = clock.now
            for version in 1...saves {
                try save(version, in: folder)
                let saved = clock.now
                while try await answer(host) != version {
                    guard clock.now - saved < .seconds(10) else {
                        throw CommandError(.internal, "version \(version) was not live after 10 s")
                    }
                }
                times.append((clock.now - saved) / .milliseconds(1))
            }
            times.sort()
            return Measurement(
                name: "reload, \(kind.text)", operations: saves, wall: (clock.now - start) / .seconds(1), cpu: nil,
                extra: [("p50_ms", times[times.count / 2]), ("max_ms", times[times.count - 1])])
        }
    }

    /// Writes the plugin as an editor does: aside, then renamed.
    private static func save(_ version: Int, in folder: String) throws {
        let aside = "\(folder)/.bench.lua.new"
        let text = "bus.subscribe(\"bench.ask\", { name = \"ask\" }, function() return \(version) end)\n"
        let file = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw CommandError(.cannotCreate, "\(aside) can't be made: \(systemReason())") }
        let bytes = Array(text.utf8)
        let count = write(file, bytes, bytes.count)
        close(file)
        guard count == bytes.count, rename(aside, "\(folder)/bench.lua") == 0 else {
            throw CommandError(.cannotCreate, "\(folder)/bench.lua can't be written: \(systemReason())")
        }
    }

    private static func answer(_ host: BenchHost) async throws -> Int {
        let receipt = try await host.bus.emit(Event(type: EventType("bench.ask")), until: .settled)
        return Int(receipt.results.first?.result?.value.integer ?? -1)
    }
}
