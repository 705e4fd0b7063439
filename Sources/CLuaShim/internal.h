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

#include "CLuaShim.h"

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

typedef struct moonbus_run moonbus_run;

/* ---- arena.c ------------------------------------------------------------------------------------------------------ */

enum { MOONBUS_ARENA_CLASSES = 65 + 8 * 24 };

enum {
    MOONBUS_SLOT_COUNT = 2048, /* threads a context that get a slot; later ones get ordinary blocks */
    MOONBUS_SLOT_SIZE = 8 << 20, /* bytes of the largest stack: about 100,000 levels of recursion; Lua's own limit is twice that */
    MOONBUS_NEAR_SLOT_COUNT = 16, /* slots that come with the context; the rest is mapped when it is needed */
};

/* Bytes of a new thread's stack in Lua 5.4: (BASIC_STACK_SIZE 40 + EXTRA_STACK 5) slots of 16 bytes. */
enum { MOONBUS_INITIAL_STACK_SIZE = 45 * 16 };

typedef struct {
    uint32_t size;    /* bytes in use; 0: free */
    uint32_t moving;  /* 1: Lua will free the old block, which is this one, next */
    int32_t next_free;
    uint32_t resident; /* high water of `size` since pages were last given back */
} moonbus_stack_slot;

typedef struct moonbus_far_slots moonbus_far_slots;

typedef struct {
    char *base;             /* of slot 0; NULL: there are no slots, Lua stacks are ordinary blocks */
    moonbus_far_slots *far; /* slots from MOONBUS_NEAR_SLOT_COUNT on; NULL: not needed yet */
    int32_t first_free, fresh; /* `fresh`: slots from here on were never used */
    lua_State *owners[MOONBUS_NEAR_SLOT_COUNT];
    moonbus_stack_slot slots[MOONBUS_NEAR_SLOT_COUNT];
} moonbus_stack_slots;

typedef struct {
    char *base, *bump, *end; /* [bump, end) has been handed out at least once */
    size_t used, peak, cap;  /* live bytes, rounded up to their size class */
    size_t mapped_size;      /* of the whole mapping, from `base` */
    uint64_t refused_count;
    uint64_t fail_after; /* for tests: allocations that still succeed, plus one; 0: no limit */
    moonbus_run *run;    /* of the lane: where something must be done outside the kill zone; NULL: there is none */
    lua_State *new_thread; /* its stack is the next allocation of the initial stack's size */
    uintptr_t *recorder;   /* only while stack_slots.c calibrates: where to copy the caller's frame */
    void *blocks;          /* AddressSanitizer build: list of all blocks */
    bool pins_stacks;      /* new threads get slots */
    bool stack_overflowed; /* a stack wanted to outgrow its slot: Lua reports it as "not enough memory" */
    uint64_t free_small;   /* bit n: the list of class n + 1 is not empty */
    uint32_t free_lists[MOONBUS_ARENA_CLASSES]; /* distance of the first block from `end`, in 16 bytes; 0: none */
    moonbus_stack_slots slots;
} moonbus_arena;

/* Maps an arena for `cap` live bytes, with a head of `head_size` bytes, zeroed, that begins with the moonbus_arena.
 * NULL when the address space or the page tables are exhausted. */
moonbus_arena *moonbus_arena_open(size_t head_size, size_t cap);
/* Drops everything at once, the head too, whatever state it is in. */
void moonbus_arena_close(moonbus_arena *arena);
/* A lua_Alloc; `arena` is a moonbus_arena. Never raises, makes no libc call but memcpy (and madvise, mmap). */
void *moonbus_arena_allocate(void *arena, void *block, size_t old_size, size_t new_size);
size_t moonbus_arena_touched(const moonbus_arena *arena);

/* ---- stack_slots.c ------------------------------------------------------------------------------------------------ */

enum { MOONBUS_FRAME_WORDS = 40 };

/* Finds out, once a process, how to recognise Lua's stack reallocations (see stack_slots.c). */
void moonbus_stack_slots_calibrate(void);
/* How a request that moves a stack looks, as words above the allocator's frame address. `caller_word` 0: unknown. */
typedef struct {
    bool is_usable;
    size_t caller_word, thread_word;
    uintptr_t caller; /* return address inside luaD_reallocstack */
} moonbus_stack_signature;
extern moonbus_stack_signature moonbus_stack_move;
/* `base`: room for MOONBUS_NEAR_SLOT_COUNT slots, 16-byte aligned. */
void moonbus_stack_slots_open(moonbus_stack_slots *slots, char *base);
void moonbus_stack_slots_close(moonbus_stack_slots *slots);
/* The slot of a new thread; NULL when there is none. May map memory, and leaves the kill zone of `run` for that. */
void *moonbus_stack_slots_take(moonbus_stack_slots *slots, lua_State *thread, size_t size, moonbus_run *run);
bool moonbus_stack_slots_hold(const moonbus_stack_slots *slots, const void *block);
/* The slot's block of a thread whose stack Lua is about to move, and its size; NULL when it has no slot. */
void *moonbus_stack_slots_moving(moonbus_stack_slots *slots, const lua_State *thread, size_t *old_size);
/* Gives the block at `block` a new size, in place. `frees_old`: Lua will free the old block, which is the same, next. */
void moonbus_stack_slots_resize(moonbus_stack_slots *slots, void *block, size_t new_size, bool frees_old);
/* Returns the bytes that came free: 0 when this was the free that follows a move in place. */
size_t moonbus_stack_slots_free(moonbus_stack_slots *slots, void *block);

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
    uint32_t effects_size;  /* staged so far; while the task waits they lie in `effects` */
    uint8_t *effects;       /* C heap; NULL unless it waits with effects */
    uint64_t random[4];     /* xoshiro256**, seeded from the delivery on first use */
    uint64_t identity[2];   /* if has_identity */
    struct moonbus_task *next_idle;
    struct moonbus_task *next; /* all tasks of the context */
} moonbus_task;

