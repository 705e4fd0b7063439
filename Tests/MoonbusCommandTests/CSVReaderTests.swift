import Foundation
import MoonbusEvents
import Testing

@testable import MoonbusCommand

@Suite struct CSVReaderTests {
    @Test func `quotes, commas, line ends and quotes in quotes are text`() throws {
        let records = try read("a,b\r\n\"1,2\",\"x\r\ny\"\r\n\"say \"\"hi\"\"\",\r\n")
        #expect(records.map(\.fields) == [["1,2", "x\r\ny"], ["say \"hi\"", ""]])
        #expect(records.map(\.line) == [2, 4])
    }

    @Test(arguments: ["a,b\n1,2", "a,b\n1,2\n", "a,b\r\n1,2\r\n", "\u{FEFF}a,b\n\n1,2\n\n", "a,b\r1,2\r"])
    func `line ends of all kinds, empty lines and a byte order mark make no difference`(text: String) throws {
        #expect(try read(text).map(\.fields) == [["1", "2"]])
    }

    @Test(arguments: [
        ("", "empty"), ("a,a\n", "twice"), ("a,\n", "no name"), ("a,b\n1\n", ":2"), ("a,b\n1,2,3\n", ":2"), ("a\n\"x\n", "not closed"),
        ("a\n\"x\"y\n", "after"), ("a\nx\"y\n", "quote"),
    ])
    func `a broken file is refused with the reason`(text: String, reason: String) throws {
        let error = #expect(throws: CommandError.self) { try read(text) }
        #expect(error?.code == .badData)
        #expect(error?.message.contains(reason) == true)
    }

    @Test func `numbers are numbers, and what only looks like one stays text`() throws {
        let fields = ["1", "-2.50", "1e3", "007", "9223372036854775808", "1.", "", "true", "x", "3.14159265358979323846"]
        let json = CSVReader.Record(line: 1, fields: fields).json(columns: fields.indices.map { "c\($0)" })
        let expected =
            #"{"c0":1,"c1":-2.50,"c2":1e3,"c3":"007","c4":"9223372036854775808","c5":"1.","c6":null,"c7":true,"c8":"x","c9":"3.14159265358979323846"}"#
        #expect(json.text == expected)
    }

    @Test(arguments: [
        ("seattle", #"{"date":"2010/01/01 00:00","temp":39.4}"#), ("sf", #"{"temp":47.8,"date":"2010/01/01 00:00:00"}"#),
    ])
    func `a temperature record is read whole, whatever the order of its columns`(name: String, first: String) throws {
        var reader = try CSVReader(ByteReader(path: repository.appending(path: "Tests/Data/\(name)-temps.csv").path))
        let record = try reader.next()
        #expect(record?.json(columns: reader.columns).text == first)
        var count = 1
        while try reader.next() != nil { count += 1 }
        #expect(count == 8_759)
    }

    private func read(_ text: String) throws -> [CSVReader.Record] {
        let scratch = try Scratch()
        try scratch.write(text, to: "x.csv")
        var reader = try CSVReader(ByteReader(path: scratch.url.appending(path: "x.csv").path))
        var records: [CSVReader.Record] = []
        while let record = try reader.next() { records.append(record) }
        return records
    }
}
