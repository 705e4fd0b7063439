import Glibc
import MoonbusDispatch
import NIOCore

/// A client's socket on the bus's owner thread: bytes in as they come, bytes out as far as the client takes them.
///
/// One read a turn: whoever sends much has to wait for the others. What the socket doesn't take stays in `output` until it can be
/// written again; the connection reads ``isFull`` and then listens no further, so a client that doesn't read its answers is bounded.
final class Wire {
    /// More unsent bytes than this, and the client is not listened to.
    private static let backlogMax = 64 << 10
    /// Memory beyond this is given back once everything is sent.
    private static let capacityKept = 64 << 10

    private enum End {
        case none
        /// Once everything is sent: say that nothing more comes.
        case output
        /// Once everything is sent: close.
        case all
    }

    /// What is to be sent; appended to by the connection, which then calls ``flush()``.
    @exclusivity(unchecked) var output = ByteBuffer()
    @exclusivity(unchecked) private(set) var isOpen = true
    private let socket: Int32
    private let owner: OwnerThread
    @exclusivity(unchecked) private var watch: FileWatch?
    private var end = End.none
    /// Who waits until everything is sent.
    private var whenSent: ((Bool) -> Void)?

    /// - Parameter socket: non-blocking; closed by this object.
    init(_ socket: Int32, owner: OwnerThread) {
        self.socket = socket
        self.owner = owner
    }

    deinit { assert(!isOpen, "a wire is closed before it is let go") }

    /// Begins to listen.
    func open(_ connection: Connection) {
        // Unowned: the service keeps a connection until it has ended, and then this watch is gone.
        watch = owner.watch(
            socket,
            readable: { [unowned connection] in connection.readable() },
            writable: { [unowned connection] in connection.writable() })
    }

    // MARK: Receiving

    /// What a read came to.
    enum Received {
        case bytes
        case nothing
        /// The client has said all that it will say.
        case end
        /// There is nobody any more.
        case failed
    }

    /// Reads once.
    func receive(into input: inout ByteBuffer) -> Received {
        // Not asked for, so it is a hang-up: nothing that could still be said would arrive.
        guard let watch, watch.wantsToRead else { return .failed }
        input.clear(minimumCapacity: ServiceLoop.readSize)
        var cause: Int32 = 0
        repeat {
            let count = input.writeWithUnsafeMutableBytes(minimumWritableBytes: ServiceLoop.readSize) { space in
                let count = recv(socket, space.baseAddress, space.count, 0)
                cause = count < 0 ? errno : 0
                return max(0, count)
            }
            if count > 0 { return .bytes }
        } while cause == EINTR
        return cause == 0 ? .end : cause == EAGAIN ? .nothing : .failed
    }

    /// Listens to the client, or doesn't.
    func listen(_ isWanted: Bool) {
        if let watch, watch.wantsToRead != isWanted { watch.wantsToRead = isWanted }
    }

    // MARK: Sending

    /// The client doesn't take its answers.
    var isFull: Bool { output.readableBytes > Self.backlogMax }

    /// Sends what waits, as far as the socket takes it.
    ///
    /// - Returns: false when the client is gone: the caller closes.
    func flush() -> Bool {
        while output.readableBytes > 0 {
            let sent = output.withUnsafeReadableBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent > 0 {
                output.moveReaderIndex(forwardBy: sent)
            } else if errno == EAGAIN {
                watch?.wantsToWrite = true
                return true
            } else if errno != EINTR {
                return false
            }
        }
        return sentAll()
    }

    private func sentAll() -> Bool {
        if output.capacity > Self.capacityKept { output = ByteBuffer() } else { output.clear() }
        if let watch, watch.wantsToWrite { watch.wantsToWrite = false }
        tell(true)
        switch end {
        case .none: return true
        case .output:
            shutdown(socket, Int32(SHUT_WR))
            return true
        case .all: return false
        }
    }

    /// Calls back once everything is sent (true), or never will be (false).
    func afterSending(_ then: @escaping (Bool) -> Void) {
        guard isOpen, output.readableBytes > 0 else { return then(isOpen) }
        tell(false)
        whenSent = then
    }

    private func tell(_ isSent: Bool) {
        guard let then = whenSent else { return }
        whenSent = nil
        then(isSent)
    }

    // MARK: The end

    /// Says that nothing more will come, once everything is sent; the client may go on sending. The next ``flush()`` does it.
    func endOutput() {
        if end == .none { end = .output }
    }

    /// Closes once everything is sent: then the next ``flush()`` returns false.
    func endAll() { end = .all }

    /// Closes now.
    func close() {
        guard isOpen else { return }
        isOpen = false
        if let watch { owner.unwatch(watch) }
        watch = nil
        Glibc.close(socket)
        tell(false)
    }
}
