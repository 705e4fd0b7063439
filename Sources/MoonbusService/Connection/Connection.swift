import MoonbusDispatch
import MoonbusEvents
import NIOCore
import NIOHTTP1

/// One client's connection: requests come in, are checked and handed to the routes; answers go out in the order of the requests.
///
/// Everything here runs on the bus's owner thread. The life of a connection:
///
///     head (a request's header is awaited) ⇄ body (its body is awaited) → closing (no more requests; the last answers leave) → gone
///
/// **Order.** Requests may be pipelined. Each has an ``Exchange`` in `open`; an answer leaves when it is the first in line.
///
/// **Bounds.** Header and body are bounded in size (the decoder, `limits.bodyBytes`) and time (``tick(_:)``); with
/// `limits.pipelined` answers owed, or a client that doesn't read its answers, nothing more is read from the socket.
///
/// **Trust.** After anything that is not clean HTTP/1.1 the connection is closed: where the next request begins is then anyone's
/// guess, which is how requests are smuggled. NIO's decoder refuses conflicting lengths, `Content-Length` beside
/// `Transfer-Encoding`, bare line feeds, control characters and oversized headers; this class never reads on after it did.
///
/// `@unchecked Sendable`: confined to the owner thread; others only hold it, and hand it back to that thread.
final class Connection: @unchecked Sendable {
    private static let noBytes = ByteBuffer()

    private enum State {
        case head
        /// The body of the last exchange in `open` is awaited; to be thrown away, if that was refused by its header.
        case body(isRefused: Bool)
        case closing
        case gone
    }

    let service: ServiceLoop
    private let wire: Wire
    private var decoder: RequestDecoder?
    // Unchecked, here and in what it works with: one thread owns them, and checks were a twentieth of a request's cost.
    @exclusivity(unchecked) private var state = State.head
    @exclusivity(unchecked) private var open = CircularBuffer<Exchange>()
    @exclusivity(unchecked) private var body = ByteBuffer()
    /// The connection ends with the request whose body is awaited.
    private var isLast = false
    /// The service knows that an answer may be ready to leave.
    @exclusivity(unchecked) private var isMarked = false
    /// A stream of events has taken over the way out.
    @exclusivity(unchecked) private var stream: EventStream?
    @exclusivity(unchecked) private var inputIsClosed = false
    /// Bytes of a header came, but not yet its end; since when.
    @exclusivity(unchecked) private var headBegan: Duration?
    /// When the state last changed.
    @exclusivity(unchecked) private var since: Duration
    /// The last target and its route: clients tend to repeat themselves.
    private var lastTarget: (method: HTTPMethod, uri: String, route: Route)?

    init(_ service: ServiceLoop, _ socket: Int32) {
        self.service = service
        wire = Wire(socket, owner: service.owner)
        since = service.now
    }

    // MARK: Opening and closing

    /// Begins to listen.
    ///
    /// - Parameter isOneTooMany: there are enough connections: the client is told so, and this one ends.
    func open(isOneTooMany: Bool) {
        decoder = service.makeDecoder(for: self)
        wire.open(self)
        guard isOneTooMany else { return }
        let limit = service.configuration.limits.connections
        refuse(
            Problem(
                .unavailable, "there are \(limit) connections already", remedy: "use one connection for many requests, or try again"))
    }

    /// Ends the connection now.
    func close() {
        guard wire.isOpen else { return }
        state = .gone
        wire.close()
        stream?.cancel()
        stream = nil
        open.removeAll()
        if let decoder { service.forget(self, decoder) }
        decoder = nil
    }

    /// The client has said everything; it may still be waiting for answers.
    private func inputEnded() {
        inputIsClosed = true
        wire.listen(false)
        switch state {
        case .body, .gone: return close()  // it broke off in the middle of a request
        case .head, .closing: state = .closing
        }
        guard stream == nil, !open.isEmpty else { return close() }
    }

