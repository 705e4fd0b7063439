import NIOCore
import NIOEmbedded
import NIOHTTP1

/// NIO's HTTP/1 decoder, fed by hand: bytes in, parts of requests out, all in the same call.
///
/// The decoder needs a channel around it, and this one does nothing else: the socket is a ``Wire``, so that a request, the bus and the
/// lanes are turns of one loop. With NIO's own loop each request changed threads twice, which cost more than all that is done for it.
final class RequestDecoder {
    private let channel: EmbeddedChannel
    private let sink: Sink

    /// - Parameter loop: shared by all connections; nothing is ever scheduled on it but the end of a decoder.
    init(_ limits: ServiceLimits, loop: EmbeddedEventLoop, connection: Connection) {
        var configuration = NIOHTTPDecoderLimitConfiguration()
        configuration.maxHeaderFieldSize = limits.headBytes
        configuration.maxHeaderListSize = limits.headBytes
        configuration.maxHeaderFieldCount = limits.fields
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: configuration)
        sink = Sink(connection)
        channel = EmbeddedChannel(handlers: [ByteToMessageHandler(decoder), sink], loop: loop)
    }

    /// Gives the connection what is complete by now, in order.
    func decode(_ bytes: ByteBuffer) {
        channel.pipeline.syncOperations.fireChannelRead(NIOAny(bytes))
    }

    /// Lets the parser go. Not from inside of ``decode(_:)``.
    func end() {
        sink.connection = nil
        channel.close(promise: nil)
        // What is left of a decoder is taken apart by its loop.
        channel.embeddedEventLoop.run()
    }

    private final class Sink: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart

        var connection: Connection?

        init(_ connection: Connection) { self.connection = connection }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { connection?.take(Self.unwrapInboundIn(data)) }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { connection?.decodingFailed(error) }
    }
}
