import MoonbusEvents
import Testing

@Suite struct EventTypeTests {
    @Test(arguments: [
        "a", "orders.eu.created", "foo*", "foo**", "foo.**", "foo*bar", "foo.*bar", "*bar", "foo>", "foo>>", "foo.>>", "foo.>bar", ">bar",
        "größe.ändern", "a-b_c:d/e.f", String(repeating: "x", count: 255),
    ])
    func `a dotted name of non-empty tokens is a type`(text: String) throws {
        #expect(try EventType(text).text == text)
    }

    @Test(arguments: [
        ("", "empty"), (".", "empty token at byte 0"), (".foo", "empty token at byte 0"), ("foo.", "empty token at byte 4"),
        ("foo..bar", "empty token at byte 4"), ("*", "wildcard * at byte 0"), ("foo.*", "wildcard * at byte 4"),
        ("foo.*.bar", "wildcard * at byte 4"),
        (">", "wildcard > at byte 0"), ("foo.>", "wildcard > at byte 4"), ("foo bar", "a space at byte 3"),
        ("foo\tbar", "control character at byte 3"),
        ("foo\u{0}", "control character at byte 3"), ("foo\u{7F}", "control character at byte 3"),
        ("foo\u{9B}31m", "control character at byte 3"),
        (String(repeating: "x", count: 256), "256 bytes"), (String(repeating: "ä", count: 128), "256 bytes"),
    ])
    func `anything else is refused with the rule and the byte`(text: String, reason: String) throws {
        let error = try #require(refusal { () throws(EventError) in _ = try EventType(text) })
        #expect(error.code == .badType)
        #expect(error.message.contains(reason), "\(error)")
    }

    @Test func `types are compared by their bytes`() throws {
        #expect(try EventType("\u{E9}") != EventType("e\u{301}"))
        #expect(try EventType("a.b") == EventType("a.b"))
    }

    @Test func `an error quotes control characters harmlessly`() throws {
        let error = try #require(refusal { () throws(EventError) in _ = try EventType("a\u{1B}[31m") })
        #expect(!error.message.unicodeScalars.contains("\u{1B}"))
    }
}
