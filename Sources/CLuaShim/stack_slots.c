/* Stack slots: Lua stacks that never move.
 *
 * Debian's liblua 5.4.4-3+deb12u1 carries half of the fix for CVE-2022-33099: after a `__concat` metamethod that makes
 * the Lua stack grow, luaV_concat goes on with a pointer into the old stack (upstream repaired it in 603b2c64). Where
 * the stack stays at its address, that pointer is right. So every thread's stack gets a slot of its own as large
 * as a stack may become; only touched pages cost memory, and growing returns the same address.
 *
 * Which request is a stack's? The first is easy: it follows the thread's own allocation. But to grow or shrink one,
 * this Lua (luaD_reallocstack) asks for a NEW block, copies, and frees the old: to the allocator it looks like any other
 * request. What tells it apart is who asks. All such requests come through one function, luaM_realloc_, so at a fixed
 * distance above our own frame lie the return address of luaM_realloc_'s caller, and, in a saved register, that
 * caller's `L`. moonbus_stack_slots_calibrate measures the two distances once a process, with stacks that grow, grow
 * after a failed attempt, and shrink in a collection, against other requests of the same sizes. If any
 * measurement disagrees with the others, slots are not used at all, and stacks are ordinary blocks.
 * A Lua that reallocates its stack in the usual way (5.4.6 and later) needs no calibration: its blocks carry their
 * address.
 *
 * This file can go when liblua has upstream's 603b2c64.
 */
#include "internal.h"

#include <dlfcn.h>
#include <sys/mman.h>

enum {
    SLOT_COUNT = MOONBUS_SLOT_COUNT,
    SLOT_SIZE = MOONBUS_SLOT_SIZE,
    KEEP_SIZE = 64 * 1024, /* pages beyond this go back to the kernel when a stack shrinks or ends */
    PAGE = 4096,
    NO_SLOT = -1,
};

typedef struct {
    uint32_t size;    /* bytes in use; 0: free */
    uint32_t moving;  /* 1: Lua will free the old block, which is this one, next */
    int32_t next_free;
    uint32_t resident; /* high water of `size` since pages were last given back */
} stack_slot;

struct moonbus_stack_slots {
    char *base; /* of slot 0 */
    int32_t first_free, fresh; /* `fresh`: slots from here on were never used */
    lua_State *owners[SLOT_COUNT];
    stack_slot slots[SLOT_COUNT];
};

moonbus_stack_signature moonbus_stack_move;

#define RESERVED_SIZE (sizeof(moonbus_stack_slots) + PAGE + (size_t)SLOT_COUNT * SLOT_SIZE)

