import MoonbusEvents
import Testing

@testable import MoonbusLane

/// Deliveries that lie in the area instead of coming through the socket.
@Suite struct AreaTests {
    private static let echo = #"bus.subscribe("test.event", { name = "echo" }, function(event) return event.data end)"#

    @Test func `deliveries in the area are run, then their bytes are counted as finished`() throws {
        let host = try TestHost(hasArea: true)
        let function = try host.load(Self.echo).subscriptions[0].function
        let first = try host.deliverInArea(function, [1, 2], at: 0, end: 512)
        #expect(try (0..<2).map { _ in try host.outcome().delivery } == first)
        // Read where it lies, wherever that is: also near the very end.
        let second = try host.deliverInArea(function, [3], at: DeliveryArea.size - 4_096, end: 1_024)
        let outcome = try host.outcome()
        #expect(outcome.delivery == second[0] && outcome.json == 3)
        // The lane takes its frames in order: once this one is answered, the last one's bytes are counted.
        _ = try host.run(function)
        #expect(host.finished == 1_024)
    }

    @Test func `a lane that has answered everything still says that the bytes are finished`() throws {
        let host = try TestHost(hasArea: true)
        let function = try host.load(#"bus.subscribe("test.event", { name = "quiet" }, function() end)"#).subscriptions[0].function
        // As many as are answered at once: nothing is left to say when the frame is finished with.
        let count = LaneOutput.outcomesMax
        _ = try host.deliverInArea(function, Array(repeating: 1, count: count), at: 0, end: 4_096)
        var answered = 0
        while answered < count {
            if case .outcome = try host.next() { answered += 1 }
        }
        // Unless a tick of the clock had the last ones wait for the end: then they came after the bytes were counted.
        if host.finished == 0 { #expect(try host.next() == .nothing) }
        #expect(host.finished == 4_096)
    }

    @Test(arguments: [(8, 1 << 30), (4, 64), (DeliveryArea.size, 64), (Int(UInt32.max) - 7, 64)])
    func `a place outside of the area ends the lane`(_ offset: Int, _ size: Int) throws {
        let host = try TestHost(hasArea: true)
        host.output.appendDelivered(DeliveryArea.Place(offset: UInt32(offset), size: UInt32(size), end: 1))
        try host.send()
        guard case .garbled = try #require(host.lane.join()) else { throw FrameError(.badValue, "the lane took it") }
    }

    @Test func `a lane without an area refuses deliveries that lie in one`() throws {
        let host = try TestHost()
        host.output.appendDelivered(DeliveryArea.Place(offset: 0, size: 64, end: 64))
        try host.send()
        guard case .garbled = try #require(host.lane.join()) else { throw FrameError(.badValue, "the lane took it") }
    }
}
