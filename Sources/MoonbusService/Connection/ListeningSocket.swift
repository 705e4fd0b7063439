import Glibc

/// A socket that listens on a loopback address.
struct ListeningSocket {
    /// Connections that the kernel keeps until they are taken.
    private static let backlog: Int32 = 256

    let descriptor: Int32
    /// The port that it got, which matters when 0 was asked for.
    let port: Int

    /// - Throws: ``ServiceError`` when the address can't be had.
    init(host: String, port: Int) throws(ServiceError) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, "\(port)", &hints, &found)
        guard status == 0, let address = found else {
            throw ServiceError(.unavailable, "can't listen on \(host):\(port): \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(found) }
        descriptor = socket(address.pointee.ai_family, address.pointee.ai_socktype | Self.flags, 0)
        guard descriptor >= 0 else { throw ServiceError(errno, host: host, port: port) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0, listen(descriptor, Self.backlog) == 0 else {
            let cause = errno
            Glibc.close(descriptor)
            throw ServiceError(cause, host: host, port: port)
        }
        self.port = Self.port(of: descriptor) ?? port
    }

    /// Non-blocking, and not inherited by the lanes.
    private static let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)

    private static func port(of descriptor: Int32) -> Int? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        guard status == 0 else { return nil }
        // The port lies at the same place in both families.
        return withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { Int(UInt16(bigEndian: $0.pointee.sin_port)) }
        }
    }

    /// What came of taking the next connection.
    enum Taken {
        case connection(Int32)
        case none
        /// No descriptors or memory left: it would be readable again and again, and nothing could be done about it.
        case exhausted
    }

    /// Takes the next connection that waits.
    func accept() -> Taken {
        while true {
            let client = Glibc.accept(descriptor, nil, nil)
            if client >= 0 {
                // Not accept4, which Swift's Glibc has not. Lanes are spawned on this thread, so none can inherit it in between.
                _ = fcntl(client, F_SETFD, FD_CLOEXEC)
                _ = fcntl(client, F_SETFL, O_NONBLOCK)
                var on: Int32 = 1
                setsockopt(client, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
                return .connection(client)
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
            default: return .none
            }
        }
    }

    func close() { Glibc.close(descriptor) }
}

extension ServiceError {
    fileprivate init(_ cause: Int32, host: String, port: Int) {
        switch cause {
        case EADDRINUSE:
            self.init(
                .portTaken,
                "port \(port) on \(host) is taken: another moonbus runs already, or another program uses it. Choose another with --port, or 0 for a free one"
            )
        case EACCES, EPERM:
            self.init(.portTaken, "port \(port) needs privileges: choose one above 1023 with --port")
        default: self.init(.unavailable, "can't listen on \(host):\(port): \(String(cString: strerror(cause)))")
        }
    }
}
