/* The protected run: everything that script code does happens between moonbus_run_go's two ends.
 *
 *   sigsetjmp ── publish odd sequence ── zone = 1 ── lua_resume ── zone = 0 ── publish even ── look at what it came to
 *        ▲                                               │
 *        └───────────── siglongjmp (hard kill) ──────────┘   the arena is garbage from here on
 */
#include "tasks.h"
#include "library.h"

#include <stdio.h>

moonbus_run *moonbus_run_prepare(moonbus_context *context, moonbus_task *task, uint32_t cpu_us) {
    moonbus_lane *lane = context->lane;
    moonbus_run *run = &lane->run;
    run->context = context;
    run->task = task;
    run->running = task->thread;
    run->expired = run->arm_pending = run->kill_pending = 0;
    run->unwinding = MOONBUS_UNWIND_NOT;
    run->status = MOONBUS_FAILED;
    run->is_syntax_error = false;
    run->detail_size = 0;
    run->refused_before = context->arena.refused_count;
    run->records = NULL; /* deliver sets them; a run that goes on after waiting has none */
    run->has_reply = false;
    run->reply = NULL;
    run->reply_count = 0;
    context->arena.stack_overflowed = false;
    moonbus_fault_reset(&context->lane->fault);
    task->state = MOONBUS_TASK_RUNNING;
    atomic_store_explicit(&lane->limit_us, cpu_us != 0 ? cpu_us : context->options.cpu_us, memory_order_relaxed);
    atomic_store_explicit(&lane->grace_us, context->options.grace_us, memory_order_relaxed);
    return run;
}

static void note_kill(moonbus_context *context) {
    static const char text[] = "it did not stop at its CPU limit, so it was cut off inside a library function: give that function less at a time";
    moonbus_fault_reset(&context->lane->fault);
    context->lane->fault.kind = "killed";
    moonbus_fault_set_message(&context->lane->fault, text, sizeof text - 1);
    context->dead = true;
}

static void note_timeout(moonbus_context *context) {
    char text[96];
    uint64_t limit_us = atomic_load_explicit(&context->lane->limit_us, memory_order_relaxed);
    int size = snprintf(text, sizeof text, "ran past its CPU limit of %llu ms", (unsigned long long)(limit_us + 999) / 1000);
    context->lane->fault.kind = "timeout";
    context->lane->fault.message_size = moonbus_text_copy(context->lane->fault.message, sizeof context->lane->fault.message, text, (size_t)size);
}

static bool ends_with(const char *text, size_t size, const char *ending) {
    size_t ending_size = strlen(ending);
    return size >= ending_size && memcmp(text + size - ending_size, ending, ending_size) == 0;
}

/* What the error on top of the stack means. A script that catches "not enough memory" and raises it again has still run
 * out of memory; one that only says so has not: an allocation must have been refused during this run.
 * Stack [-1, +0, never raises]. */
static moonbus_status note_error(moonbus_context *context, lua_State *thread, int lua_status) {
    moonbus_fault *fault = &context->lane->fault;
    bool was_refused = context->arena.refused_count != context->lane->run.refused_before;
    moonbus_fault_describe(thread, fault);
    if (context->arena.stack_overflowed && lua_status == LUA_ERRMEM) {
        static const char text[] = "stack overflow: recursion is too deep";
        moonbus_fault_set_message(fault, text, sizeof text - 1);
        return MOONBUS_FAILED;
    }
    if (lua_status == LUA_ERRMEM || (was_refused && ends_with(fault->message, fault->message_size, "not enough memory"))) {
        fault->kind = "memory";
        return MOONBUS_MEMORY;
    }
    fault->kind = context->lane->run.is_syntax_error ? "syntax" : "error";
    return MOONBUS_FAILED;
}

