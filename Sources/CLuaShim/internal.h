/* What the files of the shim share: the structures, and who may touch them.
 *
 * Three places where memory lives, and the rule that keeps a hard kill safe:
 *
 *   the arena         the context itself and everything that Lua allocates: one mapping, dropped whole and never walked
 *   the lane          output region, scratch region, the state of the one run in progress; mapped once, never freed
 *   the C heap        tasks, host functions, modules; only touched OUTSIDE the kill zone
 *
 * The *kill zone* is the stretch of a run in which the signal handler may `siglongjmp` away (moonbus_run.zone == 1).
 * Inside it no code may call malloc, free, a lock, or anything that holds one. Host functions run outside of it.
 *
 * Comments on functions that touch a Lua stack: Stack [-pops, +pushes, may raise?].
 */
#ifndef MOONBUS_INTERNAL_H
#define MOONBUS_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sigjmp_buf, clockid_t, dladdr; so this header comes first */
#endif

#include "arena.h"
#include "fault.h"

#include <lua5.4/lauxlib.h> /* where Debian has them */
#include <lua5.4/lua.h>
#include <lua5.4/lualib.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MOONBUS_ADDRESS_SANITIZER 1
#endif
#endif

#define MOONBUS_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define MOONBUS_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
/* Keeps the compiler from moving memory accesses across it: the signal handler must see them in program order. */
#define MOONBUS_BARRIER() __asm__ __volatile__("" ::: "memory")

/* ---- tasks, contexts, lanes --------------------------------------------------------------------------------------- */

typedef enum { MOONBUS_TASK_IDLE, MOONBUS_TASK_RUNNING, MOONBUS_TASK_WAITING } moonbus_task_state;

/* One run of script code that may wait: a delivery, or a load. Its thread is pooled and used again. */
typedef struct moonbus_task {
    lua_State *thread;
    int reference; /* keeps the thread alive */
    moonbus_task_state state;
    bool is_load;
    bool random_ready;
    bool has_identity;
    uint64_t identifier;
    moonbus_delivery delivery;
    uint32_t emit_count;    /* ordinal of the next emitted event */
    uint32_t emit_base;     /* ordinal of the first one since the task began, or since its last checkpoint */
    uint32_t effects_size;  /* staged so far; while the task waits they lie in `effects` */
    uint8_t *effects;       /* C heap; NULL unless it waits with effects */
    uint32_t aside_size;    /* of `effects` */
    uint64_t random[4];     /* xoshiro256**, seeded from the delivery on first use */
    uint64_t identity[2];   /* if has_identity */
    struct moonbus_task *next_idle;
    struct moonbus_task *next; /* all tasks of the context */
} moonbus_task;

typedef struct moonbus_host_entry {
    struct moonbus_host_entry *next;
    uint32_t function;
    uint8_t library, ordinal; /* where scripts find it, see library.c */
    char signature[16];
    char name[96]; /* "kv.set", for error messages; "print": a global */
} moonbus_host_entry;

struct moonbus_functions {
    const moonbus_host_entry *entries;
};

typedef struct moonbus_module {
    struct moonbus_module *next;
    size_t size;
    char *name, *chunk, *source; /* in the same block */
} moonbus_module;

/* Pre-interned field names of an event: their addresses identify them. Order: event.c, field_names. */
enum { MOONBUS_EVENT_FIELDS = 12, MOONBUS_JSON_DEPTH_MAX = 64 };

enum { MOONBUS_KEY_CACHE_BITS = 7 };

typedef struct {
    uint64_t words[4];
    uint32_t size; /* 0: empty */
    int reference;
} moonbus_cached_key;

/* Libraries that are there by name, and how many more tables the host may furnish. */
enum {
    MOONBUS_LIBRARY_GLOBALS,
    MOONBUS_LIBRARY_STRING,
    MOONBUS_LIBRARY_TABLE,
    MOONBUS_LIBRARY_MATH,
    MOONBUS_LIBRARY_UTF8,
    MOONBUS_LIBRARY_COROUTINE,
    MOONBUS_LIBRARY_JSON, /* from here on: the API, read-only once the context is sealed */
    MOONBUS_LIBRARY_BUS,
    MOONBUS_LIBRARY_TIME,
    MOONBUS_LIBRARIES_OWN,
    MOONBUS_LIBRARIES_MAX = 16,
};

typedef struct {
    const void *table; /* NULL: no script has asked for it */
    uint64_t made;     /* members that it has been given, by ordinal */
} moonbus_library_state;

