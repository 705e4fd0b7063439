import MoonbusDispatch
import MoonbusEvents
import NIOCore
import NIOEmbedded

/// What all connections share. Lives on the thread that owns the bus, on which everything in this module happens.
///
/// One thread, and the bus's: a request is read, given to the bus, sent to a lane, answered and written in turns of one loop, with no
/// thread in between to be woken. What a turn has gathered leaves at its end: one write for each connection, after the lanes have
/// been given their work.
///
/// `@unchecked Sendable`: made and used on the owner thread; others only hold it, and hand it back to that thread.
final class ServiceLoop: @unchecked Sendable {
    /// Bytes that a connection may read in a turn: many small requests; a body of a megabyte takes its turns.
    static let readSize = 64 << 10
    /// Connections that are taken in a turn.
    private static let acceptsMax = 16
    /// How long no connection is taken when the process has no descriptors left.
    private static let exhaustionPause = Duration.milliseconds(100)

    let configuration: ServiceConfiguration
    let hostGuard: HostGuard
    let routes: Routes
    let owner: OwnerThread
    /// The time at the last tick, on the owner's monotonic clock: close enough for time-outs, and free.
    private(set) var now: Duration
    /// No new requests are taken; the connections end with their last answer.
    private(set) var isStopping = false
    /// The memory that all connections read into, one after the other. A decoder that keeps some of the bytes keeps the memory with them.
    @exclusivity(unchecked) var input = ByteBuffer()
    /// The memory that bodies of answers are written in: their size is said before them.
    @exclusivity(unchecked) var body = ByteBuffer()

    private let listener: ListeningSocket
    private var listening: FileWatch?
    /// Belongs to this thread to its last reference, so it is let go here when the service ends.
    private var embedded: EmbeddedEventLoop? = EmbeddedEventLoop()
    private var connections: [ObjectIdentifier: Connection] = [:]
    /// Connections with answers that may be ready to leave.
    @exclusivity(unchecked) private var dirty: [Connection] = []
    /// Decoders of connections that ended in this turn, perhaps while they were decoding.
    private var endedDecoders: [RequestDecoder] = []
    private var whenEmpty: (@Sendable () -> Void)?

    init(_ configuration: ServiceConfiguration, _ listener: ListeningSocket, routes: Routes, owner: OwnerThread) {
        self.configuration = configuration
        self.listener = listener
        self.hostGuard = HostGuard(port: listener.port, names: configuration.hosts)
        self.routes = routes
        self.owner = owner
        now = owner.clock.monotonic()
    }

    /// Begins to take connections.
    func open() {
        // Weak: the owner thread keeps its hooks and timers, and must not keep a service that has been stopped.
        owner.atTurnEnd { [weak self] in self?.endTurn() }
        owner.atEnd { [weak self] in self?.ownerEnds() }
        listening = owner.watch(listener.descriptor, readable: { [weak self] in self?.accept() })
        tickLater()
    }

    // MARK: Connections

    private func accept() {
        for _ in 0..<Self.acceptsMax {
            switch listener.accept() {
            case .connection(let socket):
                let connection = Connection(self, socket)
                connections[ObjectIdentifier(connection)] = connection
                connection.open(isOneTooMany: connections.count > configuration.limits.connections)
            case .none: return
            case .exhausted:
                listening?.wantsToRead = false
                _ = owner.timer(after: Self.exhaustionPause) { [weak self] in self?.listening?.wantsToRead = true }
                return
            }
        }
    }

    func makeDecoder(for connection: Connection) -> RequestDecoder? {
        embedded.map { RequestDecoder(configuration.limits, loop: $0, connection: connection) }
    }

    /// Notes that a connection has answers to send at the end of this turn.
    func mark(_ connection: Connection) { dirty.append(connection) }

    func forget(_ connection: Connection, _ decoder: RequestDecoder) {
        endedDecoders.append(decoder)
        connections[ObjectIdentifier(connection)] = nil
    }

    private func endTurn() {
        if !dirty.isEmpty {
            for connection in dirty { connection.sendReady() }
            dirty.removeAll(keepingCapacity: true)
        }
        if !endedDecoders.isEmpty { letDecodersGo() }
        if isStopping, connections.isEmpty { tellStopped() }
    }

    private func letDecodersGo() {
        for decoder in endedDecoders { decoder.end() }
        endedDecoders.removeAll()
    }

    // MARK: Time

    private func tickLater() {
        // A quarter of the shortest limit: a limit is overrun by a quarter at most.
        let limits = configuration.limits
        let period = min(limits.head, limits.body, limits.idle, .seconds(2)) / 4
        _ = owner.timer(after: period) { [weak self] in self?.tick() }
    }

    private func tick() {
        now = owner.clock.monotonic()
        for connection in Array(connections.values) { connection.tick(now) }
        if !isStopping || !connections.isEmpty { tickLater() }
    }

    // MARK: The end

    /// Ends every connection: idle ones now, others with their last answer, all of them when `limit` has passed.
    func stop(within limit: Duration, _ stopped: @escaping @Sendable () -> Void) {
        isStopping = true
        closeListener()
        whenEmpty = stopped
        for connection in Array(connections.values) { connection.finish() }
        _ = owner.timer(after: limit) { [weak self] in self?.closeAll() }
    }

    /// The owner thread ends before the service does: so does everything here.
    private func ownerEnds() {
        isStopping = true
        closeListener()
        closeAll()
        endTurn()
    }

    private func closeListener() {
        guard let listening else { return }
        owner.unwatch(listening)
        self.listening = nil
        listener.close()
    }

    private func closeAll() {
        for connection in Array(connections.values) { connection.close() }
    }

    private func tellStopped() {
        embedded = nil
        guard let stopped = whenEmpty else { return }
        whenEmpty = nil
        stopped()
    }
}
