import MoonbusPlugins
import Testing

@Suite(.timeLimit(.minutes(1))) struct CheckTests {
    private let files = TemporaryFolder()

    @Test func `a check finds what is wrong in any file and runs nothing`() async throws {
        files.write("bus.subscribe('a', function() end)\nbus.every('1s', function() end)", to: "good.lua")
        files.write("bus.subscribe('a', function( end)", to: "syntax.lua")
        files.write("return 1", to: "module/main.lua")
        files.write("local x = = 1", to: "module/lib/unused.lua")
        files.write("return 1", to: "manifest/main.lua")
        files.write("[limits]\nmemroy = 1\n", to: "manifest/plugin.toml")
        files.write("return 1", to: "Bad Name.lua")
        let path = files.path
        try await Rig.run { rig in
            let checks = try await rig.host.check(folder: path)
            #expect(checks.map(\.name) == ["Bad Name", "good", "manifest", "module", "syntax"])
            #expect(checks.map(\.error?.code) == [.badName, nil, .badManifest, .syntax, .syntax])
            #expect(checks[1].declarationCount == 2)
            #expect(checks[3].error?.file == "module/lib/unused.lua")
            #expect(checks[4].error?.line == 1)
            #expect(await rig.host.plugins().isEmpty)
            #expect(try await rig.host.check(folder: path, names: ["good"]).count == 1)
            await #expect(throws: PluginError.self) { try await rig.host.check(folder: path, names: ["nobody"]) }
        }
    }

    @Test func `a folder that is called like a file is no plugin, and that is said`() async throws {
        files.write("return 1", to: "evil.lua/main.lua")
        try await Rig.run(files: files) { rig in
            let error = try #require(await rig.status("evil.lua")?.error)
            #expect(error.message == "'evil.lua' is a folder, but has the name of a file")
            #expect(error.hint?.hasPrefix("call it 'evil'") == true)
        }
    }
}
