import Foundation
import Glibc
import MoonbusEvents
import NIOCore
import NIOHTTP1
import Testing

@testable import MoonbusCommand

@Suite(.timeLimit(.minutes(1))) struct ServiceClientTests {
    /// A socket that takes connections and then says `text` to the first, or nothing at all: what a stopped process does.
    private final class Silent {
        private let descriptor: Int32
        let address: ServiceAddress

        init() throws {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let port = withUnsafeMutablePointer(to: &name) { name in
                name.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                    (bind(descriptor, name, size), listen(descriptor, 8), getsockname(descriptor, name, &size))
                }
            }
            try #require(port == (0, 0, 0))
            self.descriptor = descriptor
            address = try ServiceAddress("http://127.0.0.1:\(UInt16(bigEndian: name.sin_port))")
        }

        /// Says something to the next one that connects and asks.
        func say(_ text: String) {
            let descriptor = descriptor
            Thread.detachNewThread {
                let client = accept(descriptor, nil, nil)
                var request = [UInt8](repeating: 0, count: 4_096)
                _ = read(client, &request, request.count)
                _ = text.withCString { Glibc.write(client, $0, strlen($0)) }
                while read(client, &request, request.count) > 0 {}
                close(client)
            }
        }

        deinit { close(descriptor) }
    }

    @Test func `a service that takes the connection and does not answer is given up, with 75 and its address`() async throws {
        let silent = try Silent()
        let error = await #expect(throws: CommandError.self) {
            try await ServiceClient.connect(to: silent.address, patience: .milliseconds(200)) { client in
                try await client.ask("/events")
            }
        }
        #expect(error?.code == .tryLater)
        #expect(error?.message == "\(silent.address.authority) took the connection and did not answer within 200ms")
    }

    @Test func `what a request lets the service wait comes on top`() async throws {
        let silent = try Silent()
        let error = await #expect(throws: CommandError.self) {
            try await ServiceClient.connect(to: silent.address, patience: .milliseconds(200)) { client in
                try await client.send(.POST, "/events?wait=100ms", wait: .milliseconds(100))
            }
        }
        #expect(error?.message.hasSuffix("within 300ms") == true)
    }

    @Test func `an emit without an answer says that nobody knows whether the events were recorded`() async throws {
        let silent = try Silent()
        let plan = EmissionPlan(
            type: try EventType("a"), input: .single(nil, count: 3), wait: .zero, count: 3, isSingle: true, json: false)
        let error = await #expect(throws: CommandError.self) {
            try await ServiceClient.connect(to: silent.address, patience: .milliseconds(200)) { client in
                var emission = Emission(plan, client)
                try await emission.run()
            }
        }
        #expect(error?.code == .tryLater)
        #expect(error?.message.hasSuffix("within 200ms: whether the last 3 events were recorded is not known") == true)
    }

    @Test func `an answer that stops halfway is given up too, but for a stream only its head is waited for`() async throws {
        let silent = try Silent()
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
        let error = await #expect(throws: CommandError.self) {
            silent.say(half)
            return try await ServiceClient.connect(to: silent.address, patience: .milliseconds(200)) { client in
                try await client.ask("/events")
            }
        }
        #expect(error?.code == .tryLater)
        silent.say("HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
        let stream = try await ServiceClient.connect(to: silent.address, patience: .seconds(20)) { client in
            let head = try await client.begin(.GET, "/events/stream", contentType: nil, body: ByteBuffer())
            return (head.status.code, try await client.nextPart().map { String(buffer: $0) })
        }
        #expect(stream.0 == 200)
        #expect(stream.1 == "data: 1\n\n")
    }
}