struct moonbus_context {
    moonbus_arena arena; /* first: they have one address */
    moonbus_lane *lane;
    lua_State *L;
    moonbus_context_options options;
    bool dead, sealed;
    moonbus_task *tasks, *idle_tasks;
    size_t aside_size; /* bytes of effects that waiting tasks have in the C heap: they count towards the memory cap */
    const moonbus_host_entry *host_entries; /* those of its own, then options.functions */
    moonbus_module *modules;
    moonbus_library_state libraries[MOONBUS_LIBRARIES_MAX];
    uint64_t libraries_made;    /* bits: their tables are in the globals, or were */
    const void *lazy_metatable; /* of tables whose members are made when they are asked for */
    int lazy_reference;
    char *emit_patterns; /* NUL-separated, ended by an empty one; NULL: anything may be emitted */
    char *sources; /* that events may be emitted under, the plugin's own first; likewise */
    const void *array_marker, *event_metatable;   /* identity of two metatables, for comparison only */
    int array_reference, event_reference;         /* and where they are in the registry */
    const void *data_metatable; /* of `event.data` that is not decoded yet */
    int data_reference;
    const void *last_data_table; /* the one that was made last, and what it is made of: while the table lives, both do */
    void *last_data;
    uint32_t data_price; /* of the reads since that table was made, and what is usual: see event_data.c, is_worth_it */
    uint32_t data_habit;
    uint8_t data_turns;
    const char *event_fields[MOONBUS_EVENT_FIELDS];
    moonbus_cached_key *keys; /* in the arena, see key_cache.c */
    size_t key_mask;
    uint32_t key_misses;
    uint16_t object_hints[MOONBUS_JSON_DEPTH_MAX + 1]; /* members of the last object decoded at that depth */
    uint16_t array_hints[MOONBUS_JSON_DEPTH_MAX + 1];
    int close_depth; /* nested coroutine.close calls */
    char *error; /* JSON of the last failed load, on the C heap; NULL: none */
    size_t error_size;
};

/* Ids that fit; the worker sends them long before. Past it a delivery gets an ordinary record. */
enum { MOONBUS_DONE_MAX = 512 };

typedef enum {
    MOONBUS_UNWIND_NOT = 0,
    MOONBUS_UNWIND_CANCELLED,
    MOONBUS_UNWIND_REJECTED,
    MOONBUS_UNWIND_RETRY,
} moonbus_unwind;

/* The one run in progress on a lane. */
struct moonbus_run {
    sigjmp_buf escape;
    moonbus_context *context;
    moonbus_task *task;
    const char *c_stack; /* frame that started the run */
    lua_State *volatile running; /* the innermost coroutine: the interrupt arms its hook */
    volatile sig_atomic_t zone;         /* 1: the signal handler may jump away */
    volatile sig_atomic_t expired;      /* the CPU limit has passed: unwinding, uncatchable */
    volatile sig_atomic_t arm_pending;  /* level 1 came outside the zone */
    volatile sig_atomic_t kill_pending; /* level 2 came outside the zone */
    moonbus_unwind unwinding; /* ending on purpose: uncatchable as well */
    moonbus_status status;    /* set by the body when it ends */
    bool is_syntax_error;
    uint64_t refused_before;
    int64_t retry_us;
    uint32_t detail_size; /* result JSON, written behind the effects */
    /* body's input */
    const uint8_t *const *records;
    const char *source, *chunk;
    size_t source_size;
    bool is_compile_only;
    /* what a waiting host function gets */
    bool has_reply; /* nobody has taken it yet */
    bool reply_ok;
    uint32_t reply_count;
    const moonbus_value *reply;
};

struct moonbus_lane {
    moonbus_run run;
    moonbus_page *page, own_page;
    _Atomic uint64_t sequence; /* odd while script code runs */
    _Atomic uint64_t limit_us, grace_us;
    _Atomic uint64_t request_sequence; /* which run the signal is for */
    _Atomic int request_level;
    pthread_t thread;
    clockid_t cpu_clock;
    bool is_live;
    _Atomic uint32_t ticks; /* the watchdog's looks at this lane */
    /* watchdog only */
    uint64_t seen_sequence, base_us, soft_us;
    int stage;
    /* output region: [0, output_size) are finished outcome records; effects of the run are staged behind, after a header */
    uint8_t *output;
    size_t output_size, output_high;
    uint32_t output_count;
    uint32_t done_count; /* deliveries that are done and left nothing: their ids are all there is to say */
    uint64_t done[MOONBUS_DONE_MAX];
    moonbus_fault fault; /* of the run in progress */
    char *scratch; /* JSON of host arguments; contents die with the call that made them */
    char *unescaped; /* of the string that is being decoded: apart from the scratch region, as encoding may decode what it encodes */
    size_t scratch_high, unescaped_high;
};

