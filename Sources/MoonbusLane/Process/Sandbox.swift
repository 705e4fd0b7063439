import CSeccomp
import Glibc

/// The system calls that a lane may make once it runs scripts: everything else kills the process.
///
/// A lane computes, and talks through one socket. It opens nothing, connects to nothing, starts nothing, and maps no
/// memory as code, so that a hole in the interpreter is not a hole in the machine. The list is what the worker, the
/// shim's watchdog, malloc and the Swift runtime were seen to need, and nothing for convenience.
///
/// This is the only file that knows libseccomp.
enum Sandbox {
    /// Why the filter could not be put up. The lane must not run then.
    struct Failure: Error {
        let step: String
        let status: Int32
    }

    /// SIGKILL for this process when the thread that started it ends: a lane has no use without its host.
    static func dieWithParent() throws(Failure) {
        try check("die with parent", moonbus_die_with_parent())
    }

    /// Makes malloc do without files. Before there are threads.
    static func tameMalloc() throws(Failure) {
        try check("malloc", moonbus_use_one_arena())
    }

    /// No core dumps, nobody may trace it, and no program that it could become would have more rights.
    /// Also makes /proc/self belong to root: what is to be written there must have been written.
    static func giveUpPrivileges() throws(Failure) {
        try check("privileges", moonbus_give_up_privileges())
    }

    /// Closes the sandbox for every thread of the process, for good.
    static func close() throws(Failure) {
        guard let filter = seccomp_init(moonbus_seccomp_kill_process) else { throw Failure(step: "seccomp_init", status: 0) }
        defer { seccomp_release(filter) }
        // All threads at once, the shim's watchdog too; fails if one of them can't be brought along.
        try check("tsync", seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1))
        // A call that libseccomp does not know the architecture of (32-bit entry points) dies as well.
        try check("bad arch", seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, moonbus_seccomp_kill_process))
        for name in allowed { try allow(name, [], in: filter) }

        // Memory, but never as code.
        for name in ["mmap", "mprotect"] {
            try allow(name, [scmp_arg_cmp(arg: 2, op: SCMP_CMP_MASKED_EQ, datum_a: scmp_datum_t(PROT_EXEC), datum_b: 0)], in: filter)
        }
        // Pages may be given back or asked for; a shared one may not be taken from the host (MADV_REMOVE).
        for advice in [4, 8, 23] as [scmp_datum_t] {  // MADV_DONTNEED, MADV_FREE, MADV_POPULATE_WRITE
            try allow("madvise", [scmp_arg_cmp(arg: 2, op: SCMP_CMP_EQ, datum_a: advice, datum_b: 0)], in: filter)
        }
        // Signals, but only to its own threads: the watchdog's interrupts, and abort().
        try allow("tgkill", [scmp_arg_cmp(arg: 0, op: SCMP_CMP_EQ, datum_a: scmp_datum_t(getpid()), datum_b: 0)], in: filter)
        // The worker's frames, to its own socket only: it holds no other, and no descriptor that it could pass on.
        try allow("sendmsg", [scmp_arg_cmp(arg: 0, op: SCMP_CMP_EQ, datum_a: scmp_datum_t(LaneProcess.socket), datum_b: 0)], in: filter)
        try check("load", seccomp_load(filter))
    }

    private static let allowed = [
        // The socket; standard error is /dev/null or the host's.
        "read", "write", "readv", "poll", "ppoll",
        // Memory.
        "munmap", "mremap", "brk",
        // Threads that are there already, and their locks.
        "futex", "sched_yield", "getpid", "gettid", "set_robust_list", "rseq", "sched_getaffinity", "membarrier",
        // Clocks, and the watchdog's pauses.
        "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "restart_syscall",
        // Signals: returning from a handler, masks, the handler's stack.
        "rt_sigreturn", "rt_sigprocmask", "sigaltstack",
        // Seeds of Swift's hash tables.
        "getrandom",
        // The end.
        "close", "exit", "exit_group",
    ]

    private static func allow(_ name: String, _ conditions: [scmp_arg_cmp], in filter: scmp_filter_ctx) throws(Failure) {
        let number = seccomp_syscall_resolve_name(name)
        guard number != scmpErrorUnknown else { throw Failure(step: name, status: -ENOSYS) }
        try check(name, seccomp_rule_add_array(filter, moonbus_seccomp_allow, number, UInt32(conditions.count), conditions))
    }

    private static func check(_ step: String, _ status: Int32) throws(Failure) {
        guard status == 0 else { throw Failure(step: step, status: status) }
    }

    private static let scmpErrorUnknown: Int32 = -1  // __NR_SCMP_ERROR
}
