/* libseccomp as Debian ships it (libseccomp-dev). Only MoonbusLane's sandbox imports this. */
#ifndef MOONBUS_CSECCOMP_H
#define MOONBUS_CSECCOMP_H
#include <malloc.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>

/* Swift imports neither variadic functions nor macros with casts. */
static const unsigned int moonbus_seccomp_allow = SCMP_ACT_ALLOW;
static const unsigned int moonbus_seccomp_kill_process = SCMP_ACT_KILL_PROCESS;

/* SIGKILL for this process when the thread that started it ends. Returns 0, or -1 and errno. */
static inline int moonbus_die_with_parent(void) {
    return prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
}

/* One malloc arena for all threads, on the program break. The arenas of other threads are shrunk by a function that opens
 * /proc/sys/vm/overcommit_memory (glibc 2.36, check_may_shrink_heap). Returns 0, or -1. Call before there are threads. */
static inline int moonbus_use_one_arena(void) {
    return mallopt(M_ARENA_MAX, 1) == 1 ? 0 : -1;
}

/* No ptrace by others, no core dump, and never more privileges than now. Returns 0, or -1 and errno. */
static inline int moonbus_give_up_privileges(void) {
    if (prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) != 0) return -1;
    return prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
}

#endif
