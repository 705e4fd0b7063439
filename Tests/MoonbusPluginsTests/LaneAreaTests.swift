import MoonbusLane
import Testing

@testable import MoonbusPlugins

/// The host's side of the area: a ring whose other end is hostile.
@Suite struct LaneAreaTests {
    private func bytes(_ count: Int, _ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: count) }

    private func put(_ area: inout LaneArea, _ count: Int, _ byte: UInt8 = 7) -> DeliveryArea.Place? {
        bytes(count / 2, byte).withUnsafeBytes { first in
            bytes(count - count / 2, byte).withUnsafeBytes { second in area.put(first, second) }
        }
    }

    @Test func `bodies lie one behind the other, in one piece, until there is no room`() throws {
        var area = try #require(LaneArea(memory: nil))
        defer { area.unmap() }
        let half = LaneArea.size / 2
        #expect(put(&area, half, 1) == DeliveryArea.Place(offset: 0, size: UInt32(half), end: UInt64(half)))
        #expect(put(&area, half, 2)?.offset == UInt32(half))
        #expect(put(&area, 8) == nil)
        #expect(area.bytes[..<half].allSatisfy { $0 == 1 } && area.bytes[half...].allSatisfy { $0 == 2 })
    }

    @Test func `what is finished is used again, and never in two pieces`() throws {
        var area = try #require(LaneArea(memory: nil))
        defer { area.unmap() }
        let third = LaneArea.size / 3 & ~7
        let places = try (0..<3).map { _ in try #require(put(&area, third)) }
        area.note(finished: places[0].end)
        // The few bytes at the end are too few for it: they are left out, and counted.
        let fourth = try #require(put(&area, third - 64))
        #expect(fourth.offset == 0)
        #expect(fourth.end == UInt64(LaneArea.size + third - 64))
        #expect(put(&area, third) == nil)
        area.note(finished: fourth.end)
        #expect(area.used == 0)
        #expect(put(&area, LaneArea.size)?.offset == 0)
    }

    @Test func `after a body that ends with the area the next one begins at its start`() throws {
        var area = try #require(LaneArea(memory: nil))
        defer { area.unmap() }
        let first = try #require(put(&area, LaneArea.size / 2))
        _ = try #require(put(&area, LaneArea.size / 2))
        area.note(finished: first.end)
        #expect(put(&area, 1_024)?.offset == 0)
    }

    @Test func `whatever is put and finished, every body lies inside`() throws {
        var area = try #require(LaneArea(memory: nil))
        defer { area.unmap() }
        var random = SystemRandomNumberGenerator()
        var open: [DeliveryArea.Place] = []
        for _ in 0..<20_000 {
            let size = Int.random(in: 1...40, using: &random) * (Bool.random(using: &random) ? 1_024 : 8_192)
            if let place = put(&area, size) {
                #expect(Int(place.offset) + Int(place.size) <= LaneArea.size)
                for other in open {
                    let isApart = place.offset >= other.offset + other.size || other.offset >= place.offset + place.size
                    #expect(isApart)
                }
                open.append(place)
            }
            while let first = open.first, open.count > 30 || Int.random(in: 0..<2, using: &random) == 0 {
                area.note(finished: first.end)
                open.removeFirst()
            }
        }
    }

    @Test func `a count that cannot be is not believed`() throws {
        var area = try #require(LaneArea(memory: nil))
        defer { area.unmap() }
        let first = try #require(put(&area, 1_024))
        for count in [UInt64.max, first.end + 1] { area.note(finished: count) }
        #expect(area.used == 1_024)
        area.note(finished: first.end)
        area.note(finished: 8)
        #expect(area.used == 0)
    }

    @Test func `a body that is larger than the area goes elsewhere`() throws {
        var area = try #require(LaneArea(memory: nil))
        defer { area.unmap() }
        #expect(put(&area, LaneArea.size + 8) == nil)
        #expect(put(&area, LaneArea.size) != nil)
    }
}
