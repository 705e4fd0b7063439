import MoonbusEvents
import MoonbusJournal
import Testing

@Suite struct ByteHashTests {
    private let hash = ByteHash()

    private func value(_ bytes: [UInt8], salt: UInt64 = 0) -> ByteHash.Value {
        bytes.withUnsafeBytes { hash($0, salt: salt) }
    }

    @Test func `each byte, the length and the salt change the hash`() {
        for count in 0...40 {
            let bytes = (0..<count).map { UInt8($0) }
            var seen: Set = [value(bytes), value(bytes + [0]), value(bytes, salt: 1)]
            for index in 0..<count {
                var other = bytes
                other[index] ^= 0x80
                seen.insert(value(other))
            }
            #expect(seen.count == count + 3)
        }
    }

    @Test func `two hashers in one process disagree, so nobody can prepare collisions`() {
        let other = ByteHash()
        #expect([1, 2, 3].withUnsafeBytes { other($0) } != value([1, 2, 3]))
    }

    @Test func `an event's hash is about its id and source only`() throws {
        let type = try EventType("a.b")
        let one = try Event(type: type, data: JSON("1"), id: "x", source: "/s", subject: "u")
        let same = try Event(type: EventType("c"), id: "x", source: "/s")
        let other = try Event(type: type, data: JSON("1"), id: "x", source: "/t", subject: "u")
        #expect(hash.identity(of: one) == hash.identity(of: same))
        #expect(hash.identity(of: one) != hash.identity(of: other))
    }
}
