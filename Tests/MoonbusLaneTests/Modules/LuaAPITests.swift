import MoonbusEvents
import Testing

@testable import MoonbusLane

@Suite struct LuaAPITests {
    @Test func `what is suggested is what scripts have`() throws {
        let host = try TestHost()
        let names = LuaAPI.members.flatMap { table, members in members.map { "\(table).\($0)" } }.sorted()
        let main =
            "local there = { \(names.map { "[\"\($0)\"] = \($0) ~= nil" }.joined(separator: ", ")) }\n"
            + "for name, is in pairs(there) do assert(is, name) end"
        try host.load(main)
        let ours = Modules.functions.map { "\(String(cString: $0.table.pointer)).\(String(cString: $0.name.pointer))" }
        #expect(Set(ours).subtracting(names).subtracting([".print"]) == [], "the list of names lacks them")
    }

    @Test(
        arguments: [
            ("attempt to call a nil value (field 'subscrbe')", "bus.subscrbe('a', print)", "did you mean bus.subscribe?"),
            ("attempt to call a nil value (field 'slep')", "  local x = time.slep(1)", "did you mean time.sleep?"),
            ("attempt to call a nil value (field 'set')", "log.set(1)", "log has debug, error, info, warn"),
            ("attempt to index a nil value (global 'bsu')", "bsu.emit('a')", "did you mean bus?"),
            ("attempt to call a nil value (field 'gett')", "shop.gett() kv.gett()", nil),
            ("attempt to call a nil value (field 'gett')", "kv.getter() kv.gett()", "did you mean kv.get?"),
            ("attempt to call a nil value (field 'gett')", "prices.gett('a')", nil),
            ("attempt to call a nil value (field 'gett')", "x(", nil),
            ("attempt to call a nil value (local 'gett')", "gett('a')", nil),
            ("attempt to index a nil value (global 'prices')", "prices.a = 1", nil),
            ("no such thing", "bus.subscrbe('a', print)", nil),
        ] as [(String, String, String?)])
    func `a misspelt name gets a hint where the line says which table was meant`(message: String, line: String, hint: String?) {
        #expect(LuaAPI.hint(for: message, raisedBy: line) == hint)
    }
}
