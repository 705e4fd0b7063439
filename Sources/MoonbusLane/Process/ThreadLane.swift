import Glibc
import Synchronization

/// A lane on a thread of this process: the same worker over the same frames, without the process border.
///
/// For embedders that trust their plugins, and for tests. Floor 1 of the isolation (docs/ARCHITECTURE.md) holds; floors 2 and 3 do not: a
/// script that finds a memory error in the interpreter takes the whole process with it.
package final class ThreadLane: Sendable {
    /// Lua's deepest legal recursion through C, with the host functions on top, needs 5 MiB; the rest is margin.
    static let stackSize = 16 << 20

    private let thread: pthread_t
    private let isJoined = Mutex(false)
    private let result: Result

    private final class Result: Sendable {
        let end = Mutex<LaneWorker.End?>(nil)
    }

    /// Starts a lane.
    ///
    /// - Parameters:
    ///   - socket: a connected stream socket; the lane closes it when it ends.
    ///   - page: `moonbus_page`, 64 bytes that must outlive the lane; nil when nobody reads it.
    ///   - area: where deliveries may lie, and which must outlive the lane; nil: all come through the socket.
    /// - Returns: nil when the system gives no thread; the socket is closed then.
    package static func start(socket: Int32, page: UnsafeMutableRawPointer?, area: UnsafeRawBufferPointer? = nil) -> ThreadLane? {
        let result = Result()
        // Handed over: the lane's thread is the only one in this process that reads them by these names.
        nonisolated(unsafe) let (page, area) = (page, area)
        let thread = spawnThread(stackSize: stackSize) {
            do throws(LaneWorker.End) {
                let end = try LaneWorker(socket: socket, page: page, area: area).run()
                result.end.withLock { $0 = end }
            } catch {
                result.end.withLock { $0 = error }
            }
            close(socket)
        }
        guard let thread else {
            close(socket)
            return nil
        }
        return ThreadLane(thread, result)
    }

    private init(_ thread: pthread_t, _ result: Result) {
        self.thread = thread
        self.result = result
    }

    deinit {
        if !isJoined.withLock({ $0 }) { pthread_detach(thread) }
    }

    /// Waits until the lane has ended: after `stop`, or after the other end of its socket was closed.
    package func join() -> LaneWorker.End? {
        isJoined.withLock { isJoined in
            if !isJoined { pthread_join(thread, nil) }
            isJoined = true
        }
        return result.end.withLock { $0 }
    }
}

/// Starts a thread with a stack of its own size; nil when the system refuses.
func spawnThread(stackSize: Int, _ body: @escaping @Sendable () -> Void) -> pthread_t? {
    final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, stackSize)
    var thread = pthread_t()
    let retained = Unmanaged.passRetained(Body(body))
    let status = pthread_create(
        &thread, &attributes,
        { body in
            if let body { Unmanaged<Body>.fromOpaque(body).takeRetainedValue().run() }
            return nil
        }, retained.toOpaque())
    guard status == 0 else {
        retained.release()
        return nil
    }
    return thread
}
