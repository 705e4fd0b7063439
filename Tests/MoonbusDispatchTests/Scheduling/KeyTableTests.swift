import MoonbusDispatch
import MoonbusEvents
import MoonbusTesting
import Testing

/// Many keys at once, against a plain model: the order within each key, and nothing lost.
@Suite struct KeyTableTests {
    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func `whatever order runs end in, each key's events go in order and all of them go`(seed: UInt64) async throws {
        let test = try await TestBus()
        let endpoint = try await test.plugin(room: 40) { _ in nil }
        var random = Random(state: seed)
        var expected: [String: [String]] = [:]
        for number in 0..<600 {
            let key = "k\(random.next() % 37)"
            expected[key, default: []].append("\(number)")
            try await test.bus.emit(event("a", id: "\(number)", key: key))
        }
        test.catchUp()
        while let running = endpoint.running.randomElement(using: &random) {
            #expect(Set(endpoint.running.map(\.event.key)).count == endpoint.running.count)
            try await test.onOwner { endpoint.settle([Outcome(delivery: running.id, .done(nil))]) }
        }
        let seen = Dictionary(grouping: endpoint.deliveries.map(\.event), by: { $0.key ?? "" }).mapValues { $0.map(\.id) }
        #expect(seen == expected)
    }

    /// SplitMix64: the same numbers for the same seed.
    private struct Random: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
            return mixed ^ mixed >> 31
        }
    }
}