enum { MOONBUS_TEXT_MAX = 4096, MOONBUS_FILE_MAX = 256 };

/* Every character of a fault may need an escape of six. */
enum { MOONBUS_FAULT_JSON_MAX = 6 * (2 * MOONBUS_TEXT_MAX + MOONBUS_FILE_MAX) + 256 };

/* What went wrong in the run in progress, as bounded, printable UTF-8. */
typedef struct {
    const char *kind; /* error, memory, timeout, killed, syntax */
    size_t message_size, traceback_size, file_size;
    int line;
    bool is_located; /* file, line and traceback are set */
    char message[MOONBUS_TEXT_MAX];
    char traceback[MOONBUS_TEXT_MAX];
    char file[MOONBUS_FILE_MAX];
} moonbus_fault;

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
    size_t waiting_count;
    const moonbus_host_entry *host_entries; /* those of its own, then options.functions */
    moonbus_module *modules;
    moonbus_library_state libraries[MOONBUS_LIBRARIES_MAX];
    uint64_t libraries_made;    /* bits: their tables are in the globals, or were */
    const void *lazy_metatable; /* of tables whose members are made when they are asked for */
    int lazy_reference;
    char *emit_patterns; /* NUL-separated, ended by an empty one; NULL: anything may be emitted */
    const void *array_marker, *event_metatable;   /* identity of two metatables, for comparison only */
    int array_reference, event_reference;         /* and where they are in the registry */
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
    char *scratch; /* JSON of host arguments, unescaped strings; contents die with the call that made them */
    size_t scratch_high;
};

#define MOONBUS_OUTPUT_RESERVED ((size_t)2 << 30)  /* address space only */
#define MOONBUS_SCRATCH_RESERVED ((size_t)64 << 20) /* also the most that json.encode makes */
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
/* Moves a task's effects out of / back into the output region when it waits / goes on. */
bool moonbus_effects_set_aside(moonbus_context *context, moonbus_task *task);
void moonbus_effects_bring_back(moonbus_context *context, moonbus_task *task);

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

/* ---- fault.c -------------------------------------------------------------------------------------------------------- */

/* Message handler: notes place and traceback, leaves the error value alone. Stack [-0, +0, never raises]. */
int moonbus_fault_handler(lua_State *L);
void moonbus_fault_locate(lua_State *L, moonbus_fault *fault);
void moonbus_fault_reset(moonbus_fault *fault);
/* Turns the error value on top of the stack into fault->message; may call a __tostring, protected.
 * Stack [-1, +0, never raises]. */
void moonbus_fault_describe(lua_State *L, moonbus_fault *fault);
void moonbus_fault_set_message(moonbus_fault *fault, const char *text, size_t size);
/* Writes JSON; returns its size, at most MOONBUS_FAULT_JSON_MAX. */
size_t moonbus_fault_encode(const moonbus_fault *fault, char *out, size_t capacity);
/* Copies as printable UTF-8: control characters and bad bytes become \xNN, too long ends in "…". Returns the size. */
size_t moonbus_text_copy(char *out, size_t capacity, const char *text, size_t size);

/* ---- library of the scripts ----------------------------------------------------------------------------------------- */

/* What the shim adds to, or replaces in, each library; ended by a NULL name. */
extern const luaL_Reg moonbus_base_functions[], moonbus_string_functions[], moonbus_table_functions[], moonbus_math_functions[],
    moonbus_coroutine_functions[], moonbus_json_functions[], moonbus_bus_functions[], moonbus_time_functions[];
/* Take the functions of Lua's own that the shim's call. Stack: the library on top [-0, +0, may raise]. */
void moonbus_adopt_strings(lua_State *L);
void moonbus_adopt_tables(lua_State *L);

/* ---- library.c ------------------------------------------------------------------------------------------------------ */

/* Gathers, once a process, what libraries are made of. */
void moonbus_library_prepare(void);
/* Each may raise (memory). Stack [-0, +0, may raise]. */
void moonbus_open_library(lua_State *L);
void moonbus_open_json(lua_State *L);
void moonbus_open_event(lua_State *L);
/* Makes read-only what is in the globals already. Stack [-0, +0, may raise]. */
void moonbus_library_seal(lua_State *L);
/* If the table at `index` gets its members when they are asked for: gives it all of them, so that it is as any other.
 * Stack [-0, +0, may raise (memory)]. */
