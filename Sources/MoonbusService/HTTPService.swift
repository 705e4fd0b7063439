import Glibc
package import Logging
package import MoonbusDispatch
package import MoonbusPlugins
import NIOCore
import NIOHTTP1
import NIOPosix

/// The HTTP face of a bus: events in, results out, and what an operator asks. docs/http.md describes it from outside.
///
///     let service = HTTPService(bus: bus, plugins: host, configuration: .init(), logger: logger)
///     let port = try await service.start()
///     …
///     await service.stop(within: .seconds(5))
///
/// A request's way: decoder (NIO's) → ``Connection`` (order, bounds, host check) → ``Routes`` → `bus.submit` → the bus's owner thread →
/// ``Answers`` → the connection again. No task, no actor and no lock of its own is on that way: an actor's call for each
/// request was measured at 14 µs, as much as all the rest.
package actor HTTPService {
    private enum State {
        case idle
        case running(any Channel, NIOLoopBound<ServiceLoop>, MultiThreadedEventLoopGroup)
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

    /// Listens.
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
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        let routes = Routes(bus: bus, plugins: plugins, configuration: configuration, answers: Answers(eventLoop: eventLoop))
        do {
            let (channel, loop, port) = try await listen(group, eventLoop, routes)
            state = .running(channel, loop, group)
            return port
        } catch {
            try? await group.shutdownGracefully()  // there is nothing on it; the error above is the one to show
            throw ServiceError(error, host: configuration.host, port: configuration.port)
        }
    }

    private func listen(
        _ group: MultiThreadedEventLoopGroup, _ eventLoop: any EventLoop, _ routes: sending Routes
    ) async throws -> (any Channel, NIOLoopBound<ServiceLoop>, Int) {
        let configuration = self.configuration
        let shared = NIOLoopBoundBox<ServiceLoop?>.makeBoxSendingValue(nil, eventLoop: eventLoop)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = shared.value else { throw ChannelError.ioOnClosedChannel }
                    let connection = Connection(loop)
                    var limits = NIOHTTPDecoderLimitConfiguration()
                    limits.maxHeaderFieldSize = configuration.limits.headBytes
                    limits.maxHeaderListSize = configuration.limits.headBytes
                    limits.maxHeaderFieldCount = configuration.limits.fields
                    let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)
                    try channel.pipeline.syncOperations.addHandlers([ReadClock(connection), ByteToMessageHandler(decoder), connection])
                }
            }
            .bind(host: configuration.host, port: configuration.port).get()
        let port = channel.localAddress?.port ?? configuration.port
        let bound = NIOLoopBoundBox<Routes?>.makeBoxSendingValue(routes, eventLoop: eventLoop)
        let loop = try await eventLoop.submit {
            guard let routes = bound.value else { throw ChannelError.ioOnClosedChannel }
            let loop = ServiceLoop(configuration, port: port, routes: routes, eventLoop: eventLoop)
            shared.value = loop
            return NIOLoopBound(loop, eventLoop: eventLoop)
        }.get()
        return (channel, loop, port)
    }

    /// Takes no more requests, lets the open ones be answered, and closes.
    ///
    /// Stop the service before its bus, or the answers that clients wait for never come.
    ///
    /// - Parameter limit: after this, connections are closed whatever they wait for.
    package func stop(within limit: Duration) async {
        guard case .running(let channel, let loop, let group) = state else { return }
        state = .stopped
        do {
            try await channel.close()
            try await channel.eventLoop.flatSubmit { loop.value.stop(by: .now() + TimeAmount(limit)) }.get()
            try await group.shutdownGracefully()
        } catch {
            logger.warning("the HTTP service did not end cleanly", metadata: ["error": "\(error)"])
        }
    }
}

extension ServiceError {
    fileprivate init(_ error: any Error, host: String, port: Int) {
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE:
            self.init(
                .portTaken,
                "port \(port) on \(host) is taken: another moonbus runs already, or another program uses it. Choose another with --port, or 0 for a free one"
            )
        case EACCES, EPERM:
            self.init(.portTaken, "port \(port) needs privileges: choose one above 1023 with --port")
        default: self.init(.unavailable, "can't listen on \(host):\(port): \(error)")
        }
    }
}