moonbus_stack_slots *moonbus_stack_slots_open(void) {
    if (!moonbus_stack_move.is_usable) return NULL;
    void *memory = mmap(NULL, RESERVED_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    moonbus_stack_slots *slots = memory;
    slots->base = (char *)(((uintptr_t)(slots + 1) + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    slots->first_free = NO_SLOT;
    return slots;
}

void moonbus_stack_slots_close(moonbus_stack_slots *slots) {
    munmap(slots, RESERVED_SIZE);
}

char *moonbus_stack_slots_base(const moonbus_stack_slots *slots) {
    return slots->base;
}

static stack_slot *slot_of(moonbus_stack_slots *slots, const void *block) {
    return &slots->slots[(size_t)((const char *)block - slots->base) / SLOT_SIZE];
}

void *moonbus_stack_slots_take(moonbus_stack_slots *slots, lua_State *thread, size_t size) {
    int32_t index = slots->first_free;
    if (index != NO_SLOT) slots->first_free = slots->slots[index].next_free;
    else if (slots->fresh < SLOT_COUNT) index = slots->fresh++;
    else return NULL;
    slots->owners[index] = thread;
    slots->slots[index] = (stack_slot){.size = (uint32_t)size, .resident = (uint32_t)size};
    return slots->base + (size_t)index * SLOT_SIZE;
}

void *moonbus_stack_slots_moving(moonbus_stack_slots *slots, const lua_State *thread, size_t *old_size) {
    for (int32_t index = 0; index < slots->fresh; index++) {
        if (slots->owners[index] == thread && slots->slots[index].size != 0) {
            *old_size = slots->slots[index].size;
            return slots->base + (size_t)index * SLOT_SIZE;
        }
    }
    return NULL;
}

static void return_pages(stack_slot *slot, char *block) {
    if (slot->resident <= KEEP_SIZE) return;
    size_t keep = slot->size > KEEP_SIZE ? (slot->size + PAGE - 1) & ~(size_t)(PAGE - 1) : KEEP_SIZE;
    if (slot->resident > keep) madvise(block + keep, slot->resident - keep, MADV_DONTNEED);
    slot->resident = (uint32_t)keep;
}

void moonbus_stack_slots_resize(moonbus_stack_slots *slots, void *block, size_t new_size, bool frees_old) {
    stack_slot *slot = slot_of(slots, block);
    slot->moving = frees_old;
    bool shrinks = new_size < slot->size;
    slot->size = (uint32_t)new_size;
    if (slot->size > slot->resident) slot->resident = slot->size;
    /* With `frees_old` Lua still copies the old contents on to themselves, at most `new_size` of them. */
    if (shrinks) return_pages(slot, block);
}

size_t moonbus_stack_slots_free(moonbus_stack_slots *slots, void *block) {
    stack_slot *slot = slot_of(slots, block);
    if (slot->moving) {
        slot->moving = 0;
        return 0;
    }
    size_t freed = slot->size;
    int32_t index = (int32_t)(slot - slots->slots);
    slots->owners[index] = NULL;
    slot->size = 0;
    return_pages(slot, block);
    slot->next_free = slots->first_free;
    slots->first_free = index;
    return freed;
}

/* ---- calibration -------------------------------------------------------------------------------------------------- */

enum { STACK_SAMPLES_MAX = 8, OTHER_SAMPLES_MAX = 8 };

typedef struct {
    uintptr_t words[MOONBUS_FRAME_WORDS];
    lua_State *thread;
} sample;

typedef struct {
    moonbus_arena arena;
    lua_State *L;
    sample stacks[STACK_SAMPLES_MAX], others[OTHER_SAMPLES_MAX];
    int stack_count, other_count;
} calibration;

/* Each of these makes exactly one request of the kind that it is for, or the last one recorded is. */
static void sample_growth(calibration *run, lua_State *thread, int slots, bool fail_first) {
    sample *into = &run->stacks[run->stack_count++];
    into->thread = thread;
    run->arena.recorder = into->words;
    if (fail_first) run->arena.fail_after = 1; /* refused, collected, asked again, refused: the second request is recorded */
    lua_checkstack(thread, slots);
    run->arena.recorder = NULL;
    run->arena.fail_after = 0;
}

/* A stack that a deep recursion has left behind shrinks in the next collection; no other request is made there. */
static void sample_shrink(calibration *run, lua_State *thread) {
    int result_count;
    luaL_loadstring(thread, "local function deep(n) if n > 0 then return 1 + deep(n - 1) end return 0 end deep(500)");
    lua_resume(thread, run->L, 0, &result_count);
    lua_settop(thread, 0);
    sample *into = &run->stacks[run->stack_count++];
    into->thread = thread;
    run->arena.recorder = into->words;
    lua_gc(run->L, LUA_GCCOLLECT);
    run->arena.recorder = NULL;
}

static void sample_others(calibration *run) {
    lua_State *L = run->L;
    run->arena.recorder = run->others[run->other_count++].words;
    lua_createtable(L, 2 * 40 + 5, 0); /* as large as a stack that doubles */
    run->arena.recorder = run->others[run->other_count++].words;
    lua_createtable(L, 0, 64);
    run->arena.recorder = run->others[run->other_count++].words;
    luaL_loadstring(L, "local a, b, c = 1, 2, 3 return function() return a + b + c end");
    run->arena.recorder = run->others[run->other_count++].words;
    luaL_Buffer buffer;
    luaL_buffinitsize(L, &buffer, (2 * 40 + 5) * 16);
    luaL_pushresultsize(&buffer, 0);
    run->arena.recorder = NULL;
}

static bool is_in_lua(uintptr_t address) {
    Dl_info here, lua;
    return dladdr((void *)address, &here) != 0 && dladdr((void *)(uintptr_t)&lua_newthread, &lua) != 0 && here.dli_fbase == lua.dli_fbase;
}

static bool agree_on_caller(const calibration *run, size_t word) {
    uintptr_t value = run->stacks[0].words[word];
    for (int i = 1; i < run->stack_count; i++)
        if (run->stacks[i].words[word] != value) return false;
    for (int i = 0; i < run->other_count; i++)
        if (run->others[i].words[word] == value) return false;
    return is_in_lua(value);
}

static bool agree_on_thread(const calibration *run, size_t word) {
    for (int i = 0; i < run->stack_count; i++)
        if (run->stacks[i].words[word] != (uintptr_t)run->stacks[i].thread) return false;
    return true;
}

static void conclude(const calibration *run) {
    for (size_t word = 1; word < MOONBUS_FRAME_WORDS && moonbus_stack_move.caller_word == 0; word++)
        if (agree_on_caller(run, word)) moonbus_stack_move.caller_word = word;
    for (size_t word = 1; word < MOONBUS_FRAME_WORDS && moonbus_stack_move.thread_word == 0; word++)
        if (agree_on_thread(run, word)) moonbus_stack_move.thread_word = word;
    moonbus_stack_move.caller = run->stacks[0].words[moonbus_stack_move.caller_word];
    moonbus_stack_move.is_usable = moonbus_stack_move.caller_word != 0 && moonbus_stack_move.thread_word != 0;
}

/* The state's own calls cannot raise here: nothing is refused but the growth that is meant to be. */
static void calibrate(void) {
    static calibration run; /* too large for small stacks; used once */
    if (!moonbus_arena_open(&run.arena, 4 << 20)) return;
    run.L = lua_newstate(moonbus_arena_allocate, &run.arena);
    if (run.L != NULL) {
        lua_State *first = lua_newthread(run.L), *second = lua_newthread(run.L), *third = lua_newthread(run.L);
        sample_growth(&run, first, 100, false);
        sample_growth(&run, second, 300, false);
        sample_growth(&run, run.L, 200, false);
        sample_growth(&run, first, 500, true);
        sample_growth(&run, second, 2000, false);
        sample_shrink(&run, third);
        sample_others(&run);
        conclude(&run);
    }
    moonbus_arena_close(&run.arena); /* the state needs no lua_close: everything it had is in the arena */
}

void moonbus_stack_slots_calibrate(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, calibrate);
}
