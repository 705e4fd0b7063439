import Glibc

/// `moonbus lane`: a process that is nothing but a lane.
///
/// Started by the host with two descriptors: 3, a stream socket, and 4, memory: one page for `moonbus_page`, and behind it the
/// ``DeliveryArea``. Before the first byte of a script comes near, it gives up everything else:
///
/// 1. every other descriptor; standard input and output become /dev/null (standard error stays: last words of the runtime);
/// 2. the environment, the terminal (a session of its own, so that ^C reaches the host only), every inherited signal action and mask;
/// 3. core dumps, ptrace, new descriptors, files, locked memory, by prctl and rlimits; new privileges;
/// 4. every system call but those of ``Sandbox``, once the worker's thread and the shim's watchdog run.
///
/// It ends with status 0 after `stop` or when the host is gone, 70 when it could not be closed in or was sent nonsense,
/// by SIGSYS when it makes a forbidden call, by SIGKILL when the thread that started it ends or the host loses patience.
package enum LaneProcess {
    static let socket: Int32 = 3
    private static let pageDescriptor: Int32 = 4
    private static let pageSize = 4_096
    private static let signalCount: Int32 = 65
    /// EX_SOFTWARE of sysexits.h.
    private static let failed: Int32 = 70

    package static func main() -> Never {
        run(probe: nil)
    }

    /// Closes itself in and then does what is forbidden, to prove that the sandbox holds: must die by SIGSYS.
    ///
    /// Needs no host: where descriptors 3 and 4 are missing it makes its own.
    package static func main(probe: LaneProbe) -> Never {
        run(probe: probe)
    }

    private static func run(probe: LaneProbe?) -> Never {
        if probe != nil { LaneProbe.prepareDescriptors(socket: socket, page: pageDescriptor) }
        // A host that died before this line is noticed by its closed socket; its process id would say nothing in a container.
        orDie { () throws(Sandbox.Failure) in try Sandbox.dieWithParent() }
        closeDescriptors()
        forgetOrigin()
        preferUsWhenMemoryIsShort()
        limitResources()
        let (page, area) = mapMemory()

        let thread = spawnThread(stackSize: ThreadLane.stackSize) { [page = UInt(bitPattern: page), area = UInt(bitPattern: area)] in
            let area = UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: area), count: DeliveryArea.size)
            work(UnsafeMutableRawPointer(bitPattern: page), area, probe)
        }
        guard let thread else { die("no thread") }
        pthread_join(thread, nil)
        exit(failed)
    }

    /// On the worker's thread: makes it a lane, closes the sandbox, serves.
    private static func work(_ page: UnsafeMutableRawPointer?, _ area: UnsafeRawBufferPointer, _ probe: LaneProbe?) {
        do throws(LaneWorker.End) {
            let worker = try LaneWorker(socket: socket, page: page, area: area)
            orDie { () throws(Sandbox.Failure) in try Sandbox.close() }
            probe?.attempt()
            switch worker.run() {
            case .stopped, .disconnected: _exit(0)
            case .garbled(let error): die("the host sent something else than frames: \(error)")
            case .unavailable: die("no lane")
            }
        } catch {
            die("no lane: \(error)")
        }
    }

    // MARK: What it gives up

    private static func closeDescriptors() {
        let null = open("/dev/null", O_RDWR)
        guard null >= 0 else { die("/dev/null") }
        dup2(null, 0)
        dup2(null, 1)
        if fcntl(2, F_GETFD) < 0 { dup2(null, 2) }
        // Also closes `null`, which is above 4 unless the host left a gap: then it is harmless.
        closefrom(pageDescriptor + 1)
    }

    private static func forgetOrigin() {
        clearenv()
        setsid()
        var action = sigaction()
        for signal in 1..<signalCount where signal != SIGKILL && signal != SIGSTOP {
            // What an operator or a terminal sends to the whole group is for the host: it lets its lanes finish, or kills them.
            let isForHost = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE, SIGUSR1, SIGUSR2].contains(signal)
            action.__sigaction_handler.sa_handler = isForHost ? SIG_IGN : SIG_DFL
            sigaction(signal, &action, nil)
        }
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
    }

    /// When the machine runs out of memory the kernel shall take a lane, not the host. Best effort.
    private static func preferUsWhenMemoryIsShort() {
        let file = open("/proc/self/oom_score_adj", O_WRONLY)
        guard file >= 0 else { return }
        _ = "500".utf8CString.withUnsafeBytes { write(file, $0.baseAddress, 3) }
        close(file)
    }

    private static func limitResources() {
        let limits: [(__rlimit_resource, rlim_t)] = [
            (RLIMIT_CORE, 0),  // its memory holds the data of plugins
            (RLIMIT_NOFILE, rlim_t(pageDescriptor) + 1),
            (RLIMIT_FSIZE, 0),
            (__RLIMIT_MEMLOCK, 0),
            (__RLIMIT_MSGQUEUE, 0),
        ]
        for (resource, limit) in limits {
            var limit = rlimit(rlim_cur: limit, rlim_max: limit)
            guard setrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 else { die("setrlimit: \(errno)") }
        }
        orDie { () throws(Sandbox.Failure) in
            try Sandbox.tameMalloc()
            try Sandbox.giveUpPrivileges()
        }
    }

    private static func mapMemory() -> (page: UnsafeMutableRawPointer, area: UnsafeMutableRawPointer) {
        let page = mmap(nil, pageSize, PROT_READ | PROT_WRITE, MAP_SHARED, pageDescriptor, 0)
        guard let page, page != MAP_FAILED else { die("descriptor 4 is not a page: \(errno)") }
        let area = mmap(nil, DeliveryArea.size, PROT_READ, MAP_SHARED, pageDescriptor, off_t(pageSize))
        guard let area, area != MAP_FAILED else { die("descriptor 4 has no area: \(errno)") }
        close(pageDescriptor)
        return (page, area)
    }

    private static func orDie(_ step: () throws(Sandbox.Failure) -> Void) {
        do throws(Sandbox.Failure) { try step() } catch { die("the sandbox can't be closed: \(error.step) (\(error.status))") }
    }

    /// Last words go to standard error, in one write.
    static func die(_ reason: String) -> Never {
        var text = "moonbus lane: \(reason)\n"
        _ = text.withUTF8 { write(2, $0.baseAddress, $0.count) }
        _exit(failed)
    }
}