void moonbus_run_failed(lua_State *L, int lua_status) {
    moonbus_context *context = moonbus_context_of(L);
    moonbus_run *run = &context->lane->run;
    moonbus_status status = MOONBUS_FAILED;
    const bool had_expired = run->expired;
    if (had_expired || run->unwinding != MOONBUS_UNWIND_NOT) lua_pop(L, 1);
    else status = note_error(context, L, lua_status);
    if (had_expired) {
        note_timeout(context);
        status = MOONBUS_TIMEOUT;
    } else if (run->expired) { /* in the error value's __tostring: what ended the handler was still its error */
        static const char text[] = "error value without a text: its __tostring ran past the CPU limit";
        moonbus_fault_set_message(&context->lane->fault, text, sizeof text - 1);
        context->lane->fault.kind = "error";
        status = MOONBUS_FAILED;
    } else if (run->unwinding == MOONBUS_UNWIND_CANCELLED) {
        status = MOONBUS_CANCELLED;
    } else if (run->unwinding == MOONBUS_UNWIND_REJECTED) {
        status = MOONBUS_REJECTED;
    } else if (run->unwinding == MOONBUS_UNWIND_RETRY) {
        status = MOONBUS_RETRY;
    }
    run->status = status;
}

static bool is_host_wait(lua_State *thread, int result_count) {
    return result_count == 1 && lua_touserdata(thread, -1) == (void *)&moonbus_key_wait;
}

/* After lua_resume: makes the thread ready for its next run, or keeps it waiting. */
static moonbus_status conclude(moonbus_context *context, moonbus_task *task, int lua_status, int result_count) {
    lua_State *thread = task->thread;
    moonbus_run *run = &context->lane->run;
    if (lua_status == LUA_YIELD && is_host_wait(thread, result_count)) {
        lua_pop(thread, 1);
        /* Kept at the first wait: from then on the records are gone with their frame. */
        if (!task->is_load && !task->has_identity) moonbus_identity_keep(task, run->records[0]);
        if (moonbus_effects_set_aside(context, task)) {
            task->state = MOONBUS_TASK_WAITING;
            return MOONBUS_WAITING;
        }
        lua_status = LUA_ERRMEM;
        run->status = MOONBUS_MEMORY;
        static const char text[] = "not enough memory: what handlers have emitted before they wait counts towards the memory limit";
        context->lane->fault.kind = "memory";
        moonbus_fault_set_message(&context->lane->fault, text, sizeof text - 1);
        moonbus_task_drop_thread(context, task); /* suspended in the middle: the collector gets it */
        return run->status;
    }
    if (run->expired) lua_sethook(thread, NULL, 0, 0);
    if (lua_status != LUA_OK) {
        /* Only what the body itself raised arrives here, such as no memory for the event: nothing is left to close. */
        run->status = MOONBUS_FAILED;
        moonbus_run_failed(thread, lua_status);
        lua_resetthread(thread);
        lua_settop(thread, 0);
    }
    return run->status; /* bodies return nothing: the stack is empty */
}

moonbus_status moonbus_run_go(moonbus_context *context, moonbus_task *task) {
    moonbus_lane *lane = context->lane;
    moonbus_run *run = &lane->run;
    run->c_stack = __builtin_frame_address(0);
    if (sigsetjmp(run->escape, 0) != 0) { /* 0: the handler blocks no signals, so there is no mask to restore */
        moonbus_watchdog_run_ends(lane);
        note_kill(lane->run.context);
        lane->run.task->state = MOONBUS_TASK_IDLE;
        lane->run.task = NULL;
        return MOONBUS_KILLED;
    }
    moonbus_watchdog_run_begins(lane);
    MOONBUS_BARRIER();
    run->zone = 1;
    MOONBUS_BARRIER();
    int result_count;
    int lua_status = lua_resume(task->thread, context->L, 0, &result_count);
    moonbus_zone_leave(run);
    moonbus_watchdog_run_ends(lane);
    moonbus_status status = conclude(context, task, lua_status, result_count);
    run->task = NULL; /* nothing runs: nothing can be staged */
    return status;
}
