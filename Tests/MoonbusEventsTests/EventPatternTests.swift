import MoonbusEvents
import Testing

// The pairs follow the cases of nats-server's sublist tests: what a subscription gets and what it does not.
@Suite struct EventPatternTests {
    @Test(arguments: [
        ("foo", "foo"), ("*", "foo"), (">", "foo"), (">", "foo.bar"), ("foo.>", "foo.bar"), ("foo.>", "foo.bar.baz"),
        ("stats.>", "stats.test.22"),
        ("stats.*.*", "stats.test.22"), ("stats.test.foos", "stats.test.foos"), ("*bar", "*bar"), ("foo*", "foo*"), ("foo*bar", "foo*bar"),
        ("foo.***.bar", "foo.***.bar"), (">bar", ">bar"), ("foo>", "foo>"), ("foo>bar", "foo>bar"), ("foo.>>>.bar", "foo.>>>.bar"),
        ("foo.>>", "foo.>>"),
        ("*.*", "a.b"), ("*.>", "a.b"), ("*.>", "a.b.c"), ("a.*.c", "a.b.c"), ("a.b.*.d", "a.b.c.d"), ("*.b.>", "a.b.c.d"),
    ])
    func `a pattern matches`(pattern: String, type: String) throws {
        #expect(try EventPattern(pattern).matches(EventType(type)))
    }

    @Test(arguments: [
        ("foo", "bar"), ("bar.>", "foo.bar"), ("foo", "foo.bar"), ("foo.bar", "foo"), ("foo.>", "foo"),
        ("stats.test.foo", "stats.test.foos"),
        ("stats.test.foos", "stats.test.foo"), ("stats.test.*", "stats.test"), ("stats.*", "stats.test.foos"),
        ("stats.*.*.foos", "stats.test.foos"),
        ("*", "a.b"), ("*.>", "a"), ("foo*", "foobar"), ("foo>", "foobar"), ("foo.**", "foo.bar"), ("a.*", "a"), ("*.c", "a.b"),
        ("a.*.c", "a.b.d"),
        ("Foo", "foo"),
    ])
    func `a pattern does not match`(pattern: String, type: String) throws {
        #expect(try !EventPattern(pattern).matches(EventType(type)))
    }

    @Test(arguments: [
        "foo", "foo.bar.*", "foo.bar.>", "*", ">", "foo*", "foo.**", "foo.*bar", "*.*.>", "foo.>>", "foo.>bar",
        String(repeating: "x", count: 255),
    ])
    func `a pattern is accepted`(text: String) throws {
        #expect(try EventPattern(text).text == text)
    }

    @Test(arguments: [
        ("", "empty"), (".", "empty token"), (".foo", "empty token"), ("foo.", "empty token"), ("foo..bar", "empty token"),
        (">.bar", "> at byte 0"),
        ("foo.>.bar", "> at byte 4"), ("foo bar", "space"), ("foo.\n", "control"), (String(repeating: "x", count: 256), "256 bytes"),
    ])
    func `a pattern outside of the grammar is refused`(text: String, reason: String) throws {
        let error = try #require(refusal { () throws(EventError) in _ = try EventPattern(text) })
        #expect(error.code == .badPattern)
        #expect(error.message.contains(reason), "\(error)")
    }

    @Test(arguments: [
        ("foo", "foo", true), ("foo", "bar", false), ("foo.*", "foo.bar", true), ("foo.*", "foo.*", true), ("foo.*", "foo.>", false),
        ("foo.>", "foo.*", true), ("foo.>", "foo.*.bar", true), ("foo.>", "foo.>", true), ("foo.>", "foo", false), (">", "*", true),
        (">", ">", true),
        ("*", ">", false), ("*.bar", "foo.*", false), ("foo.bar", "foo.*", false), ("*.*", "*.*", true), ("*.>", ">", false),
        ("a.b", "a", false),
    ])
    func `a pattern covers another one if it matches all that the other does`(outer: String, inner: String, covers: Bool) throws {
        #expect(try EventPattern(outer).covers(EventPattern(inner)) == covers)
    }

    @Test func `only a pattern without wildcards is literal`() throws {
        #expect(try EventPattern("foo*.bar").isLiteral)
        #expect(try !EventPattern("foo.*").isLiteral)
        #expect(try !EventPattern("foo.>").isLiteral)
    }
}
