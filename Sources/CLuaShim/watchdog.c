/* The watchdog: one thread a process that interrupts runs which pass their CPU limit, in two steps.
 *
 *   limit         level 1   the signal handler arms the hook of the running coroutine: its next VM instruction raises,
 *                           and again at each following one, until everything has unwound
 *   limit+grace   level 2   no instruction came: the run is stuck inside a C function. The handler jumps out of it with
 *                           siglongjmp; the context's arena is dropped, the lane's other contexts never notice
 *
 * No hook is installed before level 1: a hook, whatever its count, doubles the time of tight loops (measured).
 * Time is the lane thread's CPU time, read by the watchdog once a tick: a run costs no clock read, and a busy machine
 * interrupts nobody early. A signal carries the number of the run that it is for; a late one is ignored.
 *
 * Lock order: `lock` is taken by the watchdog for a scan and by lanes that come and go; a run takes no lock.
 *
 * ThreadSanitizer: it holds signals back while a thread is in code that it does not instrument, such as liblua, so
 * neither level lands in time. Run TSan builds without tests that depend on limits.
 */
#include "internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LANES_MAX = 256,
    TICK_NS = 1000 * 1000,
    IDLE_TICKS = 50, /* without any run, before the thread parks */
    WATCHDOG_STACK_SIZE = 256 * 1024,
};

