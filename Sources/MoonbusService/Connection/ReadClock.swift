import NIOCore

/// Sits before the decoder and tells the connection that bytes came: the decoder keeps the beginning of a header to itself, and
/// a client that sends one byte a second must not be waited for for ever.
final class ReadClock: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let connection: Connection

    init(_ connection: Connection) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.bytesCame()
        context.fireChannelRead(data)
    }
}
