import Foundation
import Glibc
import MoonbusEvents

/// A blocking HTTP/1.1 connection to a service on 127.0.0.1. Requests may be pipelined: send several, then read as many answers.
///
/// Blocking on purpose: whoever publishes here has a thread, and knows at every moment what was sent and what was answered.
final class Loopback {
    struct Failure: Error, CustomStringConvertible { let description: String }

    struct Answer {
        var status: Int
        var fields: [String: String]
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
        /// The body, which must be JSON.
        var json: JSON { get throws { try JSON(text) } }
    }

    private let socket: Int32
    private var buffer: [UInt8] = []

    /// - Parameter patience: how long an answer may take before it is called a failure.
    init(port: Int, patience: Duration = .seconds(30)) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var limit = timeval(tv_sec: Int(patience.components.seconds), tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var one: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard status == 0 else {
            close(socket)
            throw Failure(description: "connect: \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(socket) }

    /// Sends a request and reads its answer.
    func ask(_ method: String, _ target: String, _ body: String = "", type: String = "application/json") throws -> Answer {
        try send(Self.request(method, target, body, type: type))
        return try answer()
    }

    /// The bytes of a request.
    static func request(_ method: String, _ target: String, _ body: String, type: String = "application/json") -> [UInt8] {
        let fields = "Host: 127.0.0.1\r\nContent-Type: \(type)\r\nContent-Length: \(body.utf8.count)"
        let head = "\(method) \(target) HTTP/1.1\r\n\(fields)\r\n\r\n"
        return Array((head + body).utf8)
    }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Failure(description: "send: \(String(cString: strerror(errno)))") }
            sent += count
        }
    }

    /// Reads the next answer.
    func answer() throws -> Answer {
        var end = headEnd()
        while end == nil {
            try readMore()
            end = headEnd()
        }
        guard let end else { throw Failure(description: "no head") }
        let lines = String(decoding: buffer[..<end], as: UTF8.self).components(separatedBy: "\r\n")
        guard let status = lines[0].split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw Failure(description: "not HTTP: \(lines[0])")
        }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        let size = fields["content-length"].flatMap { Int($0) } ?? 0
        while buffer.count < end + 4 + size { try readMore() }
        let body = Array(buffer[(end + 4)..<(end + 4 + size)])
        buffer.removeFirst(end + 4 + size)
        return Answer(status: status, fields: fields, body: body)
    }

    private func headEnd() -> Int? {
        guard buffer.count >= 4 else { return nil }
        return (0...(buffer.count - 4)).first { buffer[$0] == 13 && buffer[$0 + 1] == 10 && buffer[$0 + 2] == 13 && buffer[$0 + 3] == 10 }
    }

    private func readMore() throws {
        var bytes = [UInt8](repeating: 0, count: 16_384)
        let count = recv(socket, &bytes, bytes.count, 0)
        guard count > 0 else {
            throw Failure(description: count == 0 ? "the service hung up" : "recv: \(String(cString: strerror(errno)))")
        }
        buffer += bytes[..<count]
    }
}

/// Runs what blocks on a thread of its own.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}