    /// The decoder can't go on.
    func decodingFailed(_ error: any Error) {
        guard let error = error as? HTTPParserError else { return close() }
        switch error {
        case .headerOverflow:
            let limits = service.configuration.limits
            let problem = Problem(.headTooLarge, "the header has more than \(limits.headBytes) bytes or \(limits.fields) fields")
            refuse(problem)
        case .invalidVersion: refuse(Problem(.badVersion, "the request line names another version"))
        default: refuse(Problem(.badRequest, "\(error)", remedy: "send one request as RFC 9112 describes it"))
        }
    }

    /// Ends the connection once its open requests are answered. What comes behind them until then is refused.
    func finish() {
        stream?.cancel()
        stream = nil
        if case .head = state, open.isEmpty { close() }
    }

    /// Whether the connection ends once nothing is owed on it.
    private var endsWhenAnswered: Bool {
        switch state {
        case .closing: true
        case .head: service.isStopping
        case .body, .gone: false
        }
    }

    /// Answers `problem` after everything that is owed, and ends the connection.
    private func refuse(_ problem: Problem) {
        var problem = problem
        problem.closes = true
        switch state {
        case .closing, .gone: return
        case .body(isRefused: false): open.last?.answer(problem)
        case .body: break
        case .head:
            let exchange = Exchange(self, isHead: false, isLast: true)
            open.append(exchange)
            exchange.answer(problem)
        }
        state = .closing
        since = service.now
        mark()
    }

    /// Looks at the clock; called now and then.
    func tick(_ now: Duration) {
        let limits = service.configuration.limits
        switch state {
        case .head:
            if let began = headBegan, now - began > limits.head {
                refuse(Problem(.timeout, "the header was not complete after \(DurationText.format(limits.head))"))
            } else if open.isEmpty, stream == nil, now - since > limits.idle {
                close()
            }
        case .body:
            if now - since > limits.body {
                refuse(Problem(.timeout, "the body was not complete after \(DurationText.format(limits.body))"))
            }
        case .closing:
            // What is owed may take its time; a client that neither reads nor hangs up may not.
            if open.isEmpty, now - since > .seconds(2) { close() }
        case .gone: break
        }
    }

    // MARK: Requests

    /// There is something to read, or the client has hung up.
    func readable() {
        switch wire.receive(into: &service.input) {
        case .nothing: return
        case .end: inputEnded()
        case .failed: close()
        case .bytes:
            switch state {
            case .closing, .gone: return  // read, so that the client isn't reset before it has seen the last answer; nobody looks at it
            // The decoder keeps the beginning of a header to itself, and a client that sends one byte a second must not be waited for for ever.
            case .head: if headBegan == nil { headBegan = service.now }
            case .body: break
            }
            decoder?.decode(service.input)
            listen()
        }
    }

    /// Takes a part of a request.
    func take(_ part: HTTPServerRequestPart) {
        switch (part, state) {
        case (.head(let head), .head): begin(head)
        case (.body(let part), .body(isRefused: false)):
            if body.readableBytes == 0 { body = part } else { body.writeImmutableBuffer(part) }
            if body.readableBytes > service.configuration.limits.bodyBytes { refuse(tooLarge()) }
        case (.end, .body(let isRefused)): endRequest(isRefused: isRefused)
        default: break  // the rest of something that was refused
        }
    }

    private func endRequest(isRefused: Bool) {
        // A refused one may have left already.
        let exchange = isRefused ? nil : open.last
        state = isLast ? .closing : .head
        since = service.now
        let whole = body
        body = Self.noBytes
        if let exchange, let request = exchange.request { service.routes.handle(request, whole, exchange) }
    }

    private func begin(_ head: HTTPRequestHead) {
        headBegan = nil
        since = service.now
        isLast = !head.isKeepAlive
        let exchange = Exchange(self, isHead: head.method == .HEAD, isLast: isLast)
        open.append(exchange)
        let fields = RequestFields(head.headers)
        do throws(Problem) {
            let target = try service.check(head, fields)
            let route = try route(head.method, target)
            if let length = fields.contentLength, length > service.configuration.limits.bodyBytes { throw tooLarge() }
            if fields.expectsContinue, open.count == 1 { sendNow("HTTP/1.1 100 Continue\r\n\r\n") }
            exchange.request = Request(
                route: route, mediaType: fields.mediaType, traceparent: fields.traceparent, headers: head.headers,
                isBinaryEvent: fields.isBinaryEvent)
            state = .body(isRefused: false)
        } catch {
            exchange.answer(error)
            if error.closes {
                state = .closing
            } else {
                // The header was fine, so the body's end is known: it is read and thrown away, and the connection goes on.
                state = .body(isRefused: true)
            }
        }
    }

