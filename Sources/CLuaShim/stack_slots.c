/* Stack slots: Lua stacks that never move.
 *
 * Debian's liblua 5.4.4-3+deb12u1 carries half of the fix for CVE-2022-33099: after a `__concat` metamethod that makes
 * the Lua stack grow, luaV_concat goes on with a pointer into the old stack (upstream repaired it in 603b2c64). Where
 * the stack stays at its address, that pointer is right. So the stack of every thread that runs script code gets a slot of its
 * own as large as a stack may become; only touched pages cost memory, and growing returns the same address.
 *
 * The first slots lie behind the context, in its mapping: with all 2,048 there, a lane would be out of address space at 8,000
 * contexts. The others are mapped when a context has more threads than that.
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
    NEAR_COUNT = MOONBUS_NEAR_SLOT_COUNT,
    FAR_COUNT = MOONBUS_SLOT_COUNT - MOONBUS_NEAR_SLOT_COUNT,
    SLOT_SIZE = MOONBUS_SLOT_SIZE,
    KEEP_SIZE = 64 * 1024, /* pages beyond this go back to the kernel when a stack shrinks or ends */
    PAGE = 4096,
    NO_SLOT = -1,
};

/* The head of a mapping of its own; the slots follow, on the next page. */
struct moonbus_far_slots {
    lua_State *owners[FAR_COUNT];
    moonbus_stack_slot slots[FAR_COUNT];
};

static const size_t far_head_size = (sizeof(moonbus_far_slots) + PAGE - 1) & ~(size_t)(PAGE - 1);
static const size_t far_size = ((sizeof(moonbus_far_slots) + PAGE - 1) & ~(size_t)(PAGE - 1)) + (size_t)FAR_COUNT * SLOT_SIZE;

moonbus_stack_signature moonbus_stack_move;

void moonbus_stack_slots_open(moonbus_stack_slots *slots, char *base) {
    slots->base = base;
    slots->first_free = NO_SLOT;
}

void moonbus_stack_slots_close(moonbus_stack_slots *slots) {
    if (slots->far != NULL) munmap(slots->far, far_size);
}

static char *far_base(const moonbus_stack_slots *slots) {
    return (char *)slots->far + far_head_size;
}

static bool is_near(const moonbus_stack_slots *slots, const void *block) {
    return (size_t)((const char *)block - slots->base) < (size_t)NEAR_COUNT * SLOT_SIZE;
}

bool moonbus_stack_slots_hold(const moonbus_stack_slots *slots, const void *block) {
    if (slots->base == NULL) return false;
    if (is_near(slots, block)) return true;
    return slots->far != NULL && (size_t)((const char *)block - far_base(slots)) < (size_t)FAR_COUNT * SLOT_SIZE;
}

static int32_t index_of(const moonbus_stack_slots *slots, const void *block) {
    if (is_near(slots, block)) return (int32_t)((size_t)((const char *)block - slots->base) / SLOT_SIZE);
    return NEAR_COUNT + (int32_t)((size_t)((const char *)block - far_base(slots)) / SLOT_SIZE);
}

static char *block_at(const moonbus_stack_slots *slots, int32_t index) {
    if (index < NEAR_COUNT) return slots->base + (size_t)index * SLOT_SIZE;
    return far_base(slots) + (size_t)(index - NEAR_COUNT) * SLOT_SIZE;
}

static moonbus_stack_slot *slot_at(moonbus_stack_slots *slots, int32_t index) {
    return index < NEAR_COUNT ? &slots->slots[index] : &slots->far->slots[index - NEAR_COUNT];
}

static lua_State **owner_at(moonbus_stack_slots *slots, int32_t index) {
    return index < NEAR_COUNT ? &slots->owners[index] : &slots->far->owners[index - NEAR_COUNT];
}

