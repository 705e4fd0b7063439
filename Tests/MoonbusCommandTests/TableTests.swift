import MoonbusEvents
import Testing

@testable import MoonbusCommand

@Suite struct TableTests {
    private let now = Timestamp(rfc3339: "2026-11-28T22:14:19Z") ?? .now()
    private let id = "01JDXZ0123456789ABCDEFGHJK"

    private func events(type: String, data: String, time: String = "2026-11-28T08:05:00.123456Z") -> Table {
        var table = Table(.name("POSITION"), .time("TIME"), .word("TYPE"), .name("ID"), .rest("DATA"))
        table.add("1", time, type, id, data)
        return table
    }

    @Test func `at 80 columns an id is whole, and the data have 20 at least`() {
        let data = String(repeating: "d", count: 100)
        for type in ["a.b", "a.type.with.a.long.name"] {
            let row = events(type: type, data: data).lines(width: 80, now: now)[1]
            #expect(row.count == 80)
            #expect(row.contains(" \(id) "))
            #expect(row.contains(String(repeating: "d", count: 19)))
            #expect(row.hasSuffix("d…"))
        }
    }

    @Test func `where even that does not fit the line is longer than the terminal is wide`() {
        let row = events(type: "a.type.with.a.long.name", data: String(repeating: "d", count: 100)).lines(width: 60, now: now)[1]
        #expect(row.contains("  a.typ…  \(id)  \(String(repeating: "d", count: 19))…"))
    }

    @Test func `nothing is cut that fits, and nothing at all when piped`() {
        let table = events(type: "a.type.with.a.long.name", data: "{}")
        #expect(table.lines(width: 120, now: now)[1].hasSuffix("08:05:00  a.type.with.a.long.name  \(id)  {}"))
        #expect(table.lines()[1].contains("2026-11-28T08:05:00.123456Z"))
    }

    @Test(arguments: [
        ("2026-11-28T08:05:00.123456Z", "08:05:00"), ("2026-11-28T08:05:00Z", "08:05:00"),
        ("2026-11-27T08:05:00.123456Z", "11-27 08:05"),
        ("2025-11-28T08:05:00Z", "2025-11-28"), ("", ""), ("soon", "soon"),
    ])
    func `a time is as short as its day lets it be`(time: String, shown: String) {
        let row = events(type: "t", data: "{}", time: time).lines(width: 80, now: now)[1]
        #expect(row.dropFirst(10).prefix(max(4, shown.count)).trimmingSuffix { $0 == " " } == shown)
    }

    @Test func `a name that is longer than any other moves its own line only`() {
        var table = Table(.name("KEY"), .rest("VALUE"))
        table.add(String(repeating: "k", count: 300), "1")
        table.add("k", "2")
        let lines = table.lines(width: 80, now: now)
        #expect(lines[1] == String(repeating: "k", count: 300) + "  1")
        #expect(lines[2].count < 80)
    }
}

extension StringProtocol {
    fileprivate func trimmingSuffix(while isUnwanted: (Character) -> Bool) -> String {
        var text = String(self)
        while let last = text.last, isUnwanted(last) { text.removeLast() }
        return text
    }
}

@Suite struct WordsTests {
    @Test func `one is one, all other counts are many`() {
        #expect(counted(1, "event") == "1 event")
        #expect(counted(0, "event") == "0 events")
        #expect(counted(2, "delivery was", "deliveries were") == "2 deliveries were")
    }

    @Test func `the lines that a plugin breaks are moved in`() {
        #expect(LiveView.indented("p info: a\nb\n", by: 3) == "p info: a\n   b\n   ")
    }
}
