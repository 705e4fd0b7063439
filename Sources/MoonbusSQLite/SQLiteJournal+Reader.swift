internal import GRDB
internal import Glibc
internal import MoonbusEvents
package import MoonbusJournal

extension SQLiteJournal {
    /// A look into the folder of a journal that nobody has open; changes nothing in it.
    ///
    /// It holds the folder's lock together with other readers, so that no service starts under it, and not if a service has it.
    /// What a crash has left in the write-ahead log is read, and stays there: copying it is for the next owner, who compares it with the mark first.
    ///
    /// `@unchecked Sendable`: everything is written once, and the connection has a queue of its own.
    package final class Reader: @unchecked Sendable {
        private let path: String
        private let lock: Int32
        private let makesIndex: Bool
        private var queue: DatabaseQueue?

        /// Opens a folder.
        ///
        /// - Throws: ``JournalError`` `.notFound` (no journal there), `.inUse` (somebody has it), `.unavailable`, `.damaged`, `.incompatible`.
        package init(folder: String) throws(JournalError) {
            path = "\(folder)/moonbus.db"
            var status = stat()
            guard stat(path, &status) == 0, status.st_size > 0 else {
                throw JournalError(.notFound, "\(folder): there is no journal in it: name the folder that `moonbus run` shows at its start")
            }
            lock = try Self.lock(folder)
            let hasLog = stat(path + "-wal", &status) == 0 && status.st_size > 0
            // SQLite makes an index of the log beside it, unless there is one.
            makesIndex = hasLog && access(path + "-shm", F_OK) != 0
            do {
                var configuration = Configuration()
                configuration.readonly = true
                configuration.label = "moonbus journal reader"
                // Without a log nothing may be made: SQLite is told that the file does not change, and nobody may open it while we have the lock.
                let queue = try DatabaseQueue(path: hasLog ? path : Self.immutable(path), configuration: configuration)
                self.queue = queue
                guard try !queue.read({ try Schema.migrator.hasBeenSuperseded($0) }) else {
                    throw JournalError(.incompatible, "\(path): a newer version of Moonbus has written this file: use that version")
                }
            } catch {
                let failure = StoreFailure(error).journalError(path: path)
                close()
                throw failure
            }
        }

        deinit {
            close()
        }

        /// Answers what ``Journal/read(_:completion:)`` would.
        ///
        /// - Throws: ``JournalError`` `.damaged`, `.unavailable`; `.misuse` for questions that only an open journal answers.
        package func answer(_ question: JournalQuestion) throws(JournalError) -> JournalAnswer {
            do {
                guard let queue else { throw JournalError(.unavailable, "\(path): the reader is closed") }
                return try queue.read { try JournalReading(connection: $0).answer(question) }
            } catch {
                throw StoreFailure(error).journalError(path: path)
            }
        }

        private func close() {
            queue = nil
            // Only the last reader takes the index away.
            if makesIndex, flock(lock, LOCK_EX | LOCK_NB) == 0 { unlink(path + "-shm") }
            Glibc.close(lock)
        }

        private static func immutable(_ path: String) -> String {
            let reserved = [("%", "%25"), ("?", "%3f"), ("#", "%23")]
            return "file:\(reserved.reduce(path) { $0.replacing($1.0, with: $1.1) })?immutable=1"
        }

        private static func lock(_ folder: String) throws(JournalError) -> Int32 {
            let file = open("\(folder)/moonbus.lock", O_RDONLY | O_CLOEXEC)
            guard file >= 0 else {
                throw JournalError(
                    .unavailable, "\(folder)/moonbus.lock: cannot be opened (\(String(cString: strerror(errno)))): check its permissions")
            }
            guard flock(file, LOCK_SH | LOCK_NB) == 0 else {
                Glibc.close(file)
                throw JournalError(.inUse, "\(folder): a service has this journal open")
            }
            return file
        }
    }
}

/// Answers from a connection that only reads.
private struct JournalReading {
    let connection: Database

    func answer(_ question: JournalQuestion) throws -> JournalAnswer {
        switch question {
        case .end: .position(UInt64(try Query(connection, "SELECT coalesce(max(position), 0) FROM events").number()))
        case .events(let position, let limit): .events(try events(after: position, limit: limit))
        case .deadLetters(let limit): .deadLetters(try letters("ORDER BY id DESC LIMIT ?", Int64(limit)))
        case .deadLetter(let id): .deadLetters(try letters("WHERE id = ?", Int64(bitPattern: id)))
        case .state(let plugin, let key, let now): .state(try entries(plugin, from: key, limit: 1, now: now) { $0 == key ? true : nil })
        case .scan(let plugin, let prefix, let after, let limit, let now):
            .state(
                try entries(plugin, from: laterOf(prefix, after), limit: limit, now: now) { key in
                    key.utf8.starts(with: prefix.utf8) ? key != after : nil
                })
        default: throw JournalError(.misuse, "only an open journal answers this")
        }
    }

    /// In the order of the bytes, which is SQLite's.
    private func laterOf(_ prefix: String, _ after: String?) -> String {
        guard let after, prefix.utf8.lexicographicallyPrecedes(after.utf8) else { return prefix }
        return after
    }

    private func events(after position: UInt64, limit: Int) throws -> [RecordedEvent] {
        let query = try Query(connection, "SELECT position, record FROM events WHERE position > ? ORDER BY position LIMIT ?")
        query.bind(position, at: 1)
        query.bind(Int64(limit), at: 2)
        var events: [RecordedEvent] = []
        while try query.step() { events.append(RecordedEvent(position: query.unsigned(0), event: try event(query, 1))) }
        return events
    }

    private func letters(_ which: String, _ number: Int64) throws -> [DeadLetter] {
        let query = try Query(connection, "SELECT id, subscription, position, died, failures, record FROM letters \(which)")
        query.bind(number, at: 1)
        var letters: [DeadLetter] = []
        while try query.step() {
            guard let failures = query.withBytes(4, { FailureRecord.decode($0) }) else {
                throw JournalError(.damaged, "the errors of dead letter \(query.unsigned(0)) cannot be read")
            }
            letters.append(
                DeadLetter(
                    id: query.unsigned(0), subscription: query.text(1), position: query.unsigned(2), event: try event(query, 5),
                    failures: failures, died: Timestamp(microseconds: query.int(3))))
        }
        return letters
    }

    /// - Parameter isWanted: says of a key whether it is one, or with nil that no later one is.
    private func entries(
        _ plugin: String, from start: String, limit: Int, now: Timestamp, _ isWanted: (String) -> Bool?
    ) throws -> [StateEntry] {
        let query = try Query(
            connection, "SELECT key, version, expires, value FROM state WHERE plugin = ? AND key >= ? ORDER BY key")
        query.bind(plugin, at: 1)
        query.bind(start, at: 2)
        var entries: [StateEntry] = []
        while entries.count < limit, try query.step(), let isWanted = isWanted(query.text(0)) {
            let expires = query.time(2)
            guard isWanted, expires.map({ $0 > now }) ?? true else { continue }
            entries.append(
                StateEntry(
                    key: query.text(0), value: query.withBytes(3) { JSON(trusted: $0) }, version: query.unsigned(1), expires: expires))
        }
        return entries
    }

    private func event(_ query: Query, _ column: Int32) throws -> Event {
        do {
            return try query.withBytes(column) { try Event(record: $0) }
        } catch {
            throw JournalError(.damaged, "an event cannot be read: \(error)")
        }
    }
}
