@testable import MoonbusEvents
import Testing

@Suite struct IdentityTests {
    // Origin: vectors.h of the SipHash reference implementation (128-bit output, key 00 01 … 0f, input 00 01 … of that length).
    @Test(arguments: [
        (0, "a3817f04ba25a8e66df67214c7550293"), (1, "da87c1d86b99af44347659119b22fc45"), (2, "8177228da4a45dc7fca38bdef60affe4"),
    ])
    func `the hash is SipHash-2-4-128`(count: Int, digest: String) {
        var hash = SipHash(key: (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908))
        for byte in 0..<UInt8(count) { hash.update(byte) }
        let (first, second) = hash.finish()
        let bytes = withUnsafeBytes(of: (first.littleEndian, second.littleEndian)) { Array($0) }
        #expect(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == digest)
    }

    @Test(arguments: [
        (0 as UInt64, 0 as UInt64, "00000000000000000000000000"), (0, 1, "00000000000000000000000001"),
        (0, 31, "0000000000000000000000000Z"),
        (0, 32, "00000000000000000000000010"), (.max, .max, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"), (1, 0, "0000000000000G000000000000"),
        (0x8000_0000_0000_0000, 0, "40000000000000000000000000"), (0, 0xF000_0000_0000_0000, "0000000000000F000000000000"),
    ])
    func `a 128-bit number is 26 characters of Crockford's base 32`(high: UInt64, low: UInt64, text: String) {
        #expect(Identity(high: high, low: low).description == text)
    }

    // Golden values: a change of any of these makes deliveries that are under way emit their events twice.
    @Test func `identities never change`() throws {
        let key = Identity.key(subscription: "thermostat.watch")
        #expect(key == (15_478_735_875_174_772_917, 13_741_120_167_342_150_390))
        let identity = Identity(event: "01JD0000000000000000000000", source: "/moonbus", subscription: key)
        #expect(identity.eventID(0) == "01ZK8ERHDXEDMS5K0RMRGPC41F-0")
        #expect(identity.eventID(17) == "01ZK8ERHDXEDMS5K0RMRGPC41F-17")
    }

    @Test func `an identity depends on id, source and subscription, and on where one ends`() throws {
        let key = Identity.key(subscription: "a")
        let identities = [
            Identity(event: "1", source: "/x", subscription: key), Identity(event: "2", source: "/x", subscription: key),
            Identity(event: "1", source: "/y", subscription: key), Identity(event: "1/", source: "x", subscription: key),
            Identity(event: "1", source: "/x", subscription: Identity.key(subscription: "b")),
        ]
        #expect(Set(identities).count == identities.count)
        let event = try Event(type: EventType("t"), id: "1", source: "/x")
        #expect(Identity(event: event, subscription: key) == identities[0])
    }

    @Test func `the bytes are the number, most significant first`() {
        let identity = Identity(high: 0x0102_0304_0506_0708, low: 0x090A_0B0C_0D0E_0F10)
        #expect(identity.bytes == Array(1...16))
    }
}
