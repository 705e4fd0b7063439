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
        /// What had been committed and is not there, as far as the high-water mark can tell; nil: nothing.
        package let loss: String?
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
            let opening = Opening(folder: folder, options: .init(), clock: SystemClock())
            loss = opening.loss(HighWaterMark.content(folder: folder), isThere: true)?.reason
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
