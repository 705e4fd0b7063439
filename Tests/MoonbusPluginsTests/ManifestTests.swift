import Glibc
import MoonbusEvents
import MoonbusPlugins
import Testing

@Suite struct ManifestTests {
    private func parse(_ text: String, plugin: String = "alerts") throws(PluginError) -> Manifest {
        try Manifest.parse(text, plugin: plugin, file: "alerts/plugin.toml")
    }

    private func failure(_ text: String) -> PluginError? {
        do {
            _ = try parse(text)
            return nil
        } catch { return error }
    }

    @Test func `an empty manifest has the default limits and permits what needs no permission`() throws {
        let manifest = try parse("")
        #expect(manifest == Manifest())
        #expect(manifest.contexts == 1)
        #expect(manifest.limits.memoryBytes == 64 << 20)
        #expect(manifest.limits.cpu == .seconds(1))
        #expect(manifest.limits.wait == .seconds(30))
        #expect(manifest.permissions.permitsEmitting(try EventType("orders.created")))
        #expect(!manifest.permissions.permitsEmitting(try EventType("moonbus.plugin.failed")))
        #expect(manifest.permissions.permitsSubscribing(to: try EventPattern(">")))
    }

    @Test func `keys and values that are nested too deep are refused, whatever way`() throws {
        let deep = Array(repeating: "a", count: 8_000).joined(separator: ".")
        for text in ["[config]\n\(deep) = 1", "[config.\(deep)]", "x = 1\n[config]\nb = { \(deep) = 1 }", "[[config.\(deep)]]"] {
            let error = failure(text)
            #expect(error?.message == "a key is nested more than 64 deep", "\(String(describing: error))")
            #expect(error?.line == text.split(separator: "\n").count)
        }
        let part = Array(repeating: "a", count: 60).joined(separator: ".")
        for text in [
            "config = { \(part) = { \(part) = 1 } }", "config = { x = \"\"\"a\"\"\"\", \(deep) = 1 }",
            "config = { x = [[{ \(part) = { b.c.d.e.f = 1 } }]] }",
        ] {
            #expect(failure(text)?.message == "a key is nested more than 64 deep", "\(text.prefix(40))")
        }
        // Header and key each are within the bound, and their sum is not.
        #expect(failure("[config.\(part)]\n\(part) = 1")?.message.contains("is nested more than 64 deep") == true)
        let arrays = failure("[config]\na = " + String(repeating: "[", count: 100) + String(repeating: "]", count: 100))
        #expect(arrays?.message.contains("nested more than 64 deep") == true)
        // Dots that are no nesting.
        let dots = String(repeating: ".", count: 200)
        let plain = try parse(
            "[config] # \(dots)\na = \"\(dots)\\\"\(dots)\"\nb = '\(dots)'\nc = \"\"\"\n\(dots)\n\"\"\"\nd = [\(Array(repeating: "1.5", count: 200).joined(separator: ", "))]"
        )
        #expect(plain.config.value(at: ["b"])?.string == dots)
    }

    @Test func `every key of a full manifest arrives`() throws {
        let manifest = try parse(
            """
            name = "alerts"
            contexts = 3
            [limits]
            memory = "16MB"
            cpu = "200ms"
            wait = 5
            state = "2GiB"
            [permissions]
            emit = ["climate.>"]
            subscribe = ["temperature.*"]
            sources = ["urn:till:*", "/door"]
            [config]
            threshold = 40.5
            names = ["a", "b"]
            """)
        #expect(manifest.contexts == 3)
        #expect(manifest.limits.memoryBytes == 16 << 20)
        #expect(manifest.limits.cpu == .milliseconds(200))
        #expect(manifest.limits.wait == .seconds(5))
        #expect(manifest.limits.stateBytes == 2 << 30)
        #expect(manifest.permissions.permitsEmitting(try EventType("climate.alarm")))
        #expect(!manifest.permissions.permitsEmitting(try EventType("orders.created")))
        #expect(manifest.limits.boundsCPU && manifest.limits.boundsWait)
        #expect(manifest.permissions.permitsSource("urn:till:7") && manifest.permissions.permitsSource("/door"))
        #expect(!manifest.permissions.permitsSource("urn:tills") && !manifest.permissions.permitsSource("/doors"))
        #expect(manifest.config.text == #"{"names":["a","b"],"threshold":40.5}"#)
    }

