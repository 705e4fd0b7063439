import Glibc

/// A connection on which a test says exactly the bytes that it wants. Blocking: use it inside of ``conversation(with:_:)``.
struct RawConnection: ~Copyable {
    struct Failure: Error, CustomStringConvertible { let description: String }

    /// An answer as it came.
    struct Reply: Sendable {
        var status: Int
        /// By lower-case name.
        var fields: [String: String]
        var body: String
    }

    private let socket: Int32
    private var received: [UInt8] = []

    init(port: Int) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        // Far above what any answer takes, and a test that hangs ends.
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let failed = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard failed == 0 else { throw Failure(description: "connect: \(String(cString: strerror(errno)))") }
    }

    deinit { close(socket) }

    /// Sends text; what the other end no longer wants is not an error.
    func send(_ text: String) { send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress.map { $0 + offset }, bytes.count - offset, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            offset += count
        }
    }

    /// Says that nothing more will be sent.
    func endSending() { shutdown(socket, Int32(SHUT_WR)) }

    /// The next answer, its body read by its length.
    mutating func reply() throws -> Reply {
        let head = try text(until: "\r\n\r\n")
        let lines = head.split(separator: "\r\n").map(String.init)
        guard let first = lines.first, let status = Int(first.split(separator: " ").dropFirst().first ?? "") else {
            throw Failure(description: "not an answer: \(head)")
        }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmed }
            if parts.count == 2 { fields[parts[0].lowercased()] = parts[1] }
        }
        let size = Int(fields["content-length"] ?? "0") ?? 0
        while received.count < size { guard try more() else { throw Failure(description: "the connection ended inside of a body") } }
        let body = String(decoding: received.prefix(size), as: UTF8.self)
        received.removeFirst(size)
        return Reply(status: status, fields: fields, body: body)
    }

    /// What comes up to and with `end`.
    mutating func text(until end: String) throws -> String {
        let wanted = Array(end.utf8)
        while true {
            if let range = received.firstRange(of: wanted) {
                let text = String(decoding: received[..<range.upperBound], as: UTF8.self)
                received.removeFirst(range.upperBound)
                return text
            }
            guard try more() else {
                throw Failure(description: "the connection ended; it had said: \(String(decoding: received, as: UTF8.self))")
            }
        }
    }

    /// Whether the other end has hung up, with nothing more said.
    mutating func isAtEnd() throws -> Bool { try received.isEmpty && !more() }

    private mutating func more() throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(socket, &chunk, chunk.count, 0)
        if count < 0, errno == ECONNRESET { return false }
        guard count >= 0 else { throw Failure(description: "recv: \(String(cString: strerror(errno)))") }
        received.append(contentsOf: chunk[..<count])
        return count > 0
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

/// What a new thread runs.
private final class Work: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Runs a blocking conversation on a thread of its own: the threads of Swift's pool must stay free for the service.
func conversation<Value: Sendable>(port: Int, _ talk: @escaping @Sendable (inout RawConnection) throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let work = Work {
            continuation.resume(
                with: Result {
                    var connection = try RawConnection(port: port)
                    return try talk(&connection)
                })
        }
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, Unmanaged.passRetained(work).toOpaque())
        pthread_detach(thread)
    }
}
