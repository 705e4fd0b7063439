import MoonbusTesting
import Testing

@testable import MoonbusDispatch

/// What a throttle keeps.
@Suite struct ThrottlingTests {
    /// A throttle, and what its plugin keeps.
    private final class Throttle {
        var throttling = Throttling()
        let share = ThrottleShare()
        let interval: Int64

        init(interval: Int64 = 366 * 86_400 * 1_000_000_000) { self.interval = interval }

        func passes(_ key: Int, at now: Int64) -> Bool {
            throttling.passes(UInt64(key), now: now, interval: interval, share)
        }
    }

    @Test func `past its bound the key that passed first is forgotten, and passes early`() {
        let throttle = Throttle()
        let bound = Throttling.countMax
        #expect((1...bound).allSatisfy { throttle.passes($0, at: Int64($0)) })
        #expect(!throttle.passes(1, at: 200_000))
        #expect(throttle.passes(bound + 1, at: 200_001))
        #expect(throttle.throttling.count == bound)
        #expect(!throttle.passes(2, at: 200_002))
        #expect(throttle.passes(1, at: 200_003))
        #expect(throttle.throttling.count == bound)
        #expect(throttle.share.count == bound)
    }

    @Test func `keys whose time is over are not kept`() {
        let throttle = Throttle(interval: 10)
        #expect((1...1_000).allSatisfy { throttle.passes($0, at: Int64($0)) })
        #expect(throttle.throttling.count <= 10)
        #expect(throttle.passes(1_000, at: 1_010))
        #expect(!throttle.passes(1_000, at: 1_019), "the end of its first time does not end its second")
        throttle.throttling.removeAll(throttle.share)
        #expect(throttle.share.count == 0)
    }

    @Test func `what a plugin's subscriptions keep together has a bound, too`() {
        let throttle = Throttle()
        throttle.share.count = ThrottleShare.countMax - 1
        #expect((1...3).allSatisfy { throttle.passes($0, at: Int64($0)) })
        #expect(throttle.throttling.count == 1)
        #expect(throttle.passes(1, at: 4))
    }

    @Test func `a subscription that goes gives back what it kept`() async throws {
        let test = try await TestBus()
        let endpoint = TestEndpoint(test.bus) { _ in .done(nil) }
        let throttled = SubscriptionPolicy(key: .type, throttle: .seconds(86_400))
        try await test.replace(
            "p", [test.spec("p", ">", policy: throttled), test.spec("p", ">", name: "p.other", policy: throttled)], by: endpoint)
        for number in 0..<10 { try await test.bus.emit(event("a.n\(number)")) }
        let share = { @Sendable in test.bus.dispatcher.byPlugin["p"]?.first?.throttleShare.count }
        #expect(try await test.onOwner { share() } == 20)
        try await test.replace("p", [test.spec("p", ">", policy: throttled)], by: endpoint)
        #expect(try await test.onOwner { share() } == 10)
        try await test.replace("p", [test.spec("p", ">")], by: endpoint)
        #expect(try await test.onOwner { share() } == 0)
    }
}
