internal import CLinux
internal import Glibc
internal import MoonbusEvents

/// What an ``OwnerThread`` does in a turn besides its mailbox: timers, file descriptors, and the hooks at the turn's end.
///
/// `@unchecked Sendable`: confined to the owner thread, except for `endHooks`, which may also be filled before the thread starts.
final class Turns: @unchecked Sendable {
    var isOver = false
    /// True when something has run since the last end of a turn.
    @exclusivity(unchecked) var hasWorked = false
    /// What was posted for this turn and has not run yet.
    @exclusivity(unchecked) var waitingCount = 0
    var endHooks: [() -> Void] = []
    /// Called once, when the thread ends.
    var lastHooks: [() -> Void] = []
    private let clock: any WallClock
    private let keepsItsOwnTime: Bool
    private let epoll: Int32
    private let wakeFile: Int32
    // Unchecked: nothing but this thread touches them, at each turn.
    @exclusivity(unchecked) private var timers = Timers()
    @exclusivity(unchecked) private var watches: [FileWatch?] = []
    private var freeWatches: [Int] = []
    private var ready = [epoll_event](repeating: epoll_event(), count: 256)

    init(clock: any WallClock, wakeFile: Int32) {
        self.clock = clock
        keepsItsOwnTime = clock is SystemClock
        self.wakeFile = wakeFile
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(epoll >= 0, "no descriptors left for an event bus: raise the limit of open files")
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: .max))
        epoll_ctl(epoll, EPOLL_CTL_ADD, wakeFile, &event)
    }

    deinit {
        close(epoll)
    }

    /// Lets go of everything that others have left here: the thread ends.
    func clear() {
        endHooks = []
        timers = Timers()
        watches = []
    }

    // MARK: Timers

    var timerCount: Int { timers.count }

    func addTimer(after delay: Duration, _ fire: @escaping () -> Void) -> OwnerTimer {
        let deadline = clock.monotonic() + max(delay, .zero)
        return OwnerTimer(id: timers.add(deadline: deadline.wholeNanoseconds, fire))
    }

    func cancel(_ timer: OwnerTimer) {
        timers.cancel(timer.id)
    }

    func runDueTimers() {
        guard timers.next() != nil else { return }
        let now = clock.monotonic().wholeNanoseconds
        while let fire = timers.popDue(now) {
            fire()
            hasWorked = true
        }
    }

    func nextDeadline() -> Duration? {
        timers.next().map { .nanoseconds($0) }
    }

    /// True when nothing is left of what was posted before, and no timer is due.
    func isQuiet() -> Bool {
        if hasWorked || waitingCount > 0 { return false }
        guard let deadline = timers.next() else { return true }
        return deadline > clock.monotonic().wholeNanoseconds
    }

    func runEndHooks() {
        for hook in endHooks { hook() }
        hasWorked = false
    }

    func runLastHooks() {
        for hook in lastHooks { hook() }
        lastHooks = []
    }

    // MARK: File descriptors

    func watch(_ file: Int32, readable: @escaping () -> Void, writable: @escaping () -> Void) -> FileWatch {
        let slot = freeWatches.popLast() ?? watches.count
        if slot == watches.count { watches.append(nil) }
        let watch = FileWatch(file: file, slot: slot, epoll: epoll, readable: readable, writable: writable)
        watches[slot] = watch
        var event = watch.interest
        let status = epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event)
        precondition(status == 0, "cannot watch descriptor \(file): \(String(cString: strerror(errno)))")
        return watch
    }

    func unwatch(_ watch: FileWatch) {
        guard watches[watch.slot] === watch else { return }
        epoll_ctl(epoll, EPOLL_CTL_DEL, watch.file, nil)
        watches[watch.slot] = nil
        freeWatches.append(watch.slot)
    }

    /// Calls back whoever's file is ready; waits for one, or for the next timer, or for work if `mayWait`.
    func waitForFiles(mayWait: Bool) {
        let count = Int(epoll_wait(epoll, &ready, Int32(ready.count), mayWait ? timeout() : 0))
        guard count > 0 else { return }  // EINTR is like a timeout: the next turn looks again
        for index in 0..<count {
            let event = ready[index]
            if event.data.u64 == .max {
                withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { _ = read(wakeFile, $0.baseAddress, 64) }
                continue
            }
            // A callback may unwatch a file whose event lies further back; its slot is empty then, or has another generation.
            let slot = Int(event.data.u64 & 0xFFFF_FFFF)
            guard slot < watches.count, let watch = watches[slot], watch.generation == UInt32(event.data.u64 >> 32) else { continue }
            if event.events & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue | EPOLLRDHUP.rawValue) != 0 { watch.readable() }
            if event.events & EPOLLOUT.rawValue != 0, watches[slot] === watch { watch.writable() }
        }
    }

    /// Milliseconds until the next timer, rounded up so that it is due when the wait is over; -1: no timer.
    private func timeout() -> Int32 {
        guard keepsItsOwnTime, let deadline = timers.next() else { return -1 }
        let nanoseconds = deadline - clock.monotonic().wholeNanoseconds
        guard nanoseconds > 0 else { return 0 }
        return Int32(clamping: (nanoseconds + 999_999) / 1_000_000)
    }
}

/// A file descriptor that an ``OwnerThread`` looks after. Confined to that thread.
package final class FileWatch {
    /// True: `writable` is called, again and again, while the file can be written. Set it only while there is something to write.
    package var wantsToWrite = false {
        didSet {
            guard wantsToWrite != oldValue else { return }
            var event = interest
            epoll_ctl(epoll, EPOLL_CTL_MOD, file, &event)
        }
    }

    /// False: `readable` is not called; for a reader that has no room. A hang-up is still told.
    package var wantsToRead = true {
        didSet {
            guard wantsToRead != oldValue else { return }
            var event = interest
            epoll_ctl(epoll, EPOLL_CTL_MOD, file, &event)
        }
    }

    let file: Int32
    let slot: Int
    /// Tells watches apart that used the same slot one after the other.
    let generation: UInt32
    let readable: () -> Void
    let writable: () -> Void
    private let epoll: Int32

    init(file: Int32, slot: Int, epoll: Int32, readable: @escaping () -> Void, writable: @escaping () -> Void) {
        self.file = file
        self.slot = slot
        generation = UInt32.random(in: 0..<UInt32.max)
        self.epoll = epoll
        self.readable = readable
        self.writable = writable
    }

    var interest: epoll_event {
        let events = (wantsToRead ? EPOLLIN.rawValue | EPOLLRDHUP.rawValue : 0) | (wantsToWrite ? EPOLLOUT.rawValue : 0)
        return epoll_event(events: events, data: epoll_data_t(u64: UInt64(generation) << 32 | UInt64(slot)))
    }
}

extension Duration {
    /// Whole nanoseconds, rounded towards zero; saturates at ±292 years.
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let (sum, carry) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carry ? (seconds < 0 ? .min : .max) : sum
    }
}
