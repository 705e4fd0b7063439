internal import Dispatch
internal import GRDB
internal import MoonbusJournal
internal import Synchronization

/// The second connection of an open journal: it answers what may take long, on a thread of its own, so that no append waits for it.
///
/// **Order.** The writer hands a question over after the commit of the calls that came before it, so the answer has seen them, and perhaps
/// later ones. Questions are answered one after the other.
///
/// **The log.** A read sees the file as it was when it began, so meanwhile the writer cannot copy later frames of the write-ahead log into the
/// file, and not start the log over. Should it grow too long for that, ``hold()`` keeps the next question back until it is copied.
/// This connection never writes and never copies: the bug of SQLite 3.7.0 to 3.51.2 that can lose commits needs two that do.
///
/// `@unchecked Sendable`: the connection is used on the queue only, what else changes is under the lock.
final class History: @unchecked Sendable {
    typealias Completion = Call.Completion<JournalAnswer>

    /// What is done with the connection.
    private enum Request {
        case answer(JournalQuestion, Completion)
        case read(@Sendable () -> Void)
    }

    private struct State {
        var requests: [Request] = []
        /// A block that takes requests is on the queue.
        var isScheduled = false
        /// The connection sees an older state, perhaps.
        var isReading = false
        var isHeld = false
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "moonbus journal history")
    private let key = DispatchSpecificKey<Bool>()
    private let path: String
    private var connection: DatabaseQueue?

    /// - Parameter path: of the database file. It is opened with the first question: many journals are never asked.
    init(path: String) {
        self.path = path
        queue.setSpecific(key: key, value: true)
    }

    /// True in a completion that this object calls.
    var isCurrent: Bool { DispatchQueue.getSpecific(key: key) == true }

    /// Answers a question, after those that were handed over before.
    func answer(_ question: JournalQuestion, _ completion: @escaping Completion) {
        add(.answer(question, completion))
    }

    /// Calls `body` while the connection holds a read open: so a test makes a read as long as it likes.
    func whileReading(_ body: @escaping @Sendable () -> Void) {
        add(.read(body))
    }

    /// Begins no further read until ``letGo()``.
    ///
    /// - Returns: true if none is under way.
    func hold() -> Bool {
        state.withLock { state in
            state.isHeld = true
            return !state.isReading
        }
    }

    /// Reads may begin again.
    func letGo() {
        let mustSchedule = state.withLock { state in
            state.isHeld = false
            return Self.schedule(&state)
        }
        if mustSchedule { queue.async { self.run() } }
    }

    /// Answers what was handed over, and closes the connection: before the writer's, which then finds the log its own. Not in a completion.
    func close() {
        letGo()
        queue.sync { connection = nil }
    }

    private func add(_ request: Request) {
        let mustSchedule = state.withLock { state in
            state.requests.append(request)
            return Self.schedule(&state)
        }
        if mustSchedule { queue.async { self.run() } }
    }

    private static func schedule(_ state: inout State) -> Bool {
        guard !state.isScheduled, !state.isHeld, !state.requests.isEmpty else { return false }
        state.isScheduled = true
        return true
    }

    private func run() {
        while let request = next() {
            switch request {
            case .answer(let question, let completion):
                let result = read { try JournalReading(connection: $0).answer(question) }
                state.withLock { $0.isReading = false }
                completion(result)
            case .read(let body):
                // The first look at a table is where a read begins.
                _ = read {
                    _ = try JournalReading(connection: $0).answer(.end)
                    body()
                }
                state.withLock { $0.isReading = false }
            }
        }
    }

    private func next() -> Request? {
        state.withLock { state in
            guard !state.isHeld, !state.requests.isEmpty else {
                state.isScheduled = false
                return nil
            }
            state.isReading = true
            return state.requests.removeFirst()
        }
    }

    private func read<Value>(_ body: (Database) throws -> Value) -> Result<Value, JournalError> {
        do {
            if connection == nil {
                var configuration = Configuration()
                configuration.readonly = true
                configuration.label = "moonbus journal history"
                // The writer locks the index of the log for moments only, when it starts it over.
                configuration.busyMode = .timeout(10)
                connection = try DatabaseQueue(path: path, configuration: configuration)
            }
            guard let connection else { preconditionFailure("it was opened just now") }
            return .success(try connection.read(body))
        } catch {
            return .failure(StoreFailure(error).journalError(path: path))
        }
    }
}

extension JournalQuestion {
    /// How much is looked at has no small bound, so it is ``History``'s to answer. The others are answered by the writer, between two commits.
    var isHistory: Bool {
        switch self {
        case .events, .event, .deadLetters, .deadLetter, .scan: true
        case .end, .delayed, .state, .measures, .subscriptions: false
        }
    }
}
