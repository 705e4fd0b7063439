package import Logging
package import MoonbusDispatch
package import MoonbusPlugins

/// The HTTP face of a bus: events in, results out, and what an operator asks. docs/http.md describes it from outside.
///
///     let service = HTTPService(bus: bus, plugins: host, configuration: .init(), logger: logger)
///     let port = try await service.start()
///     …
///     await service.stop(within: .seconds(5))
///
/// A request's way: socket (``Wire``) → decoder (NIO's) → ``Connection`` (order, bounds, host check) → ``Routes`` → the bus → the
/// connection again, all on the bus's owner thread. No other thread, task, actor or lock is on that way: with NIO's event loop on a
/// thread of its own every request changed threads twice, and waking them cost more than all the rest.
package actor HTTPService {
    private enum State {
        case idle
        case running(ServiceLoop)
        case stopped
    }

    private let bus: EventBus
    private let plugins: PluginHost?
    private let configuration: ServiceConfiguration
    private let logger: Logger
    private var state = State.idle

    /// Creates a service that does nothing before ``start()``.
    ///
    /// - Parameter plugins: nil when the bus has no plugins: `/plugins` is then an empty list.
    package init(bus: EventBus, plugins: PluginHost?, configuration: ServiceConfiguration, logger: Logger) {
        self.bus = bus
        self.plugins = plugins
        self.configuration = configuration
        self.logger = logger
    }

    /// Listens. The bus must be running.
    ///
    /// - Returns: the port, which matters when the configuration says 0.
    /// - Throws: ``ServiceError`` when the address is not loopback or can't be had.
    package func start() async throws(ServiceError) -> Int {
        guard case .idle = state else { preconditionFailure("an HTTPService is started once") }
        guard ["127.0.0.1", "::1", "localhost"].contains(configuration.host) else {
            throw ServiceError(
                .notLoopback,
                "\(configuration.host) is not a loopback address: who reaches the port may emit events and reload plugins, and there is no token "
                    + "yet that would keep others out. Use 127.0.0.1 and put a proxy in front of it")
        }
        let listener = try ListeningSocket(host: configuration.host, port: configuration.port)
        let (bus, plugins, configuration) = (self.bus, self.plugins, self.configuration)
        let loop = await bus.owner.perform {
            let routes = Routes(bus: bus, plugins: plugins, configuration: configuration)
            let loop = ServiceLoop(configuration, listener, routes: routes, owner: bus.owner)
            loop.open()
            return loop
        }
        guard let loop else {
            listener.close()
            throw ServiceError(.unavailable, "the bus is not running: start it before its HTTP service")
        }
        state = .running(loop)
        return listener.port
    }

    /// Takes no more requests, lets the open ones be answered, and closes.
    ///
    /// Stop the service before its bus, or the answers that clients wait for never come.
    ///
    /// - Parameter limit: after this, connections are closed whatever they wait for.
    package func stop(within limit: Duration) async {
        guard case .running(let loop) = state else { return }
        state = .stopped
        await withCheckedContinuation { continuation in
            let isPosted = loop.owner.post { loop.stop(within: limit) { continuation.resume() } }
            // A thread that has ended has closed everything.
            if !isPosted { continuation.resume() }
        }
    }
}