static moonbus_lane lanes[LANES_MAX];
static bool taken[LANES_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t parked; /* futex: 1 while the watchdog sleeps until a run begins */

/* Read by the signal handler: must not be allocated lazily. */
static __thread moonbus_lane *this_lane __attribute__((tls_model("initial-exec")));

/* ---- on the lane's thread --------------------------------------------------------------------------------------------- */

static void raise_timeout(lua_State *L, lua_Debug *activation) {
    (void)activation;
    moonbus_context *context = moonbus_context_of(L);
    moonbus_run *run = &context->lane->run;
    if (!run->expired) { /* left over on a coroutine that outlived the run */
        lua_sethook(L, NULL, 0, 0);
        return;
    }
    if (!context->lane->fault.is_located) moonbus_fault_locate(L, &context->lane->fault);
    lua_sethook(L, raise_timeout, LUA_MASKCOUNT, 1);
    luaL_error(L, "time limit exceeded");
}

void moonbus_interrupt_arm(lua_State *L) {
    lua_sethook(L, raise_timeout, LUA_MASKCOUNT, 1);
}

static void handle_signal(int signal, siginfo_t *details, void *machine_context) {
    (void)signal, (void)details, (void)machine_context;
    moonbus_lane *lane = this_lane;
    if (lane == NULL) return;
    uint64_t sequence = atomic_load_explicit(&lane->sequence, memory_order_relaxed);
    if (!(sequence & 1) || atomic_load_explicit(&lane->request_sequence, memory_order_relaxed) != sequence) return;
    moonbus_run *run = &lane->run;
    if (atomic_load_explicit(&lane->request_level, memory_order_relaxed) == 1) {
        run->expired = 1;
        if (run->zone) moonbus_interrupt_arm(run->running);
        else run->arm_pending = 1;
    } else if (run->zone) {
        run->zone = 0;
        siglongjmp(run->escape, 1);
    } else {
        run->kill_pending = 1;
    }
}

void moonbus_zone_enter(moonbus_run *run) {
    MOONBUS_BARRIER();
    run->zone = 1;
    MOONBUS_BARRIER();
    if (MOONBUS_UNLIKELY(run->kill_pending)) {
        run->zone = 0;
        siglongjmp(run->escape, 1);
    }
    if (MOONBUS_UNLIKELY(run->arm_pending)) {
        run->arm_pending = 0;
        moonbus_interrupt_arm(run->running);
    }
}

static void publish(moonbus_lane *lane, uint64_t sequence) {
    atomic_thread_fence(memory_order_release);
    __atomic_store_n(&lane->page->sequence, sequence, __ATOMIC_RELEASE);
}

static uint64_t monotonic_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void moonbus_watchdog_run_begins(moonbus_lane *lane) {
    moonbus_page *page = lane->page;
    uint64_t sequence = atomic_load_explicit(&lane->sequence, memory_order_relaxed) + 1;
    __atomic_store_n(&page->task, lane->run.task->identifier, __ATOMIC_RELAXED);
    __atomic_store_n(&page->context, lane->run.context->options.identifier, __ATOMIC_RELAXED);
    __atomic_store_n(&page->limit_us, atomic_load_explicit(&lane->limit_us, memory_order_relaxed), __ATOMIC_RELAXED);
    /* One clock read a batch: the host sees a stuck run by its sequence, not by this. */
    if (lane->output_count + lane->done_count == 0) __atomic_store_n(&page->started_us, monotonic_us(), __ATOMIC_RELAXED);
    publish(lane, sequence);
    /* Full barrier: either the watchdog sees the odd number before it parks, or we see that it is parked. */
    atomic_exchange(&lane->sequence, sequence);
    if (MOONBUS_UNLIKELY(atomic_load(&parked)) && atomic_exchange(&parked, 0) == 1) {
        syscall(SYS_futex, &parked, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

void moonbus_watchdog_run_ends(moonbus_lane *lane) {
    uint64_t sequence = atomic_load_explicit(&lane->sequence, memory_order_relaxed) + 1;
    atomic_store_explicit(&lane->sequence, sequence, memory_order_release);
    publish(lane, sequence);
}

/* ---- on the watchdog's thread ------------------------------------------------------------------------------------------ */

static void interrupt(moonbus_lane *lane, uint64_t sequence, int level) {
    atomic_store(&lane->request_sequence, sequence);
    atomic_store(&lane->request_level, level);
    pthread_kill(lane->thread, SIGURG);
}

static void count(uint64_t *counter) {
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELEASE);
}

/* Looks at one lane; true when it ran anything since the last look. */
static bool look_at(moonbus_lane *lane) {
    atomic_fetch_add_explicit(&lane->ticks, 1, memory_order_relaxed);
    uint64_t sequence = atomic_load(&lane->sequence);
    if (!(sequence & 1)) {
        bool ran = sequence != lane->seen_sequence;
        lane->seen_sequence = sequence;
        return ran;
    }
    struct timespec cpu;
    clock_gettime(lane->cpu_clock, &cpu);
    uint64_t now_us = (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000;
    if (sequence != lane->seen_sequence) {
        lane->seen_sequence = sequence;
        lane->base_us = now_us;
        lane->stage = 0;
    } else if (lane->stage == 0 && now_us - lane->base_us >= atomic_load(&lane->limit_us)) {
        lane->stage = 1;
        lane->soft_us = now_us;
        count(&lane->page->soft_count);
        interrupt(lane, sequence, 1);
    } else if (lane->stage >= 1 && now_us - lane->soft_us >= atomic_load(&lane->grace_us)) {
        if (lane->stage == 1) count(&lane->page->hard_count);
        lane->stage = 2;
        interrupt(lane, sequence, 2);
    }
    return true;
}

static bool look_at_all(void) {
    bool is_busy = false;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < LANES_MAX; i++)
        if (lanes[i].is_live && look_at(&lanes[i])) is_busy = true;
    pthread_mutex_unlock(&lock);
    return is_busy;
}

static void park(void) {
    atomic_store(&parked, 1);
    if (look_at_all()) { /* a run began before it could see the flag */
        atomic_store(&parked, 0);
        return;
    }
    while (atomic_load(&parked) == 1) syscall(SYS_futex, &parked, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
}

static void *watch(void *unused) {
    int idle_ticks = 0;
    for (;;) {
        struct timespec tick = {0, TICK_NS};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
        idle_ticks = look_at_all() ? 0 : idle_ticks + 1;
        if (idle_ticks < IDLE_TICKS) continue;
        park();
        idle_ticks = 0;
    }
    return unused;
}

/* With every signal blocked: they belong to the threads that asked for them. */
static void start(void) {
    struct sigaction action = {.sa_sigaction = handle_signal, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART};
    sigaction(SIGURG, &action, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, WATCHDOG_STACK_SIZE);
    pthread_t thread;
    if (pthread_create(&thread, &attributes, watch, NULL) == 0) pthread_setname_np(thread, "moonbus-watch");
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- lanes come and go --------------------------------------------------------------------------------------------------- */

moonbus_lane *moonbus_lane_slot(void) {
    moonbus_lane *found = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < LANES_MAX && found == NULL; i++) {
        if (taken[i]) continue;
        taken[i] = true;
        found = &lanes[i];
    }
    pthread_mutex_unlock(&lock);
    if (found != NULL) memset(found, 0, sizeof *found);
    return found;
}

void moonbus_watchdog_add(moonbus_lane *lane) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    sigset_t urgent;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    pthread_sigmask(SIG_UNBLOCK, &urgent, NULL);
    this_lane = lane;
    pthread_mutex_lock(&lock);
    lane->is_live = true;
    pthread_mutex_unlock(&lock);
}

void moonbus_watchdog_remove(moonbus_lane *lane) {
    this_lane = NULL;
    pthread_mutex_lock(&lock);
    lane->is_live = false;
    taken[lane - lanes] = false;
    pthread_mutex_unlock(&lock);
}

void moonbus_test_interrupt(moonbus_lane *lane, int level) {
    uint64_t sequence = atomic_load(&lane->sequence);
    if (sequence & 1) interrupt(lane, sequence, level);
}
