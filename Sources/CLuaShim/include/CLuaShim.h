/* Lua 5.4 behind status codes: every Lua call that can raise stays on the other side of this header.
 *
 * A *lane* is one worker thread. It owns an output region and runs *contexts*, one at a time. A context is one
 * `lua_State` with its own arena, byte cap and CPU limit. Swift calls in; nothing here ever unwinds through the
 * caller, and a host function called from Lua only returns a verdict (`MOONBUS_RETURN/RAISE/WAIT`): the shim raises
 * or yields after the Swift frame is gone.
 *
 * Wire formats (event record, delivery, outcome, effect) are those of docs/frames.md; the shim reads deliveries and
 * writes outcomes in place, so that the hot path copies nothing twice.
 */
#ifndef MOONBUS_CLUASHIM_H
#define MOONBUS_CLUASHIM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct moonbus_lane moonbus_lane;
typedef struct moonbus_context moonbus_context;
typedef struct moonbus_functions moonbus_functions;

/* ---- values across the border ---------------------------------------------------------------------------------- */

typedef enum {
    MOONBUS_NIL = 0,
    MOONBUS_BOOLEAN = 1,
    MOONBUS_INTEGER = 2,
    MOONBUS_NUMBER = 3,
    MOONBUS_STRING = 4,   /* bytes, size */
    MOONBUS_JSON = 5,     /* bytes, size: JSON text. As an argument: what a table encoded to. As a result: decoded for the script. */
    MOONBUS_FUNCTION = 6, /* function: a reference that moonbus_context_deliver takes */
} moonbus_kind;

typedef struct {
    uint32_t kind;
    uint32_t size;
    union {
        int64_t integer; /* MOONBUS_BOOLEAN (0 or 1), MOONBUS_INTEGER, MOONBUS_FUNCTION */
        double number;
        const char *bytes; /* valid until the host function returns (arguments) or until the next call into the context (results) */
    } as;
} moonbus_value;

/* ---- host functions: what Lua calls ------------------------------------------------------------------------------ */

enum { MOONBUS_ARGUMENTS_MAX = 6, MOONBUS_RESULTS_MAX = 4 };

typedef struct {
    moonbus_context *context;
    uint64_t task;     /* the running delivery or load; pass to moonbus_context_resume when the verdict was WAIT */
    uint32_t function; /* the id it was registered with */
    uint32_t argument_count;
    const moonbus_value *arguments;
    uint32_t result_count;                       /* set by the host */
    moonbus_value results[MOONBUS_RESULTS_MAX]; /* set by the host; for RAISE results[0] is the error text */
} moonbus_host_call;

typedef enum { MOONBUS_RETURN = 0, MOONBUS_RAISE = 1, MOONBUS_WAIT = 2 } moonbus_verdict;

/* Runs on the lane's thread, outside the kill zone; may allocate and lock; must not call back into the context. */
typedef int32_t (*moonbus_host_function)(void *host, moonbus_host_call *call);

/* ---- lanes ------------------------------------------------------------------------------------------------------- */

/* What a lane is doing, on a page that the host may share with it (memfd). All fields are written with release order. */
typedef struct {
    uint64_t sequence;   /* odd while script code runs; rises by 2 for each run */
    uint64_t task;       /* what runs */
    uint64_t context;    /* in which context (options.identifier) */
    uint64_t limit_us;   /* its CPU limit */
    uint64_t started_us; /* CLOCK_MONOTONIC when it began; written only when `sequence` becomes odd from a frame's first run */
    uint64_t soft_count; /* interrupts that the in-lane watchdog sent since start */
    uint64_t hard_count; /* hard kills */
    uint64_t finished;   /* bytes of the area of deliveries that the lane has finished with */
} moonbus_page;

/* Counts bytes of the area as finished: the host may write there again. */
void moonbus_page_finished(moonbus_page *page, uint64_t bytes);

/* Makes the calling thread a lane; needs a stack of at least 8 MiB. `page` may be NULL. At most 256 lanes a process.
 * Starts the process's watchdog thread with the first lane (before any seccomp filter). NULL when out of memory. */
moonbus_lane *moonbus_lane_enter(moonbus_page *page);
/* Ends it; all of its contexts must have been destroyed. Call on the lane's own thread. */
void moonbus_lane_leave(moonbus_lane *lane);

/* The output region: outcome records, appended by deliver/resume/cancel. The lane's worker sends and clears it, together
 * with the ids of the deliveries that are done and left no effect and no result: most of them. */
const uint8_t *moonbus_lane_output(const moonbus_lane *lane, size_t *size, uint32_t *count);
/* Counts up about once a millisecond while the lane runs anything: time for those who can't afford a clock. */
uint32_t moonbus_lane_ticks(const moonbus_lane *lane);
const uint64_t *moonbus_lane_done(const moonbus_lane *lane, uint32_t *count);
void moonbus_lane_output_clear(moonbus_lane *lane);

