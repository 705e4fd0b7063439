import MoonbusEvents
import NIOCore

/// What all connections share. Belongs to the one event-loop thread, on which everything in this module happens.
///
/// One thread is enough: it only parses and writes, while events are handled elsewhere, and with one thread nothing here needs a lock.
final class ServiceLoop {
    let configuration: ServiceConfiguration
    let hostGuard: HostGuard
    let routes: Routes
    let eventLoop: any EventLoop
    /// The time at the last tick: close enough for time-outs, and free.
    private(set) var now = NIODeadline.now()
    /// No new requests are taken; the connections end with their last answer.
    private(set) var isStopping = false
    private var connections: [ObjectIdentifier: Connection] = [:]
    private var ticks: RepeatedTask?
    private var whenEmpty: EventLoopPromise<Void>?

    init(_ configuration: ServiceConfiguration, port: Int, routes: Routes, eventLoop: any EventLoop) {
        self.configuration = configuration
        self.hostGuard = HostGuard(port: port, names: configuration.hosts)
        self.routes = routes
        self.eventLoop = eventLoop
        // A quarter of the shortest limit: a limit is overrun by a quarter at most.
        let limits = configuration.limits
        let period = min(limits.head, limits.body, limits.idle, .seconds(2)) / 4
        let loop = NIOLoopBound(self, eventLoop: eventLoop)
        ticks = eventLoop.scheduleRepeatedTask(initialDelay: TimeAmount(period), delay: TimeAmount(period)) { _ in loop.value.tick() }
    }

    /// Counts a connection in; false when there are enough.
    func admit(_ connection: Connection) -> Bool {
        connections[ObjectIdentifier(connection)] = connection
        return connections.count <= configuration.limits.connections
    }

    func forget(_ connection: Connection) {
        connections[ObjectIdentifier(connection)] = nil
        if connections.isEmpty { whenEmpty?.succeed() }
    }

    /// Ends every connection: idle ones now, others with their last answer, all of them at `deadline`.
    func stop(by deadline: NIODeadline) -> EventLoopFuture<Void> {
        isStopping = true
        let promise = eventLoop.makePromise(of: Void.self)
        whenEmpty = promise
        for connection in Array(connections.values) { connection.finish() }
        if connections.isEmpty { promise.succeed() }
        let loop = NIOLoopBound(self, eventLoop: eventLoop)
        let cut = eventLoop.scheduleTask(deadline: deadline) {
            for connection in Array(loop.value.connections.values) { connection.close() }
        }
        promise.futureResult.whenComplete { _ in
            cut.cancel()
            loop.value.ticks?.cancel()
        }
        return promise.futureResult
    }

    private func tick() {
        now = .now()
        for connection in Array(connections.values) { connection.tick(now) }
    }
}
