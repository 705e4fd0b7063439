import MoonbusEvents
import MoonbusPlugins
import MoonbusService

/// W3 and W5: requests over loopback that wait for the handler's answer.
///
/// First as many as the service takes, one after the other on each connection: requests a core, for which the load generator's own
/// processor time is taken off. Then ``rate`` a second whatever comes back: how long each took from the moment when it was due. That
/// wants two cores, one for the load generator. docs/performance-http.md says how the figures beside other servers are taken.
enum HTTPBench {
    /// Requests a second of the second part.
    private static let rate = 10_000.0
    private static let script = """
        bus.subscribe("order.created", { name = "rule" }, function(event)
          local order = event.data
          local data = order.data
          local hit = order.type == "order.created" and data.amount > 100 and (data.country == "DE" or data.country == "FR")
          return { id = order.id, matched = hit, action = hit and "review" or "none" }
        end)
        """
    private static let order =
        #"{"id":"evt-000001","type":"order.created","source":"shop/eu-1","time":"2026-01-01T00:00:00Z","data":{"customer":"c-1042","#
        + #""country":"DE","amount":150,"currency":"EUR","items":[{"sku":"A-100","qty":2},{"sku":"B-200","qty":1}],"#
        + #""note":"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"}}"#

    static func run(_ kind: BenchHost.LaneKind, connections: Int, requests: Int) async throws -> Measurement {
        try await BenchHost.run(kind) { host in
            try await host.plugins.load("bench", source: script)
            var configuration = ServiceConfiguration()
            configuration.port = 0
            let service = HTTPService(bus: host.bus, plugins: host.plugins, configuration: configuration, logger: .silent)
            let load = HTTPLoad(
                port: try await service.start(), connections: connections, request: Array(request.utf8),
                expected: Array(#""matched":true"#.utf8))
            do {
                let measurement = try await measure(load, kind, requests, host)
                await service.stop(within: .seconds(1))
                return measurement
            } catch {
                await service.stop(within: .seconds(1))
                throw error
            }
        }
    }

    private static func measure(
        _ load: HTTPLoad, _ kind: BenchHost.LaneKind, _ requests: Int, _ host: BenchHost
    ) async throws -> Measurement {
        _ = try await load.saturate(min(requests, 5_000))  // caches, arenas and branch predictors
        var saturated = HTTPLoad.Report(times: [], cpu: 0)
        let (wall, cpu) = try await host.measure { saturated = try await load.saturate(requests) }
        let paced = try await load.pace(min(requests, 40_000), rate: rate)
        return Measurement(
            name: "HTTP rule, \(kind.text)", operations: requests, wall: wall, cpu: cpu - saturated.cpu,
            extra: [
                ("p50_us", saturated.quantile(0.5)), ("p99_us", saturated.quantile(0.99)),
                ("paced_p50_us", paced.quantile(0.5)), ("paced_p99_us", paced.quantile(0.99)),
            ])
    }

    private static let request =
        "POST /events/order.created?wait=10s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        + "Content-Length: \(order.utf8.count)\r\n\r\n\(order)"
}
