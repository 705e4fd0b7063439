/// Keeps web pages away from a service on loopback.
///
/// A page on any site may make its visitor's browser send requests to 127.0.0.1. Two checks stop that: `Host` must be a name of
/// ours (a page that rebound its own name to 127.0.0.1 still sends that name), and `Origin`, which a browser adds to what a
/// script or a form sends elsewhere, must be ours as well. Clients that are no browsers send no `Origin`.
struct HostGuard: Sendable {
    private let hosts: Set<String>
    private let origins: Set<String>
    /// What to use instead, for error texts.
    let remedy: String

    /// - Parameters:
    ///   - port: the port that the service listens on.
    ///   - names: further names, without a port.
    init(port: Int, names: [String]) {
        let all = ["localhost", "127.0.0.1", "[::1]"] + names.map { $0.lowercased() }
        // Without a port, a name can only be ours: the port is not what an attacker would have to forge.
        hosts = Set(all + all.map { "\($0):\(port)" })
        origins = Set(all.map { "http://\($0):\(port)" })
        remedy = "send the request to http://127.0.0.1:\(port), or add the name to http.hosts (MOONBUS_HTTP_HOSTS, --allow-host)"
    }

    /// Whether a `Host` field, or the authority of an absolute request target, names this service.
    func admits(host: String) -> Bool { hosts.contains(host) || hosts.contains(host.lowercased()) }

    /// Whether what a browser says about the page that sends is one of ours.
    func admits(origin: String) -> Bool { origins.contains(origin.lowercased()) }
}