/* ---- contexts ---------------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t identifier;     /* shown on the page */
    size_t memory_bytes;     /* cap of the arena, 1 MiB … 4 GiB; default 64 MiB */
    uint64_t cpu_us;         /* CPU limit of one run: load, delivery, or one stretch between two waits; default 1,000,000 */
    uint64_t grace_us;       /* after the limit, before the hard kill; default 250,000 */
    uint32_t effect_bytes_max; /* staged effects of one delivery; default 4 MiB */
    uint32_t effect_count_max; /* default 1,000 emits */
    uint32_t event_bytes_max;  /* one emitted event's data, encoded; default 256 KiB */
    const moonbus_functions *functions; /* what the context has beside what is registered with it; may be NULL */
    void *host;              /* first argument of `call` */
    moonbus_host_function call;
} moonbus_context_options;

/* NULL on failure, with the reason in `error` (NUL-terminated). The sandboxed standard library is in place, `json`,
 * `time.now`, `bus.emit`, `bus.reject`, `bus.retry`, `require` too (pure C); everything else is registered by the host. */
moonbus_context *moonbus_context_create(moonbus_lane *lane, const moonbus_context_options *options, char *error, size_t error_size);
void moonbus_context_destroy(moonbus_context *context);

/* Makes `table.name` (table "" for a global) a host function. `signature` has one letter an argument; upper case
 * means optional (nil allowed), arguments past the signature are an error:
 *   s string · i integer · n number · b boolean · v any scalar or nil · j anything JSON can hold (arrives as MOONBUS_JSON)
 *   T before f may be left out altogether: f(function) is f(nil, function)
 *   p (at the end only) is not given by the script: where it called, "main.lua:12: "
 *   t table that may hold functions, arrives as MOONBUS_JSON with {"$function":N} in their place · f function
 *   * any number of further arguments (at the end only, not behind j or t; at most 6 arguments in all, more are left out): scalars as they
 *     are, other values as their text, as `tostring` makes it (for print)
 *   d duration: "250ms" "5s" "1m30s" "2h" "1d" or seconds as a number; arrives as MOONBUS_INTEGER microseconds
 * A wrong argument raises: bad argument #2 to 'bus.emit' (duration expected, got table).
 * Returns 0, or a non-zero status when out of memory. Call before the first run. */
int moonbus_context_register(moonbus_context *context, const char *table, const char *name, const char *signature, uint32_t function);
/* A list of host functions that any number of contexts share, on any lanes: made once, and there as long as they are. At most 7
 * tables of its own, and 64 functions a table, what the context itself has included. NULL, or non-zero, when out of memory or past
 * that. */
moonbus_functions *moonbus_functions_create(void);
int moonbus_functions_add(moonbus_functions *functions, const char *table, const char *name, const char *signature, uint32_t function);
/* Sets `table.name` to a JSON value, read-only for the script (e.g. `config` is table "" name "config"). */
int moonbus_context_set(moonbus_context *context, const char *table, const char *name, const char *json, size_t size);
/* What `require(name)` finds; compiled on first use, once. `chunk` is the name in error messages, e.g. "lib/x.lua". */
int moonbus_context_add_module(moonbus_context *context, const char *name, const char *chunk, const char *source, size_t size);
/* Limits what the plugin may emit to these patterns (NATS grammar), separated by spaces, newlines or NULs; size 0: it may
 * emit nothing. Not called: anything. bus.emit raises: not allowed to emit "x": plugin.toml [permissions] emit allows … */
int moonbus_context_restrict_emit(moonbus_context *context, const char *patterns, size_t size);
/* Limits what the plugin may give as an event's source: the first of these, separated by newlines, is its own; one with a `*` at its end
 * permits all that begin so. Not called: anything. bus.emit raises: denied: the source "x" is not this plugin's … */
int moonbus_context_restrict_sources(moonbus_context *context, const char *sources, size_t size);
/* Makes the API tables (bus, kv, json, time, …) read-only for the script. Call after registering. */
int moonbus_context_seal(moonbus_context *context);

typedef enum {
    MOONBUS_DONE = 0,      /* outcome appended (deliver, resume) */
    MOONBUS_WAITING = 1,   /* a host function said WAIT; nothing appended; resume or cancel later */
    MOONBUS_FAILED = 2,    /* raised an error; outcome appended with the error */
    MOONBUS_MEMORY = 3,    /* not enough memory */
    MOONBUS_TIMEOUT = 4,   /* interrupted at the CPU limit; the context lives on */
    MOONBUS_KILLED = 5,    /* hard kill: the context is dead; only destroy it. Its waiting tasks are gone (moonbus_context_waiting lists them) */
    MOONBUS_STALE = 6,     /* no such task, or the context is dead; nothing appended */
    MOONBUS_REJECTED = 7,  /* bus.reject(reason) */
    MOONBUS_RETRY = 8,     /* bus.retry(after) */
    MOONBUS_CANCELLED = 9, /* ended by moonbus_context_cancel */
} moonbus_status;

/* Compiles `source` as text (chunk name e.g. "main.lua") and runs it within the limits. No outcome record is written: on
 * failure the error (JSON, as in an outcome) is in moonbus_context_error. Host functions that WAIT are refused during load. */
