import Foundation
import Testing

@testable import MoonbusCommand

@Suite struct SettingsTests {
    @Test func `a flag wins over the environment, that over the file, that over the default`() throws {
        var (file, variables, flags) = (Settings.Layer(), Settings.Layer(), Settings.Layer())
        file.set("http.port", "1", origin: "moonbus.toml:1")
        file.set("lanes", "1", origin: "moonbus.toml:2")
        file.set("plugins", "there", origin: "moonbus.toml:3")
        variables.set("http.port", "2", origin: "MOONBUS_HTTP_PORT")
        variables.set("lanes", "2", origin: "MOONBUS_LANES")
        flags.set("http.port", "3", origin: "--port")
        let settings = try Settings([file, variables, flags])
        #expect(settings.port == 3)
        #expect(settings.lanes == 2)
        #expect(settings.plugins == "there")
        #expect(settings.host == "127.0.0.1")
    }

    @Test func `a key's variable is its name in capitals`() {
        #expect(Settings.variable("log.level") == "MOONBUS_LOG_LEVEL")
    }

    @Test(arguments: ["http.port = 7070", "[http]\nport = 7070\nhosts = [\"a\", \"b\"]\nwait = \"2s\"", ""])
    func `a settings file is understood`(text: String) throws {
        _ = try Settings([try layer(text)])
    }

    @Test(arguments: [
        ("[http]\nprot = 1", ":2: http.prot is not a setting; did you mean \"http.port\"?"), ("\nlanes = true", ":2: lanes"),
        ("port = 1", ":1: port is not a setting; did you mean \"http.port\"?"), ("lanes = 0", "number from 1 to 64"), ("lanes = ", ":1"),
        ("isolation = \"jail\"", "'process' or 'thread'"),
        ("[http]\nwait = \"61s\"", ":2: http.wait: '61s' is not a duration from 0s to 60s, like 2s"),
    ])
    func `a settings file that can't be is refused with the place and the remedy`(text: String, complaint: String) throws {
        let error = #expect(throws: CommandError.self) { try Settings([try layer(text)]) }
        #expect(error?.code == .badSettings)
        #expect(error?.message.contains(complaint) == true)
    }

    private func layer(_ text: String) throws -> Settings.Layer {
        let scratch = try Scratch()
        try scratch.write(text, to: "moonbus.toml")
        return try Settings.fileLayer(path: scratch.url.appending(path: "moonbus.toml").path, isOptional: false)
    }
}
