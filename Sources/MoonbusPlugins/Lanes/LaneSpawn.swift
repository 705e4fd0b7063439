import Glibc

/// A child process that is a lane, and the host's ends of what it shares with it.
struct LaneSpawn {
    let process: pid_t
    /// Non-blocking, close-on-exec.
    let socket: Int32
    let page: LanePage
    let area: LaneArea

    /// Why no lane could be started.
    struct Failure: Error, CustomStringConvertible {
        let description: String

        init(_ step: String, _ cause: Int32) { description = "\(step): \(reason(cause))" }
    }

    /// Room for frames in each direction, in bytes: a batch of some hundred deliveries at least.
    private static let socketBuffer: Int32 = 1 << 20

    /// Starts `executable lane` with the socket as descriptor 3, page and area as 4, and nothing else of this process: no other
    /// descriptors but the standard ones (input and output from `/dev/null`, errors to ours, so that the loader's and the
    /// Swift runtime's last words are not lost; whatever an embedder left without close-on-exec, the lane closes itself first),
    /// no environment, default signal actions, and a process group of its own, so that ^C in a terminal reaches the host only,
    /// which then lets its lanes finish.
    ///
    /// Call on the thread that lives as long as the lane may: lanes ask the kernel to be killed when the thread that made them ends.
    static func start(executable: String) throws(Failure) -> LaneSpawn {
        let memory = try sharedMemory()
        defer { close(memory) }
        let (ours, theirs) = try socketPair()
        defer { close(theirs) }
        guard let page = LanePage(memory: memory) else {
            close(ours)
            throw Failure("mmap", ENOMEM)
        }
        guard let area = LaneArea(memory: memory) else {
            close(ours)
            page.unmap()
            throw Failure("mmap", ENOMEM)
        }
        do throws(Failure) {
            let process = try spawn(executable, socket: theirs, memory: memory)
            return LaneSpawn(process: process, socket: ours, page: page, area: area)
        } catch {
            close(ours)
            page.unmap()
            area.unmap()
            throw error
        }
    }

    /// Memory that has no name: it is gone with its last user. (memfd_create is not in Swift's Glibc module.)
    private static func sharedMemory() throws(Failure) -> Int32 {
        let name = "/moonbus-lane-\(getpid())-\(monotonicNanoseconds())"
        let memory = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard memory >= 0 else { throw Failure("shared memory (/dev/shm)", errno) }
        shm_unlink(name)
        // All of it now: where there is no room later on, the first write to a page would be a SIGBUS.
        let cause = posix_fallocate(memory, 0, off_t(LanePage.size + LaneArea.size))
        guard cause == 0 else {
            close(memory)
            throw Failure("shared memory (/dev/shm)", cause)
        }
        return memory
    }

    /// Two ends of a stream; only the first is non-blocking.
    static func socketPair() throws(Failure) -> (ours: Int32, theirs: Int32) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Failure("socketpair", errno)
        }
        for end in ends {
            var size = socketBuffer
            setsockopt(end, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        return (ends[0], ends[1])
    }

    static func closeSocket(_ socket: Int32) { close(socket) }

    private static func spawn(_ executable: String, socket: Int32, memory: Int32) throws(Failure) -> pid_t {
        // Copies above the targets: dup2 onto 3 must not close what is still to be copied onto 4.
        let high = (fcntl(socket, F_DUPFD_CLOEXEC, 16), fcntl(memory, F_DUPFD_CLOEXEC, 16))
        defer {
            close(high.0)
            close(high.1)
        }
        guard high.0 >= 0, high.1 >= 0 else { throw Failure("fcntl", errno) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, high.0, 3)
        posix_spawn_file_actions_adddup2(&actions, high.1, 4)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t(), all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        // Symbols are bound before the sandbox closes: afterwards the loader could not open anything.
        var environment = ["LD_BIND_NOW=1"]
        // A development build finds the Swift runtime through this variable, when it is not where the executable's rpath says.
        if let libraries = getenv("LD_LIBRARY_PATH") { environment.append("LD_LIBRARY_PATH=\(String(cString: libraries))") }

        var process = pid_t()
        let status = withCStrings(["moonbus", "lane"]) { arguments in
            withCStrings(environment) { environment in posix_spawn(&process, executable, &actions, &attributes, arguments, environment) }
        }
        guard status == 0 else { throw Failure("'\(executable)' can't be started", status) }
        return process
    }

    /// Waits for a process that is ending, and says how it ended.
    static func reap(_ process: pid_t) -> LaneEnd {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else { return .exited(status: -1) }  // someone else waited for it
        }
        let signal = status & 0x7F
        return signal == 0 ? .exited(status: (status >> 8) & 0xFF) : .signalled(signal)
    }

    /// CPU time that a process used so far; nil when there is no such process.
    static func cpuTime(of process: pid_t) -> Duration? {
        var clock = clockid_t()
        var time = timespec()
        guard clock_getcpuclockid(process, &clock) == 0, clock_gettime(clock, &time) == 0 else { return nil }
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}

private func withCStrings<R>(_ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = texts.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeBufferPointer { body($0.baseAddress!) }
}
