import MoonbusEvents
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// One connection to a running service: a request, its answer, the next request.
///
///     try await ServiceClient.connect(to: address) { client in
///         let answer = try await client.send(.POST, "/events/hello", contentType: "application/json", body: …)
///     }
///
/// Small on purpose: the command talks to one server that it knows, over loopback; a general client would cost minutes of building.
struct ServiceClient {
    typealias Connection = NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>

    struct Answer {
        var status: Int
        var headers: HTTPHeaders
        var body: ByteBuffer
    }

    /// How long a service may take for an answer, or for the next piece of it.
    static let patience = Duration.seconds(15)

    private let address: ServiceAddress
    private let channel: any Channel
    private let patience: Duration
    private let outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>
    private let inbound: Box
    private let ending = Ending()

    /// Whether the connection was closed from here. One flag for all that is waited for: an alarm may ring as the answer's head comes, and it is
    /// then the body that misses the connection.
    private final class Ending: Sendable {
        let isGivenUp = Atomic(false)
    }

    /// An iterator that a struct can hold and advance.
    private final class Box {
        var parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator
        init(_ parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator) { self.parts = parts }
    }

    /// Connects, runs `body` and hangs up.
    ///
    /// - Parameter patience: how long the service may take for an answer, beside what a request lets it wait.
    /// - Throws: ``CommandError`` 69 when nobody answers there.
    static func connect<Value>(
        to address: ServiceAddress, patience: Duration = Self.patience, _ body: (ServiceClient) async throws -> Value
    ) async throws -> Value {
        let connection: Connection
        do {
            connection = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .connectTimeout(.seconds(5))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: address.host, port: address.port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try Connection(wrappingChannelSynchronously: channel)
                    }
                }
        } catch {
            throw unreachable(address)
        }
        return try await connection.executeThenClose { inbound, outbound in
            try await body(
                ServiceClient(
                    address: address, channel: connection.channel, patience: patience, outbound: outbound,
                    inbound: Box(inbound.makeAsyncIterator())))
        }
    }

    /// Whether another request can be sent.
    var isConnected: Bool { channel.isActive }

    /// Sends a request and collects its answer.
    ///
    /// - Parameter wait: how long the request lets the service wait before it answers.
    /// - Throws: ``CommandError`` 69 when the connection ends before the answer, 75 when none came in time; then the connection is closed.
    func send(
        _ method: HTTPMethod, _ target: String, contentType: String? = nil, body: ByteBuffer = ByteBuffer(),
        fields: [(String, String)] = [],
        wait: Duration = .zero
    ) async throws -> Answer {
        let head = try await begin(method, target, contentType: contentType, body: body, fields: fields, wait: wait)
        var answer = Answer(status: Int(head.status.code), headers: head.headers, body: ByteBuffer())
        while let part = try await within(patience, nextPart) { answer.body.writeImmutableBuffer(part) }
        return answer
    }

    /// Sends a request and returns the head of its answer; ``nextPart()`` gives the body, for which there is no limit.
    ///
    /// - Throws: as ``send(_:_:contentType:body:fields:wait:)`` does.
    func begin(
        _ method: HTTPMethod, _ target: String, contentType: String?, body: ByteBuffer, fields: [(String, String)] = [],
        wait: Duration = .zero
    ) async throws -> HTTPResponseHead {
        try await within(wait + patience) { try await head(of: method, target, contentType: contentType, body: body, fields: fields) }
    }

    /// Does something that waits for the service. When it takes too long the connection is closed: that ends whatever waits for it.
    private func within<Value>(_ limit: Duration, _ work: () async throws -> Value) async throws -> Value {
        let alarm = channel.eventLoop.scheduleTask(in: .nanoseconds(Int64(limit / .nanoseconds(1)))) { [channel, ending] in
            ending.isGivenUp.store(true, ordering: .relaxed)
            channel.close(promise: nil)
        }
        defer { alarm.cancel() }
        do {
            return try await work()
        } catch {
            guard ending.isGivenUp.load(ordering: .relaxed) else { throw error }
            throw CommandError(
                .tryLater, "\(address.authority) took the connection and did not answer within \(DurationText.format(limit))")
        }
    }

    private func head(
        of method: HTTPMethod, _ target: String, contentType: String?, body: ByteBuffer, fields: [(String, String)]
    ) async throws -> HTTPResponseHead {
        var headers: HTTPHeaders = ["Host": address.authority, "User-Agent": "moonbus/\(MoonbusCommand.version)"]
        if let contentType { headers.add(name: "Content-Type", value: contentType) }
        for (name, value) in fields { headers.add(name: name, value: value) }
        if method != .GET { headers.add(name: "Content-Length", value: "\(body.readableBytes)") }
        do {
            let head = HTTPRequestHead(version: .http1_1, method: method, uri: target, headers: headers)
            try await outbound.write(contentsOf: [.head(head), .body(.byteBuffer(body)), .end(nil)])
            while let part = try await inbound.parts.next() {
                if case .head(let head) = part { return head }
            }
        } catch is IOError {
        } catch is ChannelError {
        } catch is HTTPParserError {}
        throw Self.unreachable(address, "the service at \(address.text) hung up")
    }

    /// The next part of an answer's body; nil at its end.
    func nextPart() async throws -> ByteBuffer? {
        do {
            while let part = try await inbound.parts.next() {
                switch part {
                case .head: continue
                case .body(let bytes): return bytes
                case .end: return nil
                }
            }
        } catch is IOError {
        } catch is HTTPParserError {}
        throw Self.unreachable(address, "the service at \(address.text) hung up")
    }

    private static func unreachable(_ address: ServiceAddress, _ what: String? = nil) -> CommandError {
        CommandError(
            .unreachable,
            "\(what ?? "no service answers at \(address.text)"): is `moonbus run` running there? Name another with --url or MOONBUS_URL")
    }
}
