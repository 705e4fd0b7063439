import Glibc
import MoonbusEvents
import MoonbusPlugins
import MoonbusService
import NIOCore
import NIOHTTP1

/// W3 in one process: requests over loopback that wait for the handler's answer, from several connections at once.
///
/// The client is in the same process and costs about as much as the service, so the rate is for comparing two versions of Moonbus on one
/// machine; docs/performance.md says how the figures against other servers are taken, with a load generator of its own.
enum HTTPBench {
    private static let script = """
        bus.subscribe("order.created", { name = "rule" }, function(event)
          local order = event.data
          local hit = order.amount > 100 and (order.country == "DE" or order.country == "FR")
          return { matched = hit, action = hit and "review" or "none" }
        end)
        """
    private static let order =
        #"{"customer":"c-1042","country":"DE","amount":150,"currency":"EUR","items":[{"sku":"A-100","qty":2},{"sku":"B-200","qty":1}]}"#

    static func run(_ kind: BenchHost.LaneKind, connections: Int, requests: Int) async throws -> Measurement {
        try await BenchHost.run(kind) { host in
            try await host.plugins.load("bench", source: script)
            var configuration = ServiceConfiguration()
            configuration.port = 0
            let service = HTTPService(bus: host.bus, plugins: host.plugins, configuration: configuration, logger: .silent)
            let port = try await service.start()
            let address = try ServiceAddress("http://127.0.0.1:\(port)")
            var times: [Double] = []
            let (wall, cpu) = try await host.measure {
                times = try await withThrowingTaskGroup(of: [Double].self) { group in
                    for _ in 0..<connections { group.addTask { try await ask(address, requests / connections) } }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
            }
            await service.stop(within: .seconds(1))
            times.sort()
            return Measurement(
                name: "HTTP rule, \(kind.text)", operations: times.count, wall: wall, cpu: cpu,
                extra: [("p50_us", times[times.count / 2]), ("p99_us", times[times.count * 99 / 100])])
        }
    }

    /// - Returns: how long each request took, in microseconds.
    private static func ask(_ address: ServiceAddress, _ count: Int) async throws -> [Double] {
        try await ServiceClient.connect(to: address) { client in
            var times: [Double] = []
            times.reserveCapacity(count)
            let clock = ContinuousClock()
            let body = ByteBuffer(string: order)
            for _ in 0..<count {
                let start = clock.now
                let answer = try await client.send(.POST, "/events/order.created?wait=10s", contentType: "application/json", body: body)
                guard answer.status == 200, answer.body.readableBytesView.firstRange(of: Array(#""matched":true"#.utf8)) != nil else {
                    throw CommandError(.internal, "the service answered \(answer.status): \(String(buffer: answer.body))")
                }
                times.append((clock.now - start) / .microseconds(1))
            }
            return times
        }
    }
}