    private func route(_ method: HTTPMethod, _ target: String) throws(Problem) -> Route {
        if let last = lastTarget, last.uri == target, last.method == method { return last.route }
        let route = try Route(method, target, service.configuration)
        lastTarget = (method, target, route)
        return route
    }

    private func tooLarge() -> Problem {
        Problem(
            .tooLarge, "the body has more than \(service.configuration.limits.bodyBytes) bytes",
            remedy: "send several events, or keep large data elsewhere and send its address"
        ).closing
    }

    // MARK: Answers

    /// Whether the answer of `exchange` is the next to be sent, and can be sent now.
    func isNext(_ exchange: Exchange) -> Bool {
        open.first === exchange && !exchange.isLast && !exchange.isHead && stream == nil && wire.isOpen && !service.isStopping
    }

    /// Appends the next answer, with JSON that `write` appends, to what is sent at the end of this turn.
    func send(_ status: Response.Status, _ write: (inout ByteBuffer) -> Void) {
        open.removeFirst()
        service.body.clear()
        write(&service.body)
        Response.json(status, service.body).write(to: &wire.output, isHead: false, closing: false)
        mark()
    }

    /// An answer may be ready: it is sent at the end of this turn.
    func mark() {
        guard !isMarked else { return }
        isMarked = true
        service.mark(self)
    }

    /// Sends every answer whose turn it is, in one write.
    func sendReady() {
        isMarked = false
        guard wire.isOpen else { return }
        var closes = false
        while !closes, stream == nil, let exchange = open.first, let response = exchange.response {
            open.removeFirst()
            closes = response.closes || exchange.isLast || (open.isEmpty && endsWhenAnswered)
            response.write(to: &wire.output, isHead: exchange.isHead, closing: closes)
        }
        if closes { open.removeAll() }
        if stream == nil, open.isEmpty, endsWhenAnswered { closes = true }
        if closes { lingerOnceSent() }
        if !wire.flush() { return close() }
        listen()
    }

    /// Has the wire say that nothing more will come. The client is waited for a little, until it hangs up: closing with unread bytes would
    /// reset the connection, and the client might never see the answer.
    private func lingerOnceSent() {
        state = .closing
        since = service.now
        if inputIsClosed { wire.endAll() } else { wire.endOutput() }
    }

    /// The socket takes bytes again.
    func writable() {
        if wire.flush() { listen() } else { close() }
    }

    private func sendNow(_ text: StaticString) {
        wire.output.writeStaticString(text)
        if !wire.flush() { close() }
    }

    /// Listens further unless too many answers are owed, or the client doesn't take those that it has.
    private func listen() {
        guard wire.isOpen, !inputIsClosed else { return }
        wire.listen(open.count < service.configuration.limits.pipelined && !wire.isFull)
    }

    // MARK: Streams

    /// Whether a stream may take the place of this exchange's answer: every answer before it must have left.
    func canStream(_ exchange: Exchange) -> Bool { wire.isOpen && open.first === exchange && stream == nil }

    /// Gives the way out to a stream of events, which keeps it until the connection ends. See ``canStream(_:)``.
    func begin(_ stream: EventStream) {
        open.removeAll()
        self.stream = stream
    }

    /// Sends part of a stream.
    ///
    /// - Parameter sent: called when the bytes are with the operating system (true), or the connection has ended (false): a slow reader
    ///   slows the stream.
    func send(_ part: ByteBuffer, sent: @escaping (Bool) -> Void = { _ in }) {
        guard wire.isOpen, stream != nil else { return sent(false) }
        wire.output.writeImmutableBuffer(part)
        if !wire.flush() { close() }
        wire.afterSending(sent)
    }
}
