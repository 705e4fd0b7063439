import Glibc

/// Something that a lane must not be able to do: `moonbus lane --probe open`.
///
/// Each must end by SIGSYS. A probe that returns ends the process with status 99: the sandbox leaks.
package enum LaneProbe: String, CaseIterable, Sendable {
    /// Opens a file that everyone may read.
    case open
    /// Makes a socket.
    case socket
    /// Becomes another program.
    case exec
    /// Starts a process.
    case fork
    /// Maps memory as code.
    case code
    /// Makes memory that it has executable.
    case protect
    /// Signals its parent.
    case kill
    /// Starts a thread.
    case thread
    /// Takes pages of the shared memory from the host: its next access would be a SIGBUS.
    case remove
    /// Makes the shared memory shorter: the same.
    case truncate
    /// Forbidden nothing: waits a millisecond and ends with status 0. Shows that what is allowed works.
    case none

    private static let leaked: Int32 = 99

    func attempt() -> Never {
        switch self {
        case .open: _ = Glibc.open("/etc/passwd", O_RDONLY)
        case .socket: _ = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        case .exec:
            var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("/bin/true"), nil]
            _ = execv("/bin/true", &arguments)
        case .fork:
            var process = pid_t()
            var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("/bin/true"), nil]
            _ = posix_spawn(&process, "/bin/true", nil, nil, &arguments, nil)
        case .code: _ = mmap(nil, 4_096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
        case .protect:
            let memory = mmap(nil, 4_096, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
            _ = mprotect(memory, 4_096, PROT_READ | PROT_EXEC)
        case .kill: _ = Glibc.kill(1, 0)
        case .thread: _ = spawnThread(stackSize: 1 << 20) {}
        case .remove:
            let memory = mmap(nil, 4_096, PROT_READ | PROT_WRITE, MAP_SHARED | Int32(MAP_ANONYMOUS), -1, 0)
            _ = madvise(memory, 4_096, Int32(MADV_REMOVE))
        case .truncate: _ = ftruncate(LaneProcess.socket, 0)
        case .none:
            var pause = timespec(tv_sec: 0, tv_nsec: 1_000_000)
            nanosleep(&pause, nil)
            _exit(0)
        }
        _exit(Self.leaked)
    }

    /// A probe is run by hand and by tests, without a host: makes a socket and a page where there are none.
    static func prepareDescriptors(socket: Int32, page: Int32) {
        if fcntl(socket, F_GETFD) < 0 || fcntl(page, F_GETFD) < 0 {
            let name = "/moonbus-probe-\(getpid())"
            let memory = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0o600)
            shm_unlink(name)
            let high = fcntl(memory, F_DUPFD, 16)
            ftruncate(high, off_t(4_096 + DeliveryArea.size))
            dup2(high, page)
            var ends: [Int32] = [-1, -1]
            socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
            let end = fcntl(ends[0], F_DUPFD, 16)
            dup2(end, socket)
        }
    }
}