    @Test(
        arguments: [
            // text, line, column, a part of the message, a part of the hint
            ("contexts = ", 1, 12, "", ""),
            ("name = \"alerts\"\nlimit = 1\n", 2, 1, "unknown key 'limit'", "did you mean 'limits'?"),
            ("[limits]\nmemmory = \"1MB\"\n", 2, 1, "unknown key 'memmory' in [limits]", "did you mean 'memory'?"),
            ("[limits]\n  memory = true\n", 2, 3, "limits.memory must be an amount of bytes such as \"64MB\", not a bool", ""),
            ("[limits]\nmemory = \"12 parsecs\"\n", 2, 1, "'12 parsecs' is not an amount of bytes", "64MB"),
            ("[limits]\nmemory = \"1KB\"\n", 2, 1, "memory must be 1MB…4GB", ""),
            ("[limits]\nstate = \"1KB\"\n", 2, 1, "state must be 1MB…1TB", ""),
            ("[limits]\ncpu = \"soon\"\n", 2, 1, "cpu", "durations look like"),
            ("[limits]\ncpu = \"0ms\"\n", 2, 1, "cpu must be 1ms…60s", ""),
            ("limits = 3", 1, 1, "limits must be a table, not an integer", ""),
            ("contexts = \"two\"", 1, 1, "contexts must be an integer, not a string", ""),
            ("contexts = 0", 1, 1, "contexts is 0, it must be 1…64", ""),
            ("[permissions]\nemit = \"a.b\"\n", 2, 1, "permissions.emit must be a list of patterns", ""),
            ("[permissions]\n\nsubscribe = [\"a..b\"]\n", 3, 1, "a..b", ""),
            ("[permissions]\nemit = [\"moonbus.plugin\"]\n", 2, 1, "types below 'moonbus.' are the host's own", ""),
            ("[permissions]\nsources = \"/shop\"\n", 2, 1, "permissions.sources must be a list of sources", ""),
            ("[permissions]\nsources = [\"a*b\"]\n", 2, 1, "'a*b': a '*' stands at the end of a source only", "urn:shop:*"),
            ("[permissions]\nsources = [\"\"]\n", 2, 1, "source is empty", ""),
            ("[permissions]\nsources = [\"a\\nb\"]\n", 2, 1, "source holds a control character", ""),
            ("permissions.emitt = []", 1, 1, "unknown key 'emitt' in [permissions]", "did you mean 'emit'?"),
            ("name = \"other\"", 1, 1, "the manifest names 'other'", "called what its folder is called"),
            ("[config]\nx = nan\n", 2, 1, "config.x is not a finite number", ""),
            ("a = 1\na = 2\n", 2, 5, "", ""),
        ] as [(String, Int, Int, String, String)])
    func `a mistake is named with line, column, excerpt and remedy`(_ text: String, line: Int, column: Int, message: String, hint: String)
        throws
    {
        let error = try #require(failure(text))
        #expect(error.code == .badManifest)
        #expect(error.file == "alerts/plugin.toml")
        #expect(error.line == line)
        #expect(error.column == column)
        #expect(message.isEmpty || error.message.contains(message), "\(error.message)")
        #expect(hint.isEmpty || error.hint?.contains(hint) == true, "\(error.hint ?? "no hint")")
        #expect(error.excerpt?.line == line)
    }

    @Test(arguments: [
        ("orders.>", "orders.eu", true), ("orders.>", "orders.*", true), ("orders.>", "orders.eu.>", true), ("orders.>", "orders", false),
        ("orders.*", "orders.eu", true), ("orders.*", "orders.>", false), ("orders.*", "orders.*", true), ("orders.eu", "orders.*", false),
        (">", "a.b.c", true), (">", ">", true), ("*", ">", false), ("a.*.c", "a.b.c", true), ("a.*.c", "a.b", false),
    ])
    func `a permitted pattern covers what lies within it only`(permitted: String, asked: String, isCovered: Bool) throws {
        var permissions = Manifest.Permissions()
        permissions.subscribe = [try EventPattern(permitted)]
        #expect(permissions.permitsSubscribing(to: try EventPattern(asked)) == isCovered)
    }
}
