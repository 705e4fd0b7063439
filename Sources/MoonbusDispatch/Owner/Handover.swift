internal import Glibc
internal import Synchronization

/// One value from one thread to another that blocks for it.
final class Handover<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let arrived: UnsafeSemaphore

    init() {
        arrived = UnsafeSemaphore()
    }

    func give(_ value: Value) {
        self.value.withLock { $0 = value }
        arrived.post()
    }

    func take() -> Value? {
        arrived.wait()
        return value.withLock { $0 }
    }
}

/// A POSIX semaphore.
private final class UnsafeSemaphore: Sendable {
    // Sendable: a semaphore is made to be shared between threads, and its address never changes.
    nonisolated(unsafe) private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() {
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func post() {
        sem_post(semaphore)
    }

    func wait() {
        while sem_wait(semaphore) != 0 {}
    }
}
