import Glibc
import Testing

@testable import MoonbusPlugins

/// Measured in a process of its own (scripts/test): beside other tests, the memory would be theirs.
@Suite struct ManifestMemoryTests {
    // TOMLKit frees no document: these would stay as some 180 MB. An unknown key ends the reading early, so that it is quick.
    @Test func `reading manifests again and again leaves next to nothing behind`() throws {
        let text = "numbers = [\((0..<30_000).map { "\($0 % 10)" }.joined(separator: ","))]"
        let before = try residentSize()
        for _ in 0..<60 { #expect(throws: PluginError.self) { try Manifest.parse(text, plugin: "alerts", file: "alerts/plugin.toml") } }
        let left = try residentSize() - before
        #expect(left < 100 << 20, "\(left >> 10) KiB stay of 60 manifests")
    }

    private func residentSize() throws -> Int {
        let file = try #require(fopen("/proc/self/statm", "r"))
        defer { fclose(file) }
        var line = [UInt8](repeating: 0, count: 128)
        let size = fread(&line, 1, line.count, file)
        let fields = String(decoding: line[..<size], as: UTF8.self).split(separator: " ")
        return try #require(Int(fields[1])) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
