import Foundation
import MoonbusEvents
import Testing

@Suite struct CheckTests {
    @Test func `good plugins are named and the status is 0`() async throws {
        let scratch = try Scratch()
        try scratch.write(#"bus.subscribe("a", function(event) end)"#, to: "plugins/one.lua")
        try scratch.write(#"bus.subscribe("b", function(event) end)"#, to: "plugins/two/main.lua")
        let outcome = try await Executable.run(["check"], in: scratch.url)
        #expect(outcome.status == 0)
        #expect(outcome.output.contains("one") && outcome.output.contains("two"))
    }

    @Test func `a syntax error is shown with its place and the line, and the status is 1`() async throws {
        let scratch = try Scratch()
        try scratch.write("local score = model(ev\n    baz)\n", to: "plugins/fraud.lua")
        let outcome = try await Executable.run(["check", "plugins"], in: scratch.url)
        #expect(outcome.status == 1)
        #expect(outcome.output.contains("fraud.lua:2"))
        #expect(outcome.output.contains("baz)"))
        let json = try await Executable.run(["check", "--json", "plugins/fraud.lua"], in: scratch.url)
        #expect(json.status == 1)
        let line = try JSON(try #require(json.lines.first))
        #expect(line.value(at: ["ok"]) == false)
        #expect(line.value(at: ["error", "line"]) == 2)
    }

    @Test func `a broken manifest is shown with its place`() async throws {
        let scratch = try Scratch()
        try scratch.write(#"bus.subscribe("a", function(event) end)"#, to: "plugins/alerts/main.lua")
        try scratch.write("[limits]\nmemroy = \"16MB\"\n", to: "plugins/alerts/plugin.toml")
        let outcome = try await Executable.run(["check", "plugins/alerts"], in: scratch.url)
        #expect(outcome.status == 1)
        #expect(outcome.output.contains("plugin.toml:2"))
        #expect(outcome.output.contains("memory"))
    }

    @Test func `one bad plugin does not keep the others from being checked`() async throws {
        let scratch = try Scratch()
        try scratch.write("while true do end", to: "plugins/endless.lua")
        try scratch.write(#"bus.subscribe("a", function(event) end)"#, to: "plugins/good.lua")
        let outcome = try await Executable.run(["check", "--json"], in: scratch.url)
        #expect(outcome.status == 1)
        var verdicts: [String: Bool] = [:]
        for line in outcome.lines {
            let line = try JSON(line)
            verdicts[line.value(at: ["plugin"])?.string ?? ""] = line.value(at: ["ok"])?.boolean
        }
        #expect(verdicts == ["endless": false, "good": true])
    }
}
