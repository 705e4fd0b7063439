/// Where the HTTP face listens and what it bounds.
package struct ServiceConfiguration: Sendable {
    /// The address to listen on: `127.0.0.1`, `::1` or `localhost`. Any other is refused by ``HTTPService/start()``, because
    /// whoever reaches the port may emit events and reload plugins: there is no token yet.
    package var host = "127.0.0.1"
    /// The port; 0 takes a free one.
    package var port = 7070
    /// Further names that a request's `Host` may have, without a port: for a name in `/etc/hosts`, or a tunnel.
    package var hosts: [String] = []
    /// How long `POST /events…` waits for results when the request has no `?wait=`; nil answers once recorded.
    package var wait: Duration?
    /// What clients may ask of us.
    package var limits = ServiceLimits()

    package init() {}
}

/// Every bound of the HTTP face. Each one has an answer; docs/http.md lists them.
package struct ServiceLimits: Sendable {
    /// A request's body, in bytes: 413 above. As large as an event's data may be.
    package var bodyBytes = 1 << 20
    /// A request's header fields altogether, in bytes: 431 above.
    package var headBytes = 32 << 10
    /// Header fields of a request: 431 above.
    package var fields = 100
    /// From the first byte of a request to the end of its header: 408 after that.
    package var head: Duration = .seconds(15)
    /// From the end of the header to the end of the body: 408 after that.
    package var body: Duration = .seconds(30)
    /// Between two requests of a connection: closed after that.
    package var idle: Duration = .seconds(75)
    /// The longest `?wait=`.
    package var wait: Duration = .seconds(60)
    /// Open connections: 503 above.
    package var connections = 1_024
    /// Requests of one connection that wait for their answers (pipelining): not read further above.
    package var pipelined = 64
    /// Open event streams: 503 above.
    package var streams = 64
    /// Events that a stream keeps for a slow reader: above, the oldest are skipped and the reader is told how many.
    package var streamBuffer = 1_024
    /// A silent stream sends a comment this often, so that both ends notice a dead peer.
    package var heartbeat: Duration = .seconds(15)

    package init() {}
}
