import CLuaShim
import Glibc
import MoonbusLua
import Synchronization

/// A thread that interrupts or kills what runs on a lane, at random moments, while it may.
///
/// `begin` and `end` bracket the runs that it may hit; outside of them it hits nothing.
final class Tormentor: @unchecked Sendable {
    private let lane: OpaquePointer
    private let level: Int32
    private let pause: ClosedRange<UInt32>
    private let state = Mutex((isAllowed: false, isOver: false))
    private var thread = pthread_t()

    /// - Parameter pause: microseconds between two attempts.
    init(_ lane: LuaLane, level: Int32, pause: ClosedRange<UInt32> = 20...600) {
        self.lane = lane.handle
        self.level = level
        self.pause = pause
        let pointer = Unmanaged.passUnretained(self).toOpaque()
        pthread_create(
            &thread, nil,
            {
                Unmanaged<Tormentor>.fromOpaque($0!).takeUnretainedValue().run(); return nil
            }, pointer)
    }

    func begin() { state.withLock { $0.isAllowed = true } }
    func end() { state.withLock { $0.isAllowed = false } }

    func stop() {
        state.withLock { $0.isOver = true }
        pthread_join(thread, nil)
    }

    private func run() {
        var generator = SystemRandomNumberGenerator()
        while true {
            usleep(UInt32.random(in: pause, using: &generator))
            let isOver = state.withLock { state in
                // Under the lock: once `end` has returned, no request can be for a later run.
                if state.isAllowed { moonbus_test_interrupt(lane, level) }
                return state.isOver
            }
            if isOver { return }
        }
    }
}
