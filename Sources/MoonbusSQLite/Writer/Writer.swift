internal import Dispatch
internal import GRDB
internal import Glibc
internal import MoonbusEvents
internal import MoonbusJournal
internal import Synchronization

/// The one thread that owns the database: it writes, copies the log, and answers what is quickly read. What may take long it hands over to
/// ``History``.
///
/// **Group commit.** While one commit is synced, calls gather in the mailbox; the next one takes them all. A lone call is taken at once.
/// When the last group had several calls the thread may wait for as many again: see ``Gathering``.
///
/// `@unchecked Sendable`: what is not constant belongs to the thread, or is under the lock.
final class Writer: @unchecked Sendable {
    private let mailbox = Mailbox()
    private let thread = Mutex<pthread_t?>(nil)
    private var queue: DatabaseQueue?
    /// Let go of after the file was closed.
    private var lock: FolderLock?
    private let history: History
    private let open: (Database) throws -> Store
    private let opened = DispatchSemaphore(value: 0)
    private var openingFailure: StoreFailure?

    /// Events and settlements in one transaction, about: more would make the first ones wait too long.
    private static let groupWeightMax = 8_192
    /// Idle time after which small things are done.
    private static let idleAfter = Duration.milliseconds(20)

    /// Starts the thread, and returns when the store is open.
    ///
    /// - Parameters:
    ///   - lock: kept until the file is closed.
    ///   - history: the store's, closed with it.
    ///   - open: called on the thread.
    init(
        queue: DatabaseQueue, keeping lock: FolderLock, history: History, open: @escaping (Database) throws -> Store
    ) throws(StoreFailure) {
        self.queue = queue
        self.lock = lock
        self.history = history
        self.open = open
        var started = pthread_t()
        let status = pthread_create(
            &started, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Writer>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(status == 0, "no thread left for a journal: raise the limit of processes")
        opened.wait()
        if let openingFailure {
            pthread_join(started, nil)
            throw openingFailure
        }
        thread.withLock { $0 = started }
    }

    /// Hands a call to the thread.
    ///
    /// - Returns: false if the journal is closed.
    func post(_ call: Call) -> Bool {
        mailbox.post(call)
    }

    /// Ends the thread once it has done what was posted, and waits for it; a completion does not wait: the thread
    /// waits for it.
    func close() {
        mailbox.close()
        let running = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        guard let running else { return }
        let isAwaited = pthread_equal(running, pthread_self()) != 0 || history.isCurrent
        if isAwaited { pthread_detach(running) } else { pthread_join(running, nil) }
    }

    private func run() {
        defer {
            // In this order: nobody may open the folder while SQLite still has the file.
            queue = nil
            lock = nil
            if openingFailure != nil { opened.signal() }
        }
        // The thread enters the connection's queue once and stays: entering it for each group would cost more than a small one does.
        do {
            try queue?.writeWithoutTransaction { connection in
                let store = try open(connection)
                opened.signal()
                serve(store)
                store.close()
            }
        } catch {
            openingFailure = StoreFailure(error)
        }
    }

    private func serve(_ store: Store) {
        var calls: [Call] = []
        var gathering = Gathering()
        while true {
            let isClosed = mailbox.take(1, within: store.hasChores ? Self.idleAfter : nil, into: &calls)
            if calls.isEmpty {
                if isClosed { return }
                // One small thing at a time, as long as nobody calls.
                while store.doChore(), !mailbox.hasCalls {}
                continue
            }
            if let wait = gathering.wait(having: calls.count) {
                let whole = calls.count + wait.count
                _ = mailbox.take(wait.count, within: wait.limit, into: &calls)
                gathering.waited(isComplete: calls.count >= whole)
            }
            let start = ContinuousClock.now
            runGroups(of: calls, in: store)
            gathering.committed(calls.count, in: ContinuousClock.now - start)
            calls.removeAll(keepingCapacity: true)
            store.checkpointIfFull()
        }
    }

    /// Cuts what has gathered into transactions of bounded size.
    private func runGroups(of calls: [Call], in store: Store) {
        var start = 0
        while start < calls.count {
            var end = start
            var weight = 0
            while end < calls.count, end == start || weight + calls[end].weight <= Self.groupWeightMax {
                weight += calls[end].weight
                end += 1
            }
            store.run(calls[start..<end])
            start = end
        }
    }
}
