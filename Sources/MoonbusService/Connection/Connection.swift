import MoonbusEvents
import NIOCore
import NIOHTTP1

/// One client's connection: requests come in, are checked and handed to the routes; answers go out in the order of the requests.
///
/// Everything here runs on the event-loop thread. The life of a connection:
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
final class Connection: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    private enum State {
        case head
        case body(Exchange, Request, refused: Bool)
        case closing
        case gone
    }

    let service: ServiceLoop
    private(set) var context: ChannelHandlerContext?
    private var state = State.head
    private var open = CircularBuffer<Exchange>()
    private var body = ByteBuffer()
    private var out = ByteBuffer()
    /// Set when an answer may be ready to leave.
    var isDirty = false
    /// A stream of events has taken over the way out.
    private var stream: EventStream?
    private var readIsHeld = false
    private var inputIsClosed = false
    /// Bytes of a header came, but not yet its end; since when.
    private var headBegan: NIODeadline?
    /// When the state last changed.
    private var since = NIODeadline.now()
    /// The last target and its route: clients tend to repeat themselves.
    private var lastTarget: (method: HTTPMethod, uri: String, route: Route)?

    init(_ service: ServiceLoop) { self.service = service }

    // MARK: Opening and closing

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        since = service.now
        if !service.admit(self) {
            let limit = service.configuration.limits.connections
            refuse(
                Problem(
                    .unavailable, "there are \(limit) connections already", remedy: "use one connection for many requests, or try again"))
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        state = .gone
        stream?.cancel()
        stream = nil
        open.removeAll()
        service.forget(self)
        self.context = nil
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            // The client has said everything; it may still be waiting for answers.
            inputIsClosed = true
            if case .head = state { state = .closing }
            if stream != nil || open.isEmpty { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError else {
            context.close(promise: nil)  // the socket broke: nobody is there to be told
            return
        }
        switch error {
        case .headerOverflow:
            let limits = service.configuration.limits
            let problem = Problem(.headTooLarge, "the header has more than \(limits.headBytes) bytes or \(limits.fields) fields")
            refuse(problem)
        case .invalidEOFState: context.close(promise: nil)
        case .invalidVersion: refuse(Problem(.badVersion, "the request line names another version"))
        default: refuse(Problem(.badRequest, "\(error)", remedy: "send one request as RFC 9112 describes it"))
        }
    }

    /// Ends the connection once its open requests are answered.
    func finish() {
        stream?.cancel()
        stream = nil
        if case .head = state, open.isEmpty { close() } else if case .head = state { state = .closing }
    }

    /// Ends the connection now.
    func close() { context?.close(promise: nil) }

    /// Answers `problem` after everything that is owed, and ends the connection.
    private func refuse(_ problem: Problem) {
        var problem = problem
        problem.closes = true
        switch state {
        case .closing, .gone: return
        case .body(let exchange, _, refused: false): exchange.answer(problem)
        case .body: break
        case .head:
            let exchange = Exchange(self, isHead: false, isLast: true)
            open.append(exchange)
            exchange.answer(problem)
        }
        state = .closing
        since = service.now
        sendReady()
    }

    /// Looks at the clock; called now and then.
    func tick(_ now: NIODeadline) {
        let limits = service.configuration.limits
        switch state {
        case .head:
            if let began = headBegan, now - began > TimeAmount(limits.head) {
                refuse(Problem(.timeout, "the header was not complete after \(DurationText.format(limits.head))"))
            } else if open.isEmpty, stream == nil, now - since > TimeAmount(limits.idle) {
                close()
            }
        case .body:
            if now - since > TimeAmount(limits.body) {
                refuse(Problem(.timeout, "the body was not complete after \(DurationText.format(limits.body))"))
            }
        case .closing:
            // What is owed may take its time; a client that neither reads nor hangs up may not.
            if open.isEmpty, now - since > .seconds(2) { close() }
        case .gone: break
        }
    }

    // MARK: Requests

    /// Told by ``ReadClock`` before the decoder sees the bytes.
    func bytesCame() {
        if case .head = state, headBegan == nil { headBegan = service.now }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .head): begin(head)
        case (.body(let part), .body(_, _, refused: false)):
            if body.readableBytes == 0 { body = part } else { body.writeImmutableBuffer(part) }
            if body.readableBytes > service.configuration.limits.bodyBytes { refuse(tooLarge()) }
        case (.end, .body(let exchange, let request, let refused)):
            state = exchange.isLast ? .closing : .head
            since = service.now
            let whole = body
            body = ByteBuffer()
            if !refused { service.routes.handle(request, whole, exchange) }
        default: break  // the rest of something that was refused
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isDirty { sendReady() }
        context.fireChannelReadComplete()
    }

    private func begin(_ head: HTTPRequestHead) {
        headBegan = nil
        since = service.now
        let exchange = Exchange(self, isHead: head.method == .HEAD, isLast: !head.isKeepAlive || service.isStopping)
        open.append(exchange)
        let fields = RequestFields(head.headers)
        do throws(Problem) {
            let target = try check(head, fields)
            let route = try route(head.method, target)
            if let length = fields.contentLength, length > service.configuration.limits.bodyBytes { throw tooLarge() }
            if fields.expectsContinue, open.count == 1 { sendNow("HTTP/1.1 100 Continue\r\n\r\n") }
            let request = Request(
                route: route, mediaType: fields.mediaType, traceparent: fields.traceparent, headers: head.headers,
                isBinaryEvent: fields.isBinaryEvent)
            state = .body(exchange, request, refused: false)
        } catch {
            exchange.answer(error)
            if error.closes {
                state = .closing
            } else {
                // The header was fine, so the body's end is known: it is read and thrown away, and the connection goes on.
                let request = Request(route: .index, mediaType: nil, traceparent: nil, headers: HTTPHeaders(), isBinaryEvent: false)
                state = .body(exchange, request, refused: true)
            }
        }
    }

    private func route(_ method: HTTPMethod, _ target: String) throws(Problem) -> Route {
        if let last = lastTarget, last.uri == target, last.method == method { return last.route }
        let route = try Route(method, target, service.configuration)
        lastTarget = (method, target, route)
        return route
    }

    /// What every request must pass before anyone looks at what it wants.
    ///
    /// - Returns: the request target in origin form.
    private func check(_ head: HTTPRequestHead, _ fields: RequestFields) throws(Problem) -> String {
        if service.isStopping {
            var problem = Problem(.unavailable, "the service is stopping", remedy: "try again when it is back")
            problem.retryAfter = 1
            problem.closes = true
            throw problem
        }
        guard head.version.major == 1, head.version.minor <= 1 else {
            throw Problem(.badVersion, "\(head.version) is not spoken here").closing
        }
        var target = head.uri
        var authority = fields.host
        if !target.utf8.starts(with: "/".utf8) {
            guard let absolute = AbsoluteTarget(target) else {
                throw Problem(.badTarget, "the request target must be a path", remedy: "send a path that begins with '/'").closing
            }
            (authority, target) = (absolute.authority, absolute.target)
        }
        guard fields.hosts == 1 || (fields.hosts == 0 && head.version.minor == 0 && head.version.major == 1 && authority.isEmpty) else {
            throw Problem(.badRequest, fields.hosts == 0 ? "there is no Host field" : "there is more than one Host field").closing
        }
        guard fields.hosts == 0 || (service.hostGuard.admits(host: authority) && service.hostGuard.admits(host: fields.host)) else {
            throw Problem(.badHost, "'\(authority.prefix(100))' is not a name of this service", remedy: service.hostGuard.remedy)
        }
        if let origin = fields.origin, !service.hostGuard.admits(origin: origin) {
            throw Problem(
                .badOrigin, "the page at '\(origin.prefix(100))' is not ours",
                remedy: "call the service from a program, not from a web page")
        }
        if fields.isEncoded { throw Problem(.badMediaType, "a compressed body is not understood", remedy: "send the body as it is") }
        return target
    }

    private func tooLarge() -> Problem {
        Problem(
            .tooLarge, "the body has more than \(service.configuration.limits.bodyBytes) bytes",
            remedy: "send several events, or keep large data elsewhere and send its address"
        ).closing
    }

    // MARK: Answers

    /// Sends every answer whose turn it is, in one write.
    func sendReady() {
        isDirty = false
        guard let context else { return }
        var closes = false
        while !closes, stream == nil, let exchange = open.first, let response = exchange.response {
            open.removeFirst()
            closes = response.closes || exchange.isLast
            response.write(to: &out, isHead: exchange.isHead, closing: closes)
        }
        if out.readableBytes > 0 {
            context.writeAndFlush(wrapOutboundOut(out), promise: nil)
            out = ByteBuffer()
        }
        if closes {
            open.removeAll()
            lingeringClose()
        } else if open.isEmpty, case .closing = state, stream == nil {
            lingeringClose()
        } else if readIsHeld {
            read(context: context)
        }
    }

    /// Says that nothing more will come, and waits a little for the client to hang up: closing with unread bytes would reset the
    /// connection, and the client might never see the answer.
    private func lingeringClose() {
        state = .closing
        since = service.now
        guard let context else { return }
        if inputIsClosed { context.close(promise: nil) } else { context.close(mode: .output, promise: nil) }
    }

    private func sendNow(_ text: StaticString) {
        out.writeStaticString(text)
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(out), promise: nil)
        out = ByteBuffer()
    }

    // MARK: Streams

    /// Gives the way out to a stream of events, once every answer before it has left; it keeps it until the connection ends.
    ///
    /// - Returns: false when the connection can't carry a stream any more.
    func begin(_ stream: EventStream, on exchange: Exchange) -> Bool {
        guard let context, open.first === exchange, self.stream == nil else { return false }
        if out.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(out), promise: nil) }
        out = ByteBuffer()
        open.removeAll()
        self.stream = stream
        return true
    }

    /// Sends part of a stream. The future completes when the bytes are with the operating system: a slow reader slows the stream.
    func send(_ part: ByteBuffer) -> EventLoopFuture<Void>? {
        context?.writeAndFlush(wrapOutboundOut(part))
    }

    // MARK: Backpressure

    func read(context: ChannelHandlerContext) {
        readIsHeld = open.count >= service.configuration.limits.pipelined || !context.channel.isWritable
        if !readIsHeld { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if readIsHeld, context.channel.isWritable { read(context: context) }
        context.fireChannelWritabilityChanged()
    }
}

extension Problem {
    /// The same, and the connection ends with it.
    fileprivate var closing: Problem {
        var problem = self
        problem.closes = true
        return problem
    }
}

/// `http://host:port/path?query` as a request target (RFC 9112, 3.2.2): a proxy may send it, so a server must take it.
private struct AbsoluteTarget {
    let authority: String
    let target: String

    init?(_ text: String) {
        guard text.lowercased().hasPrefix("http://") else { return nil }
        let rest = text.dropFirst(7)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        authority = String(rest[..<end])
        guard !authority.isEmpty, !authority.contains("@") else { return nil }
        let tail = rest[end...]
        target = tail.hasPrefix("/") ? String(tail) : "/\(tail)"
    }
}

extension TimeAmount {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
