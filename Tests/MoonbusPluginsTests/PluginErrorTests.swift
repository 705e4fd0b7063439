import MoonbusPlugins
import Testing

@Suite struct PluginErrorTests {
    private let source = "local a = 1\nlocal b = 2\nlocal score = model(ev\n  baz)\nreturn score\nend\n"

    @Test func `an error shows its line between two neighbours, with a marker and a caret under the culprit`() {
        let error = PluginError(
            .syntax, plugin: "fraud", file: "fraud/main.lua", line: 4, message: "')' expected near 'baz'", source: source,
            hint: "the version before keeps running")
        #expect(
            error.render(color: false) == """
                fraud/main.lua:4:3: ')' expected near 'baz'  syntax
                    2 │ local b = 2
                    3 │ local score = model(ev
                  > 4 │   baz)
                      │   ^
                    5 │ return score
                    6 │ end
                  hint: the version before keeps running
                """)
    }

    @Test func `the first and the last line have neighbours on one side only`() throws {
        let first = try #require(PluginError(.raised, plugin: "a", file: "a.lua", line: 1, message: "no", source: "x\ny\n").excerpt)
        #expect(first.firstLine == 1)
        #expect(first.lines == ["x", "y"])
        let last = try #require(PluginError(.raised, plugin: "a", file: "a.lua", line: 2, message: "no", source: "x\ny\n").excerpt)
        #expect(last.lines == ["x", "y"])
    }

    @Test func `a line that the source doesn't have leaves the excerpt out`() {
        #expect(PluginError(.raised, plugin: "a", file: "a.lua", line: 9, message: "no", source: "x\n").excerpt == nil)
        #expect(PluginError(.raised, plugin: "a", file: "a.lua", line: 0, message: "no", source: "x\n").excerpt == nil)
    }

    @Test func `a plugin's text can't send control sequences to the terminal`() {
        let error = PluginError(.raised, plugin: "a", file: "a.lua", line: 1, message: "\u{1B}[2Jgone", source: "x = '\u{1B}]0;t\u{07}'\n")
        #expect(!error.render(color: false).contains("\u{1B}"))
    }

    @Test func `colours are there only when asked for`() {
        let error = PluginError(.raised, plugin: "a", file: "a.lua", line: 1, message: "no", source: "x\n")
        #expect(error.render(color: true).contains("\u{1B}[31m"))
        #expect(!error.render(color: false).contains("\u{1B}"))
    }

    @Test func `an error without a place names the plugin`() {
        #expect(PluginError(.laneDied, plugin: "fraud", message: "its lane died").description == "fraud: its lane died")
    }
}