/* Outside the kill zone, so that the mapping is never there without being known. */
static bool map_far(moonbus_stack_slots *slots, moonbus_run *run) {
    bool was_in_zone = run != NULL && run->zone;
    if (was_in_zone) moonbus_zone_leave(run);
    void *memory = mmap(NULL, far_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) slots->far = memory;
    if (was_in_zone) moonbus_zone_enter(run);
    return slots->far != NULL;
}

void *moonbus_stack_slots_take(moonbus_stack_slots *slots, lua_State *thread, size_t size, moonbus_run *run) {
    int32_t index = slots->first_free;
    if (index != NO_SLOT) {
        slots->first_free = slot_at(slots, index)->next_free;
    } else {
        if (slots->fresh == MOONBUS_SLOT_COUNT) return NULL;
        if (slots->fresh == NEAR_COUNT && slots->far == NULL && !map_far(slots, run)) return NULL;
        index = slots->fresh++;
    }
    *owner_at(slots, index) = thread;
    *slot_at(slots, index) = (moonbus_stack_slot){.size = (uint32_t)size, .resident = (uint32_t)size};
    return block_at(slots, index);
}

void *moonbus_stack_slots_moving(moonbus_stack_slots *slots, const lua_State *thread, size_t *old_size) {
    for (int32_t index = 0; index < slots->fresh; index++) {
        if (*owner_at(slots, index) == thread && slot_at(slots, index)->size != 0) {
            *old_size = slot_at(slots, index)->size;
            return block_at(slots, index);
        }
    }
    return NULL;
}

/* Whole pages only: a slot may begin and end in the middle of one, which its neighbour shares. */
static void return_pages(moonbus_stack_slot *slot, char *block) {
    if (slot->resident <= KEEP_SIZE) return;
    size_t keep = slot->size > KEEP_SIZE ? slot->size : KEEP_SIZE;
    char *first = (char *)(((uintptr_t)block + keep + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    char *last = (char *)(((uintptr_t)block + slot->resident + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    char *end = (char *)((uintptr_t)(block + SLOT_SIZE) & ~(uintptr_t)(PAGE - 1));
    if (last > end) last = end;
    if (last > first) madvise(first, (size_t)(last - first), MADV_DONTNEED);
    if (slot->resident > keep) slot->resident = (uint32_t)keep;
}

void moonbus_stack_slots_resize(moonbus_stack_slots *slots, void *block, size_t new_size, bool frees_old) {
    moonbus_stack_slot *slot = slot_at(slots, index_of(slots, block));
    slot->moving = frees_old;
    bool shrinks = new_size < slot->size;
    slot->size = (uint32_t)new_size;
    if (slot->size > slot->resident) slot->resident = slot->size;
    /* With `frees_old` Lua still copies the old contents on to themselves, at most `new_size` of them. */
    if (shrinks) return_pages(slot, block);
}

size_t moonbus_stack_slots_free(moonbus_stack_slots *slots, void *block) {
    int32_t index = index_of(slots, block);
    moonbus_stack_slot *slot = slot_at(slots, index);
    if (slot->moving) {
        slot->moving = 0;
        return 0;
    }
    size_t freed = slot->size;
    *owner_at(slots, index) = NULL;
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
    moonbus_arena arena; /* first: they have one address */
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
    calibration *run = (calibration *)moonbus_arena_open(sizeof *run, 4 << 20);
    if (run == NULL) return;
    run->L = lua_newstate(moonbus_arena_allocate, &run->arena);
    if (run->L != NULL) {
        lua_State *first = lua_newthread(run->L), *second = lua_newthread(run->L), *third = lua_newthread(run->L);
        sample_growth(run, first, 100, false);
        sample_growth(run, second, 300, false);
        sample_growth(run, run->L, 200, false);
        sample_growth(run, first, 500, true);
        sample_growth(run, second, 2000, false);
        sample_shrink(run, third);
        sample_others(run);
        conclude(run);
    }
    moonbus_arena_close(&run->arena); /* the state needs no lua_close: everything it had is in the arena */
}

void moonbus_stack_slots_calibrate(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, calibrate);
}
