import MoonbusPlugins
import Testing

@Suite struct PluginFolderTests {
    private let files = TemporaryFolder()
    private var folder: PluginFolder { PluginFolder(path: files.path) }

    private func plugin(_ name: String) -> PluginSource? {
        guard case .plugin(let source) = folder.read(name) else { return nil }
        return source
    }

    private func error(_ name: String) -> PluginError? {
        guard case .refused(let error) = folder.read(name) else { return nil }
        return error
    }

    @Test func `a single file is a plugin`() throws {
        files.write("return 1", to: "hello.lua")
        let source = try #require(plugin("hello"))
        #expect(source.files.map(\.path) == ["main.lua"])
        #expect(source.shownPath(of: "main.lua") == "hello.lua")
        #expect(source.text(of: "main.lua") == "return 1")
    }

    @Test func `a folder is read with its manifest and modules, and without anything else`() throws {
        files.write("return 1", to: "alerts/main.lua")
        files.write("contexts = 2", to: "alerts/plugin.toml")
        files.write("return {}", to: "alerts/lib/b.lua")
        files.write("return {}", to: "alerts/lib/deep/a.lua")
        files.write("notes", to: "alerts/lib/notes.txt")
        files.write("secret", to: "alerts/.env")
        files.write("test", to: "alerts/main_test.lua")
        let source = try #require(plugin("alerts"))
        #expect(source.files.map(\.path) == ["main.lua", "lib/b.lua", "lib/deep/a.lua"])
        #expect(source.manifest == "contexts = 2")
        #expect(source.shownPath(of: "lib/b.lua") == "alerts/lib/b.lua")
    }

    @Test func `names leave out hidden entries, tests and editors' files`() throws {
        for file in ["a.lua", "b/main.lua", ".hidden.lua", "c_test.lua", "d.lua~", "e.txt", ".luals/x.lua"] {
            files.write("return 1", to: file)
        }
        #expect(try folder.names() == ["a", "b"])
    }

    @Test func `a folder without main_lua is absent until it has a manifest`() {
        files.makeFolder("empty")
        #expect(folder.read("empty") == .absent)
        files.write("", to: "empty/plugin.toml")
        #expect(error("empty")?.message == "there is a plugin.toml, but no main.lua")
    }

    @Test func `links are refused wherever they are`() {
        files.write("return 1", to: "outside.lua")
        files.link("linked.lua", to: "outside.lua")
        files.write("return 1", to: "alerts/main.lua")
        files.makeFolder("alerts/lib")
        files.link("alerts/lib/x.lua", to: "../../outside.lua")
        files.link("folder", to: "alerts")
        for name in ["linked", "alerts", "folder"] { #expect(error(name)?.message.contains("symbolic link") == true, "\(name)") }
    }

    @Test func `a name that is none, an empty file, a file too large and a doubled name are refused`() {
        files.write("return 1", to: "Hello.lua")
        files.write(" \n", to: "empty.lua")
        files.write(String(repeating: "-", count: PluginSource.fileSizeMax + 1), to: "large.lua")
        files.write("return 1", to: "twice.lua")
        files.write("return 1", to: "twice/main.lua")
        #expect(error("Hello")?.code == .badName)
        #expect(error("empty")?.message == "the file is empty")
        #expect(error("large")?.code == .tooLarge)
        #expect(error("twice")?.code == .badName)
    }

    @Test func `a plugin may be 8 MiB large altogether`() {
        let module = String(repeating: "-", count: PluginSource.fileSizeMax)
        files.write("return 1", to: "large/main.lua")
        for number in 1...7 { files.write(module, to: "large/lib/m\(number).lua") }
        #expect(plugin("large")?.files.count == 8)
        files.write(module, to: "large/lib/m8.lua")
        #expect(error("large")?.code == .tooLarge)
    }

    @Test func `a folder that isn't there is an error with a remedy`() {
        #expect(throws: PluginError.self) { try PluginFolder(path: files.path + "/none").names() }
    }
}