#define MOONBUS_OUTPUT_RESERVED ((size_t)2 << 30)  /* address space only */
#define MOONBUS_SCRATCH_RESERVED ((size_t)64 << 20) /* also the most that json.encode makes, and the longest string with escapes */
enum {
    MOONBUS_RECORD_HEADER = 24,
    MOONBUS_RESULT_MAX = 1 << 20,  /* bytes of a handler's result */
    MOONBUS_SOURCE_MAX = 1 << 20,  /* bytes that a script's `load` takes */
    MOONBUS_REASON_MAX = MOONBUS_TEXT_MAX,
};

static inline moonbus_context *moonbus_context_of(lua_State *L) {
    return *(moonbus_context **)lua_getextraspace(L);
}
static inline moonbus_run *moonbus_run_of(lua_State *L) {
    return &moonbus_context_of(L)->lane->run;
}

/* ---- lane.c, watchdog.c --------------------------------------------------------------------------------------------- */

void moonbus_watchdog_add(moonbus_lane *lane);
void moonbus_watchdog_remove(moonbus_lane *lane);
/* A run begins: publishes it and wakes the watchdog if it is parked. */
void moonbus_watchdog_run_begins(moonbus_lane *lane);
void moonbus_watchdog_run_ends(moonbus_lane *lane);
moonbus_lane *moonbus_lane_slot(void);

/* Arms the interrupt on `L`: its next VM instruction raises. */
void moonbus_interrupt_arm(lua_State *L);

/* Leave and re-enter the kill zone around code that may lock or allocate. A kill or an interrupt that came meanwhile
 * takes effect in moonbus_zone_enter, which may therefore not return. */
static inline void moonbus_zone_leave(moonbus_run *run) {
    MOONBUS_BARRIER();
    run->zone = 0;
    MOONBUS_BARRIER();
}
void moonbus_zone_enter(moonbus_run *run);

/* True when everything must unwind: script code may not catch the error that is under way. */
static inline bool moonbus_run_unwinds(const moonbus_run *run) {
    return run->expired || run->unwinding != MOONBUS_UNWIND_NOT;
}
/* Bytes of C stack that the run uses. Lua's own limit does not count coroutines that are closed from coroutines. */
static inline size_t moonbus_run_c_stack(const moonbus_run *run) {
    const char *here = __builtin_frame_address(0);
    return run->c_stack > here ? (size_t)(run->c_stack - here) : 0;
}

/* ---- effects.c, outcome.c ------------------------------------------------------------------------------------------- */

/* Where the next staged effect goes, and how many bytes may follow there. */
uint8_t *moonbus_effects_end(moonbus_context *context, size_t *room);
/* The effect of `size` bytes at moonbus_effects_end is complete. */
void moonbus_effects_advance(moonbus_context *context, size_t size);
/* Moves a task's effects out of / back into the output region when it waits / goes on. False: over the context's memory cap. */
bool moonbus_effects_set_aside(moonbus_context *context, moonbus_task *task);
void moonbus_effects_bring_back(moonbus_context *context, moonbus_task *task);
/* Gives up what was moved out. */
void moonbus_effects_drop(moonbus_context *context, moonbus_task *task);

bool moonbus_output_has_room(const moonbus_context *context);
/* Finishes the record whose effects are staged. Detail: for DONE what lies behind the effects, else `detail`. */
void moonbus_outcome_append(moonbus_context *context, moonbus_task *task, uint64_t identifier, moonbus_status status, const void *detail,
                            size_t detail_size);
/* Notes a delivery that is done, with no effect and no result. */
void moonbus_outcome_done(moonbus_context *context, moonbus_task *task, uint64_t identifier);
void moonbus_outcome_append_fault(moonbus_context *context, moonbus_task *task, uint64_t identifier, moonbus_status status);

/* ---- identity.c ----------------------------------------------------------------------------------------------------- */

/* Makes the delivery's identity of the first of its records, once. */
void moonbus_identity_keep(moonbus_task *task, const uint8_t *record);

#endif
