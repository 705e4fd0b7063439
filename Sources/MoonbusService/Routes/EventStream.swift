import MoonbusDispatch
import MoonbusEvents
import NIOCore

/// `GET /events/stream`: one client that watches events as they are recorded, as server-sent events.
///
///     id: 01JDXZ…
///     data: {"specversion":"1.0","id":"01JDXZ…",…}
///
/// A tap, not a subscription: it starts now, keeps no place, and a slow reader misses events instead of slowing anybody. It is told
/// how many: `event: skipped` with `data: {"count":12}`. A comment line comes when nothing else does, so that both ends
/// notice when the other is gone.
final class EventStream {
    private let routes: Routes
    private let reader: Task<Void, Never>
    private var heartbeat: RepeatedTask?
    private var isOpen = true

    fileprivate init(_ routes: Routes, reader: Task<Void, Never>) {
        self.routes = routes
        self.reader = reader
        routes.streamCount += 1
    }

    fileprivate func beat(on connection: Connection, every period: Duration) {
        let loop = connection.service.eventLoop
        let bound = NIOLoopBound(connection, eventLoop: loop)
        heartbeat = loop.scheduleRepeatedTask(initialDelay: TimeAmount(period), delay: TimeAmount(period)) { _ in
            _ = bound.value.send(ByteBuffer(staticString: ": still here\n\n"))
        }
    }

    /// Ends the stream: the client is gone, or the service stops.
    func cancel() {
        guard isOpen else { return }
        isOpen = false
        routes.streamCount -= 1
        heartbeat?.cancel()
        reader.cancel()
    }
}

extension Routes {
    /// Turns the connection into a stream of events.
    func stream(_ pattern: EventPattern, _ exchange: Exchange) {
        let limits = configuration.limits
        guard streamCount < limits.streams else {
            var problem = Problem(.unavailable, "\(limits.streams) event streams are open already", remedy: "end one of them")
            problem.retryAfter = 10
            return exchange.answer(problem)
        }
        guard let connection = exchange.connection else { return }
        let eventLoop = connection.service.eventLoop
        let bound = NIOLoopBound(connection, eventLoop: eventLoop)
        // Subscribed before the head is sent: what is emitted after a client saw the head is seen by it.
        let events = bus.events(matching: pattern, buffer: limits.streamBuffer)
        let reader = Task {
            do {
                try await pump(events, eventLoop, bound)
            } catch {
                // The connection broke: its own `channelInactive` ends everything; there is nobody to tell.
            }
            eventLoop.execute { bound.value.close() }
        }
        let stream = EventStream(self, reader: reader)
        guard connection.begin(stream, on: exchange) else {
            stream.cancel()
            return exchange.answer(
                Problem(.conflict, "a stream can't be asked for behind requests without an answer", remedy: "use a connection of its own"))
        }
        _ = connection.send(
            ByteBuffer(
                staticString:
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n\r\n: moonbus\n\n"
            ))
        stream.beat(on: connection, every: limits.heartbeat)
    }
}

/// Sends the events of a tap until the connection or the service ends. Each part is awaited: a slow reader makes the tap skip, and
/// what waits for it stays bounded.
private func pump(_ events: EventSequence, _ eventLoop: any EventLoop, _ connection: NIOLoopBound<Connection>) async throws {
    for await event in events {
        let part = ByteBuffer(serverSentEvent: event)
        try await eventLoop.flatSubmit { connection.value.send(part) ?? eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel) }.get()
    }
}

extension ByteBuffer {
    /// An event in the format of the stream. CloudEvents' JSON has no line breaks outside of data, and in data they are white space.
    fileprivate init(serverSentEvent event: Event) {
        self.init()
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