void moonbus_library_complete(lua_State *L, int index);
/* Which library the table belongs to, and its members' ordinal; false: too many tables or functions. */
bool moonbus_library_place(moonbus_host_entry *entry, const moonbus_host_entry *others);

/* Pushes what `tostring` gives: honours __tostring and __name, no addresses. Stack [-0, +1, may raise]. */
const char *moonbus_push_text(lua_State *L, int index, size_t *size);
/* Private values: the address is the value. */
extern const char moonbus_key_null, moonbus_key_modules, moonbus_key_wait;
/* Replaces the table on top by a read-only view of it. Stack [-1, +1, may raise]. */
void moonbus_push_sealed(lua_State *L);
/* Replaces the table on top, and all tables inside it, by read-only views. Stack [-1, +1, may raise]. */
void moonbus_push_sealed_deep(lua_State *L);
/* If the value at `index` is a read-only view, pushes the table behind it. That table, or else the one at `index`, has all
 * of its members afterwards (see moonbus_library_complete). Stack [-0, +(0|1), may raise (memory)]. */
bool moonbus_unseal(lua_State *L, int index);

/* Raises `name` unless waiting is possible, else yields to the host. Stack: see coroutines.c. */
int moonbus_wait(lua_State *L, lua_KFunction then);
int moonbus_host_call_function(lua_State *L);
int moonbus_require(lua_State *L);

/* ---- JSON ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    char *start, *next, *limit;
    bool functions;      /* functions become {"$function":N} */
    uint8_t indent;      /* spaces a level; 0: compact */
    const char *subject; /* first word of paths in errors: "data", "result", "value" */
} moonbus_json_writer;

/* Encodes the value at `index`. Raises with the path of what JSON cannot hold, or "too_large: …" past the limit.
 * Stack [-0, +0, may raise]. */
void moonbus_json_encode(lua_State *L, int index, moonbus_json_writer *writer);
/* Pushes the decoded value. Raises on anything that is not JSON. The caller sees to 12 free slots.
 * Stack [-0, +1, may raise]. */
void moonbus_json_decode(lua_State *L, const char *text, size_t size);
/* Pushes the member `key` of the JSON object, or nil. Stack [-0, +1, may raise]. */
void moonbus_json_decode_member(lua_State *L, const char *text, size_t size, const char *key, size_t key_size);
/* Appends text between quotes, escaped. False when it does not fit; the text must be valid UTF-8. */
bool moonbus_json_quote(moonbus_json_writer *writer, const char *text, size_t size);
bool moonbus_json_raw(moonbus_json_writer *writer, const char *text, size_t size);
/* Size of the valid UTF-8 sequence at `text`, 0 when there is none. */
size_t moonbus_utf8_sequence(const unsigned char *text, size_t size);
bool moonbus_utf8_is_valid(const char *text, size_t size);
/* Shortest text that reads back as `number`, always a float ("2.0"). Returns its size, at most 32. */
size_t moonbus_json_format_number(char *out, double number);
/* Reads the number at `text` (grammar already checked, `size` bytes). */
bool moonbus_json_number(const char *text, size_t size, bool is_float, int64_t *integer, double *number);

/* ---- event.c, times.c ------------------------------------------------------------------------------------------------ */

/* Pushes an event made of a copy of `record`. Stack [-0, +1, may raise (memory)]. */
void moonbus_push_event(lua_State *L, const uint8_t *record, uint16_t attempt);
/* Two fields of a record. */
const char *moonbus_event_id(const uint8_t *record, size_t *size);
const char *moonbus_event_source(const uint8_t *record, size_t *size);
/* Pushes the record's data, decoded; nil when there is none or it is null. Stack [-0, +1, may raise]. */
void moonbus_push_event_data(lua_State *L, const uint8_t *record);
/* Encodes the event userdata at `index`. Stack [-0, +0, may raise]. */
void moonbus_event_encode(lua_State *L, int index, moonbus_json_writer *writer);

/* "1m30s" → microseconds. False unless 0 … 366 days. */
bool moonbus_parse_duration(const char *text, size_t size, int64_t *microseconds);
/* The value at `index` as a duration: text, or seconds as a number. Stack [-0, +0, never raises]. */
bool moonbus_to_duration(lua_State *L, int index, int64_t *microseconds);
bool moonbus_parse_rfc3339(const char *text, size_t size, int64_t *microseconds);
/* Returns the size, at most 40. UTC, fraction of 0, 3 or 6 digits. */
size_t moonbus_format_rfc3339(char *out, int64_t microseconds);

/* ---- patterns.c ------------------------------------------------------------------------------------------------------ */

/* NULL when `type` may be an event's type, else what is wrong with it. */
const char *moonbus_type_problem(const char *type, size_t size);
bool moonbus_pattern_matches(const char *pattern, const char *type, size_t size);
/* The candidate (NULL-terminated list) closest to `word`, or NULL when none is close. */
const char *moonbus_did_you_mean(const char *word, const char *const *candidates);

#endif
