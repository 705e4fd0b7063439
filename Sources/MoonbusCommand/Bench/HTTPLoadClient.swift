import Glibc

/// One connection of an ``HTTPLoad``. Requests may be pipelined; answers come in their order.
final class HTTPLoadClient {
    /// Milliseconds after which a service that says nothing is given up.
    static let patience: Int32 = 10_000

    let socket: Int32
    /// As many requests as may be under way, one behind the other.
    private let requests: [UInt8]
    private let requestSize: Int
    private let expected: [UInt8]
    /// How a right answer begins.
    private let statusLine: [UInt8]
    /// When the requests that are not answered were sent, or due.
    private var sent: [Double] = []
    private var input: [UInt8] = []

    /// - Parameter window: how many requests are sent at once, at most.
    /// - Throws: ``CommandError`` when nobody listens.
    init(port: Int, request: [UInt8], expected: [UInt8], status: String, window: Int) throws {
        requests = Array(repeatElement(request, count: window).joined())
        requestSize = request.count
        self.expected = expected
        statusLine = Array("HTTP/1.1 \(status) ".utf8)
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard status == 0 else { throw CommandError(.unreachable, "port \(port): \(String(cString: strerror(errno)))") }
        var on: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { close(socket) }

    /// Sends the request, `count` times.
    func send(_ count: Int = 1, at time: Double) throws {
        for _ in 0..<count { sent.append(time) }
        let size = requestSize * count
        var offset = 0
        while offset < size {
            let count = requests.withUnsafeBytes { bytes in
                Glibc.send(socket, bytes.baseAddress?.advanced(by: offset), size - offset, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw CommandError(.internal, "the service hung up: \(String(cString: strerror(errno)))") }
            offset += count
        }
    }

    /// Reads once, and notes how long what was answered took.
    ///
    /// - Returns: how many answers there were.
    func receive(into times: inout [Double]) throws -> Int {
        let count = withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { space in
            let count = recv(socket, space.baseAddress, space.count, 0)
            if count > 0 { input.append(contentsOf: space[..<count]) }
            return count
        }
        guard count > 0 else { throw CommandError(.internal, "the service hung up") }
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) * 1e-3
        var (used, answered) = (0, 0)
        while let size = try answerSize(from: used) {
            used += size
            times.append(now - sent[answered])
            answered += 1
        }
        input.removeFirst(used)
        sent.removeFirst(answered)
        return answered
    }

    /// The size of the answer that begins at `start`; nil when it is not all there.
    ///
    /// - Throws: ``CommandError`` when it is another answer than the expected one.
    private func answerSize(from start: Int) throws -> Int? {
        try input.withUnsafeBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
            guard let head = rest.offset(of: "\r\n\r\n".utf8), let field = rest.offset(of: "Content-Length: ".utf8), field < head else {
                return nil
            }
            var size = 0
            for byte in rest[(field + 16)...].prefix(while: { (48...57).contains($0) }) { size = size * 10 + Int(byte - 48) }
            let total = head + 4 + size
            guard rest.count >= total else { return nil }
            let answer = UnsafeRawBufferPointer(rebasing: rest[..<total])
            guard answer.starts(with: statusLine), answer.offset(of: expected) != nil else {
                throw CommandError(.internal, "the service answered \(String(decoding: answer, as: UTF8.self))")
            }
            return total
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Where `text` begins.
    fileprivate func offset(of text: some Collection<UInt8>) -> Int? {
        var rest = self[...]
        while let first = text.first, let index = rest.firstIndex(of: first) {
            if rest[index...].starts(with: text) { return index }
            rest = rest[(index + 1)...]
        }
        return nil
    }
}
