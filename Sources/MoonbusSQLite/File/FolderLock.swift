internal import Glibc
internal import MoonbusJournal

/// The lock on a journal's folder: while it is held, nobody else opens what is in there, in this process or another.
///
/// An advisory `flock` on a file that is never deleted, with the owner's process id in it for whoever is refused. The kernel lets go of it
/// when the process ends, however it ends; so nobody ever has to remove a stale lock by hand.
///
/// `@unchecked Sendable`: the descriptor is written once.
final class FolderLock: @unchecked Sendable {
    private let file: Int32

    /// Locks a folder.
    ///
    /// - Throws: `.inUse`, naming the folder and the process that has it; `.unavailable` if there can be no lock.
    init(folder: String) throws(JournalError) {
        let path = "\(folder)/moonbus.lock"
        // O_CLOEXEC: a lane that outlives us must not hold the folder.
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw JournalError(
                .unavailable, "\(path): cannot be opened (\(String(cString: strerror(errno)))): check the folder's permissions and mount")
        }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let owner = Self.owner(in: file)
            close(file)
            throw JournalError(
                .inUse,
                "\(folder): the journal is in use by \(owner): one process at a time owns a journal; stop that one, or choose another folder"
            )
        }
        let text = Array("\(getpid())\n".utf8)
        // Only for people: a disk that is full must not keep a journal from being opened and read.
        _ = ftruncate(file, 0)
        _ = pwrite(file, text, text.count, 0)
    }

    deinit {
        close(file)
    }

    private static func owner(in file: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 24)
        let count = pread(file, &bytes, bytes.count, 0)
        let digits = bytes.prefix(max(0, count)).prefix { $0 != 10 }
        return digits.isEmpty ? "another process" : "process \(String(decoding: digits, as: UTF8.self))"
    }
}