moonbus_status moonbus_context_load(moonbus_context *context, const char *source, size_t size, const char *chunk, uint64_t task);
/* Only compiles: DONE or FAILED/MEMORY. */
moonbus_status moonbus_context_compile(moonbus_context *context, const char *source, size_t size, const char *chunk);

/* One delivery, as it lies in a `deliver` frame (docs/frames.md). */
typedef struct {
    uint64_t delivery;  /* the task id; never 0 */
    uint32_t context;
    int32_t function;   /* the reference that a MOONBUS_FUNCTION argument carried */
    uint32_t event_index;
    uint16_t event_count;
    uint16_t attempt;   /* from 1 */
    int64_t now_us;     /* time.now() for this delivery, microseconds since 1970 */
    uint64_t seed;      /* of math.random */
    uint64_t subscription_key[2]; /* identifies the subscription: with the event it makes the delivery's identity */
    uint32_t cpu_us;    /* 0: the context's own limit */
    uint16_t kind;      /* MOONBUS_ARGUMENT_* */
    uint16_t flags;
} moonbus_delivery; /* 64 bytes, little endian, 8-byte aligned */

enum {
    MOONBUS_ARGUMENT_EVENT = 0,  /* handler(event) */
    MOONBUS_ARGUMENT_EVENTS = 1, /* handler(events): an array (batch, window) */
    MOONBUS_ARGUMENT_DATA = 2,   /* function(data): the event's data only (a poller gets its cursor, a result callback its result) */
};

/* Runs function(event). `records` are `event_count` pointers to event records (docs/frames.md); they are copied. */
moonbus_status moonbus_context_deliver(moonbus_context *context, const moonbus_delivery *delivery, const uint8_t *const *records);
/* Goes on where a host function said WAIT. With ok = false the values are one error text, raised in the script. */
moonbus_status moonbus_context_resume(moonbus_context *context, uint64_t task, bool ok, const moonbus_value *values, uint32_t count);
/* Ends a waiting task: unwinds it (under the CPU limit) and appends an outcome with status MOONBUS_CANCELLED and `reason`. */
moonbus_status moonbus_context_cancel(moonbus_context *context, uint64_t task, const char *reason);
/* Fills `tasks` with up to `capacity` waiting tasks; returns how many there are. Works on a dead context, too. */
size_t moonbus_context_waiting(const moonbus_context *context, uint64_t *tasks, size_t capacity);

/* Who the running delivery is, whenever and wherever it runs (Identity.swift): `high`, then `low`. False while loading. */
bool moonbus_context_identity(moonbus_context *context, uint64_t identity[2]);

/* Adds a raw effect (docs/frames.md) to the task that is running: for host functions such as kv.set. False when over a bound. */
bool moonbus_context_stage(moonbus_context *context, const void *effect, size_t size);
/* Effects of the running task staged so far leave as an outcome record with status MOONBUS_WAITING (a checkpoint), for
 * sources that run for ever. Call from a host function. */
bool moonbus_context_checkpoint(moonbus_context *context);

/* JSON {"message":…, "file":…, "line":…, "traceback":…, "kind":"error|memory|timeout|killed|syntax"} of the last failed load or compile. */
const char *moonbus_context_error(const moonbus_context *context, size_t *size);

typedef struct {
    size_t used_bytes, peak_bytes, touched_bytes;
    uint64_t refused_count; /* allocations refused at the cap */
    bool dead;
} moonbus_context_usage;
moonbus_context_usage moonbus_context_measure(const moonbus_context *context);

/* ---- for tests and the bench ------------------------------------------------------------------------------------- */

/* Interrupts (level 1) or hard-kills (level 2) whatever script code runs on `lane` now; from any thread. */
void moonbus_test_interrupt(moonbus_lane *lane, int level);
/* Every allocation of `context` from the n-th on fails (n = 0: none does). */
void moonbus_test_fail_allocation(moonbus_context *context, uint64_t n);
/* Every allocation of the next context that this thread creates fails from the n-th on. */
void moonbus_test_fail_next_context(uint64_t n);
/* The C floor of W1: `count` events, a fresh 4-field table and a pcall each. Returns seconds of CPU, negative on error. */
double moonbus_floor_dispatch(uint64_t count);
/* The C floor of W2: `events` to `contexts` plain states, a fresh table each. Returns seconds of CPU, negative on error. */
typedef struct moonbus_floor_states moonbus_floor_states;
moonbus_floor_states *moonbus_floor_fanout_open(uint32_t contexts);
double moonbus_floor_fanout(moonbus_floor_states *floor, uint64_t events);
void moonbus_floor_fanout_close(moonbus_floor_states *floor);
typedef struct {
    double seconds, bytes; /* of one: CPU time, and resident memory; negative on error */
} moonbus_floor_cost;
/* The C floor of W6: `count` plain states, each with safe libraries, the bench's plugin compiled from its source, and one event. */
moonbus_floor_cost moonbus_floor_contexts(uint32_t count);

#endif
