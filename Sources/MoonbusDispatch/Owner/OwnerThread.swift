internal import Glibc
package import MoonbusEvents
internal import Synchronization

/// The one thread that owns a bus: a mailbox, timers and file descriptors, drained in turns.
///
/// Everything that the bus knows is confined to this thread, so nothing in it is locked and every decision sees one state of the world.
///
/// A turn: all work that was posted, all timers that are due, then the hooks of ``atTurnEnd(_:)``; then sleep in `epoll_wait` until there
/// is more. Waking costs one write to a pipe, and only when another thread posts while this one sleeps: a busy bus makes no system call
/// for its mailbox, and neither does what runs on the thread itself.
///
/// | from any thread | on the owner thread only |
/// |---|---|
/// | `post`, `perform`, `isCurrent`, `start`, `stop`, `catchUp`, `nextDeadline` | `timer`, `cancel`, `timerCount`, `watch`, `unwatch`, `atTurnEnd`, `atEnd` |
package final class OwnerThread: Sendable {
    private struct Mailbox {
        var work: [@Sendable () -> Void] = []
        var isAsleep = false
        var isClosed = false
    }

    /// Where times come from. With any other clock than the system's the thread does not wake up for timers by itself: whoever moves that
    /// clock calls ``catchUp()``.
    package let clock: any WallClock
    private let mailbox = Mutex(Mailbox())
    /// A pipe, because Swift's Glibc has no `eventfd`: whoever posts to a sleeping thread writes a byte.
    private let wakePipe: (read: Int32, write: Int32)
    private let turns: Turns
    private let thread = Mutex<pthread_t?>(nil)
    /// The running thread, 0 while there is none. Read by `isCurrent` from anywhere.
    private let identity = Atomic<UInt>(0)

    /// Creates a thread that does nothing until ``start()``.
    package init(clock: any WallClock = SystemClock()) {
        self.clock = clock
        var files: [Int32] = [-1, -1]
        precondition(pipe(&files) == 0, "no descriptors left for an event bus: raise the limit of open files")
        for file in files {
            _ = fcntl(file, F_SETFD, FD_CLOEXEC)
            _ = fcntl(file, F_SETFL, O_NONBLOCK)
        }
        wakePipe = (files[0], files[1])
        turns = Turns(clock: clock, wakeFile: files[0])
    }

    deinit {
        // Ended without being waited for.
        if let thread = thread.withLock({ $0 }) { pthread_detach(thread) }
        close(wakePipe.read)
        close(wakePipe.write)
    }

    /// True on this thread.
    package var isCurrent: Bool {
        identity.load(ordering: .relaxed) == UInt(pthread_self())
    }

    /// Starts the thread. Work that was posted before runs first.
    package func start() {
        thread.withLock { thread in
            precondition(thread == nil, "an owner thread starts once")
            var started = pthread_t()
            let status = pthread_create(
                &started, nil,
                { argument in
                    Unmanaged<OwnerThread>.fromOpaque(argument!).takeRetainedValue().run()
                    return nil
                }, Unmanaged.passRetained(self).toOpaque())
            precondition(status == 0, "no thread left for an event bus: raise the limit of processes")
            thread = started
        }
    }

    /// Ends the thread when everything posted by now has run, and waits for it. Timers that are not due are dropped. Idempotent; not on the
    /// thread itself.
    package func stop() {
        precondition(!isCurrent, "an owner thread cannot wait for its own end")
        end()
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        if let running { pthread_join(running, nil) }
    }

    /// Ends the thread when everything posted by now has run; does not wait for it. From any thread.
    package func end() {
        post { self.turns.isOver = true }
    }

    /// Runs `work` on this thread, after everything that was posted before.
    ///
    /// - Returns: false if the thread has ended: `work` was dropped.
    @discardableResult
    package func post(_ work: @escaping @Sendable () -> Void) -> Bool {
        let (isOpen, mustWake) = mailbox.withLock { box in
            if box.isClosed { return (false, false) }
            box.work.append(work)
            defer { box.isAsleep = false }
            return (true, box.isAsleep)
        }
        // While this thread runs a callback it counts as asleep, but it looks into the mailbox before it waits again.
        if mustWake, !isCurrent { wake() }
        return isOpen
    }

    /// Runs `body` on this thread and gives its value.
    ///
    /// - Returns: nil if the thread has ended.
    package func perform<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value? {
        await withCheckedContinuation { continuation in
            if !post({ continuation.resume(returning: body()) }) { continuation.resume(returning: nil) }
        }
    }

    /// Returns when everything that was posted by now has run, what that posted too, and all timers that are due on the clock. For tests
    /// that move the clock by hand. Blocks; not on the thread itself.
    package func catchUp() {
        precondition(!isCurrent, "an owner thread cannot wait for itself")
        var isQuiet = false
        while !isQuiet {
            isQuiet = waitFor { self.turns.isQuiet() && self.mailbox.withLock { $0.work.isEmpty } } ?? true
        }
    }

    /// When the next timer is due, on ``clock``'s monotonic time. Blocks; not on the thread itself.
    package func nextDeadline() -> Duration? {
        waitFor { self.turns.nextDeadline() }.flatMap { $0 }
    }

    // MARK: On the owner thread only

    /// Calls `fire` once, on this thread, not before `delay` has passed.
    package func timer(after delay: Duration, _ fire: @escaping () -> Void) -> OwnerTimer {
        assert(isCurrent)
        return turns.addTimer(after: delay, fire)
    }

    /// Makes sure that a timer does not fire; one that has fired is ignored.
    package func cancel(_ timer: OwnerTimer) {
        assert(isCurrent)
        turns.cancel(timer)
    }

    /// How many timers have not fired.
    package var timerCount: Int {
        assert(isCurrent)
        return turns.timerCount
    }

    /// Calls back, on this thread, when `file` can be read, or written while ``FileWatch/wantsToWrite`` is set. Level-triggered. A hang-up counts
    /// as readable. The descriptor stays the caller's: unwatch it before closing it.
    package func watch(_ file: Int32, readable: @escaping () -> Void, writable: @escaping () -> Void = {}) -> FileWatch {
        assert(isCurrent)
        return turns.watch(file, readable: readable, writable: writable)
    }

    /// Ends a watch. Its callbacks are not called again, not even in this turn.
    package func unwatch(_ watch: FileWatch) {
        assert(isCurrent)
        turns.unwatch(watch)
    }

    /// Calls `work` at the end of each turn from now on: the place to send off what a turn has gathered.
    package func atTurnEnd(_ work: @escaping () -> Void) {
        turns.endHooks.append(work)
    }

    /// Calls `work` once, when the thread ends and nothing else is left to run: the place to close what it watched.
    package func atEnd(_ work: @escaping () -> Void) {
        assert(isCurrent)
        turns.lastHooks.append(work)
    }

    // MARK: The turns

    private func run() {
        identity.store(UInt(pthread_self()), ordering: .relaxed)
        var work: [@Sendable () -> Void] = []
        while !turns.isOver {
            mailbox.withLock { swap(&$0.work, &work) }
            turns.waitingCount = work.count
            for item in work {
                turns.waitingCount -= 1
                item()
                turns.hasWorked = true
            }
            work.removeAll(keepingCapacity: true)
            turns.runDueTimers()
            turns.runEndHooks()
            let mayWait = mailbox.withLock { box in
                box.isAsleep = box.work.isEmpty
                return box.isAsleep
            }
            turns.waitForFiles(mayWait: mayWait && !turns.isOver)
            mailbox.withLock { $0.isAsleep = false }
        }
        // What was posted in the last moment still runs, so that nobody waits for ever; after that posts are refused.
        let last = mailbox.withLock { box in
            box.isClosed = true
            return box.work
        }
        for item in last { item() }
        turns.runEndHooks()
        turns.runLastHooks()
        turns.clear()
        identity.store(0, ordering: .relaxed)
    }

    private func wake() {
        var byte: UInt8 = 1
        _ = write(wakePipe.write, &byte, 1)  // a full pipe wakes just as well
    }

    /// The value of `body` once it has run at the end of everything posted; nil if the thread isn't running.
    private func waitFor<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value? {
        precondition(!isCurrent, "an owner thread cannot wait for itself")
        let answer = Handover<Value>()
        guard post({ answer.give(body()) }) else { return nil }
        return answer.take()
    }
}

/// Names a timer of an ``OwnerThread``.
package struct OwnerTimer {
    let id: Timers.ID
}
