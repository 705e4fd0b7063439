import MoonbusDispatch
import MoonbusEvents
import NIOCore

/// `GET /events/stream`: one client that watches events as they are recorded, as server-sent events.
///
///     id: 01JDXZ…
///     data: {"specversion":"1.0","id":"01JDXZ…",…}
///
/// Before an event of an ephemeral type stands a comment, `: ephemeral`.
///
/// A tap, not a subscription: it starts now, keeps no place, and a slow reader misses events instead of slowing anybody. It is told
/// how many: `event: skipped` with `data: {"count":12}`. A comment line comes when nothing else does, so that both ends
/// notice when the other is gone.
final class EventStream {
    private let routes: Routes
    private let reader: Task<Void, Never>
    private var isOpen = true

    fileprivate init(_ routes: Routes, reader: Task<Void, Never>) {
        self.routes = routes
        self.reader = reader
        routes.streamCount += 1
    }

    /// Shows both ends, again and again, that the other is there.
    fileprivate func beat(on connection: Connection, every period: Duration) {
        _ = connection.service.owner.timer(after: period) { [weak self] in
            guard let self, isOpen else { return }
            connection.send(ByteBuffer(staticString: ": still here\n\n"))
            beat(on: connection, every: period)
        }
    }

    /// Ends the stream: the client is gone, or the service stops.
    func cancel() {
        guard isOpen else { return }
        isOpen = false
        routes.streamCount -= 1
        reader.cancel()
    }
}

extension Routes {
    /// Turns the connection into a stream of events.
    func stream(_ pattern: EventPattern, _ exchange: Exchange) {
        if exchange.isHead { return exchange.answer(Response(.ok, "text/event-stream", ByteBuffer())) }
        let limits = configuration.limits
        guard streamCount < limits.streams else {
            var problem = Problem(.unavailable, "\(limits.streams) event streams are open already", remedy: "end one of them")
            problem.retryAfter = 10
            return exchange.answer(problem)
        }
        guard let connection = exchange.connection else { return }
        // Before there is a stream: one that ends takes its connection with it.
        guard connection.canStream(exchange) else {
            return exchange.answer(
                Problem(
                    .conflict, "a stream can't be asked for behind requests without an answer",
                    remedy: "ask once they are answered, or use a connection of its own"))
        }
        let owner = connection.service.owner
        // Subscribed before the head is sent: what is emitted after a client saw the head is seen by it.
        let events = bus.events(matching: pattern, buffer: limits.streamBuffer)
        let reader = Task { [bus] in
            await pump(events, bus, owner, connection)
            owner.post { connection.close() }
        }
        let stream = EventStream(self, reader: reader)
        connection.begin(stream)
        connection.send(
            ByteBuffer(
                staticString:
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n\r\n: moonbus\n\n"
            ))
        stream.beat(on: connection, every: limits.heartbeat)
    }
}

/// Sends the events of a tap until the connection or the service ends. Each part is awaited: a slow reader makes the tap skip, and
/// what waits for it stays bounded.
private func pump(_ events: EventSequence, _ bus: EventBus, _ owner: OwnerThread, _ connection: Connection) async {
    for await event in events {
        let part = ByteBuffer(serverSentEvent: event, isEphemeral: bus.isEphemeral(event))
        let isSent = await withCheckedContinuation { continuation in
            let isPosted = owner.post { connection.send(part) { continuation.resume(returning: $0) } }
            if !isPosted { continuation.resume(returning: false) }
        }
        guard isSent else { return }
    }
}

extension ByteBuffer {
    /// An event in the format of the stream. CloudEvents' JSON has no line breaks outside of data, and in data they are white space.
    fileprivate init(serverSentEvent event: Event, isEphemeral: Bool) {
        self.init()
        if isEphemeral { writeStaticString(": ephemeral\n") }
        if event.typeText == "moonbus.skipped", event.source == Event.defaultSource {
            writeStaticString("event: skipped\ndata: ")
            writeJSON(event.data?.compact ?? .null)
        } else {
            writeStaticString("id: ")
            writeString(event.id)
            writeStaticString("\ndata: ")
            writeJSON(JSON(trusted: CloudEvent.encode(event)).compact)
        }
        writeStaticString("\n\n")
    }
}
