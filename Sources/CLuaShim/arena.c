/* The arena: one mapping a context, with bump allocation, size classes and a byte cap.
 *
 *   base                     bump                end
 *    [ never used ………… ◄── )[ handed out ……… )[ head: the context | slot 0 ──► … | slot 15 … ]
 *
 * Blocks are handed out downwards, and stacks (stack_slots.c) grow upwards behind the head: a small context touches a few
 * neighbouring pages, under one page of the kernel's page table. One mapping, because a process may have 65,530.
 *
 * Always true: `used` is the sum of the rounded sizes of live blocks and never passes `cap`; a free block's first word
 * links its class's list. There is no metadata beside the blocks (Lua says the old size), so that a context that was
 * killed in the middle of anything can be dropped with one munmap. Nothing here calls libc but memcpy, madvise and mmap.
 *
 * Under AddressSanitizer each block comes from malloc instead, so that overruns are seen; the blocks form a list for
 * the same reason. malloc has a lock: these builds leave the kill zone around it.
 */
#include "internal.h"

#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum {
    SMALL_MAX = 1024,          /* classes of 16 bytes up to here, eight a power of two above */
    SMALL_CLASSES = SMALL_MAX / 16,
    RETURN_MIN = 64 * 1024,    /* free blocks from this size on go back to the kernel when the arena is stretched */
    REALM_FACTOR = 4,          /* address space per byte of cap: classes do not share free blocks */
    PAGE = 4096,
    UNIT = 16,                 /* bytes that free_lists count in: all blocks have multiples of it */
    TABLE_SPAN = 2 << 20,      /* bytes of address space under one page of the page table */
    SPLIT_MAX = 64 * 1024,     /* bytes: up to here an arena rather splits free blocks than touches new pages */
    TOUCHED_FIRST = 3 * PAGE,  /* bytes of blocks that every context comes to use: got at once, without a fault for each page */
};

static const size_t slots_size = (size_t)MOONBUS_NEAR_SLOT_COUNT * MOONBUS_SLOT_SIZE;

/* From the head's start to slot 0. */
static inline size_t head_room(size_t head_size) {
    return (head_size + UNIT - 1) & ~(size_t)(UNIT - 1);
}

/* The class of a size, and the size that its blocks have. */
static inline unsigned size_class(size_t size, size_t *rounded) {
    if (MOONBUS_LIKELY(size <= SMALL_MAX)) {
        unsigned class = (unsigned)((size + 15) / 16);
        *rounded = (size_t)class * 16;
        return class;
    }
    unsigned exponent = 63 - (unsigned)__builtin_clzl(size - 1);
    size_t step = (size_t)1 << (exponent - 3);
    *rounded = (size + step - 1) & ~(step - 1);
    return SMALL_CLASSES + (exponent - 10) * 8 + (unsigned)((*rounded - ((size_t)1 << exponent)) / step);
}

static void *refuse(moonbus_arena *arena) {
    arena->refused_count++;
    return NULL;
}

#ifdef MOONBUS_ADDRESS_SANITIZER

typedef struct block_header {
    struct block_header *next, *previous;
} block_header;

static size_t charge(size_t size) {
    size_t rounded;
    size_class(size, &rounded);
    return rounded;
}

static int leave_zone(moonbus_arena *arena) {
    int was = arena->run != NULL && arena->run->zone;
    if (was) moonbus_zone_leave(arena->run);
    return was;
}

static void *take(moonbus_arena *arena, size_t size) {
    if (size > arena->cap || arena->used + charge(size) > arena->cap) return refuse(arena);
    int was_in_zone = leave_zone(arena);
    block_header *header = malloc(sizeof(block_header) + size);
    if (header != NULL) {
        block_header *first = arena->blocks;
        *header = (block_header){first, NULL};
        if (first != NULL) first->previous = header;
        arena->blocks = header;
        arena->used += charge(size);
        if (arena->used > arena->peak) arena->peak = arena->used;
    }
    if (was_in_zone) moonbus_zone_enter(arena->run);
    return header == NULL ? refuse(arena) : header + 1;
}

static void give(moonbus_arena *arena, void *block, size_t size) {
    int was_in_zone = leave_zone(arena);
    block_header *header = (block_header *)block - 1;
    if (header->previous != NULL) header->previous->next = header->next;
    else arena->blocks = header->next;
    if (header->next != NULL) header->next->previous = header->previous;
    arena->used -= charge(size);
    free(header);
    if (was_in_zone) moonbus_zone_enter(arena->run);
}

static void *resize(moonbus_arena *arena, void *block, size_t old_size, size_t new_size) {
    void *copy = take(arena, new_size);
    if (copy == NULL) {
        if (new_size > old_size) return NULL;
        arena->used -= charge(old_size) - charge(new_size); /* shrinking may not fail: keep the block */
        return block;
    }
    memcpy(copy, block, old_size < new_size ? old_size : new_size);
    give(arena, block, old_size);
    return copy;
}

/* The head comes from malloc, too: the leak checker looks for pointers there. Only stacks have a mapping. */
static moonbus_arena *map(size_t head_size, size_t cap, char **stacks) {
    (void)cap;
    moonbus_arena *arena = calloc(1, head_size);
    if (arena == NULL) return NULL;
    arena->mapped_size = slots_size;
    arena->base = mmap(NULL, slots_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena->base == MAP_FAILED) {
        free(arena);
        return NULL;
    }
    *stacks = arena->base;
    return arena;
}

static void unmap(moonbus_arena *arena) {
    for (block_header *header = arena->blocks, *next; header != NULL; header = next) {
        next = header->next;
        free(header);
    }
    munmap(arena->base, arena->mapped_size);
    free(arena);
}

static inline bool is_in_slot(const moonbus_arena *arena, const void *block) {
    return moonbus_stack_slots_hold(&arena->slots, block);
}

size_t moonbus_arena_touched(const moonbus_arena *arena) {
    return arena->peak;
}

#else

/* The first free block of a class, taken off its list; NULL when there is none. */
static inline void *take_free(moonbus_arena *arena, unsigned class) {
    size_t distance = arena->free_lists[class];
    if (distance == 0) return NULL;
    void *block = arena->end - distance * UNIT;
    uint32_t next = *(uint32_t *)block;
    arena->free_lists[class] = next;
    if (next == 0 && class <= SMALL_CLASSES) arena->free_small &= ~((uint64_t)1 << (class - 1));
    return block;
}

static inline void put_free(moonbus_arena *arena, unsigned class, void *block) {
    *(uint32_t *)block = arena->free_lists[class];
    arena->free_lists[class] = (uint32_t)((size_t)(arena->end - (char *)block) / UNIT);
    if (class <= SMALL_CLASSES) arena->free_small |= (uint64_t)1 << (class - 1);
}

/* A part of a larger small block; NULL when there is none. What compiling leaves behind becomes the plugin's first objects. */
static void *take_split(moonbus_arena *arena, unsigned class) {
    if (class >= SMALL_CLASSES || (size_t)(arena->end - arena->bump) > SPLIT_MAX) return NULL;
    uint64_t larger = arena->free_small >> class;
    if (larger == 0) return NULL;
    unsigned rest = (unsigned)__builtin_ctzll(larger) + 1;
    char *block = take_free(arena, class + rest);
    put_free(arena, rest, block + (size_t)class * UNIT);
    return block;
}

/* When the address space is spent: the tail of a larger free block is given up for the life of this block. */
static void *take_larger(moonbus_arena *arena, unsigned class) {
    void *block = NULL;
    for (unsigned larger = class + 1; block == NULL && larger < MOONBUS_ARENA_CLASSES && larger <= class + 24; larger++)
        block = take_free(arena, larger);
    return block;
}

static inline void *take(moonbus_arena *arena, size_t size) {
    if (MOONBUS_UNLIKELY(size > arena->cap)) return refuse(arena);
    size_t rounded;
    unsigned class = size_class(size, &rounded);
    if (MOONBUS_UNLIKELY(arena->used + rounded > arena->cap)) return refuse(arena);
    void *block = take_free(arena, class);
    if (MOONBUS_UNLIKELY(block == NULL) && (block = take_split(arena, class)) == NULL) {
        if (MOONBUS_LIKELY((size_t)(arena->bump - arena->base) >= rounded)) block = arena->bump -= rounded;
        else if ((block = take_larger(arena, class)) == NULL) return refuse(arena);
    }
    arena->used += rounded;
    if (arena->used > arena->peak) arena->peak = arena->used;
    return block;
}

/* A script that walks through many sizes must not hold several times its cap in pages that nobody uses. */
static void return_pages(char *block, size_t size) {
    char *first = (char *)(((uintptr_t)block + sizeof(void *) + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    char *last = (char *)((uintptr_t)(block + size) & ~(uintptr_t)(PAGE - 1));
    if (last > first) madvise(first, (size_t)(last - first), MADV_DONTNEED);
}

static inline void give(moonbus_arena *arena, void *block, size_t size) {
    size_t rounded;
    unsigned class = size_class(size, &rounded);
    if (MOONBUS_UNLIKELY(rounded >= RETURN_MIN) && (size_t)(arena->end - arena->bump) > arena->cap) return_pages(block, rounded);
    put_free(arena, class, block);
    arena->used -= rounded;
}

static void *resize(moonbus_arena *arena, void *block, size_t old_size, size_t new_size) {
    if (new_size > arena->cap) return refuse(arena);
    size_t old_rounded, new_rounded;
    if (size_class(old_size, &old_rounded) == size_class(new_size, &new_rounded)) return block;
    void *copy = take(arena, new_size);
    if (copy == NULL) {
        if (new_size > old_size) return NULL;
        arena->used -= old_rounded - new_rounded; /* shrinking may not fail: keep the block, give up its tail */
        return block;
    }
    memcpy(copy, block, old_size < new_size ? old_size : new_size);
    give(arena, block, old_size);
    return copy;
}

/* The head begins in the middle of what one page of the page table covers. */
static moonbus_arena *map(size_t head_size, size_t cap, char **stacks) {
    size_t realm = cap * REALM_FACTOR + TABLE_SPAN / 2, size = realm + head_room(head_size) + slots_size + TABLE_SPAN;
    size = (size + TABLE_SPAN - 1) & ~(size_t)(TABLE_SPAN - 1);
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return NULL;
    char *head = (char *)(((uintptr_t)base + realm - TABLE_SPAN / 2 + TABLE_SPAN - 1) & ~(uintptr_t)(TABLE_SPAN - 1)) + TABLE_SPAN / 2;
    madvise(head - TOUCHED_FIRST, TOUCHED_FIRST + PAGE, MADV_POPULATE_WRITE); /* refused by older kernels: then page by page */
    moonbus_arena *arena = (moonbus_arena *)head;
    arena->base = base;
    arena->bump = arena->end = head;
    arena->mapped_size = size;
    *stacks = head + head_room(head_size);
    return arena;
}

static void unmap(moonbus_arena *arena) {
    munmap(arena->base, arena->mapped_size);
}

/* What is not among the blocks is a stack. */
static inline bool is_in_slot(const moonbus_arena *arena, const void *block) {
    return (const char *)block >= arena->end || (const char *)block < arena->base;
}

size_t moonbus_arena_touched(const moonbus_arena *arena) {
    return (size_t)(arena->end - arena->bump);
}

#endif

moonbus_arena *moonbus_arena_open(size_t head_size, size_t cap) {
    char *stacks;
    moonbus_arena *arena = map(head_size, cap, &stacks);
    if (arena == NULL) return NULL;
    arena->cap = cap;
    if (moonbus_stack_move.is_usable) moonbus_stack_slots_open(&arena->slots, stacks);
    return arena;
}

void moonbus_arena_close(moonbus_arena *arena) {
    moonbus_stack_slots_close(&arena->slots);
    unmap(arena);
}

static bool is_test_failure(moonbus_arena *arena) {
    if (MOONBUS_LIKELY(arena->fail_after == 0)) return false;
    if (arena->fail_after > 1) {
        arena->fail_after--;
        return false;
    }
    return true;
}

/* Bookkeeping of a stack slot whose block changes from `old_size` to `new_size`. False over the cap or the slot's size. */
static bool recharge(moonbus_arena *arena, size_t old_size, size_t new_size) {
    if (new_size > MOONBUS_SLOT_SIZE) {
        arena->stack_overflowed = true;
        return false;
    }
    if (new_size > old_size && arena->used + (new_size - old_size) > arena->cap) return false;
    arena->used = arena->used - old_size + new_size;
    if (arena->used > arena->peak) arena->peak = arena->used;
    return true;
}

/* The first stack of the thread that was allocated last; NULL over the cap. */
static void *allocate_first_stack(moonbus_arena *arena, size_t size) {
    if (!recharge(arena, 0, size)) return refuse(arena);
    void *block = moonbus_stack_slots_take(&arena->slots, arena->new_thread, size, arena->run);
    if (block == NULL) { /* no slot left: an ordinary block */
        recharge(arena, size, 0);
        block = take(arena, size);
    }
    if (block != NULL) arena->new_thread = NULL;
    return block;
}

/* Reads the frame of a function that no sanitizer knows. */
__attribute__((no_sanitize("address"))) static inline bool is_stack_move(const uintptr_t *frame) {
    return moonbus_stack_move.caller_word != 0 && frame[moonbus_stack_move.caller_word] == moonbus_stack_move.caller;
}

__attribute__((no_sanitize("address"))) static lua_State *moving_thread(const uintptr_t *frame) {
    return (lua_State *)frame[moonbus_stack_move.thread_word];
}

/* A new block, which may be a Lua stack: those get slots, see stack_slots.c. `tag`: the kind of object, as Lua says it. */
static void *allocate_new(moonbus_arena *arena, size_t tag, size_t size, const uintptr_t *frame) {
    if (MOONBUS_UNLIKELY(is_test_failure(arena))) return refuse(arena);
    if (MOONBUS_UNLIKELY(!arena->pins_stacks)) return take(arena, size);
    if (MOONBUS_UNLIKELY(tag == LUA_TTHREAD)) {
        char *block = take(arena, size);
        if (block != NULL) arena->new_thread = (lua_State *)(block + LUA_EXTRASPACE);
        return block;
    }
    if (tag != 0) return take(arena, size);
    if (MOONBUS_UNLIKELY(arena->new_thread != NULL) && size == MOONBUS_INITIAL_STACK_SIZE) return allocate_first_stack(arena, size);
    if (MOONBUS_LIKELY(!is_stack_move(frame))) return take(arena, size);
    size_t old_size;
    void *block = moonbus_stack_slots_moving(&arena->slots, moving_thread(frame), &old_size);
    if (block == NULL) return take(arena, size);
    if (!recharge(arena, old_size, size)) return refuse(arena);
    moonbus_stack_slots_resize(&arena->slots, block, size, true);
    return block;
}

/* A block of a slot gets another size, or is given up. */
static void *reallocate_stack(moonbus_arena *arena, void *block, size_t old_size, size_t new_size) {
    if (new_size == 0) {
        recharge(arena, moonbus_stack_slots_free(&arena->slots, block), 0);
        return NULL;
    }
    if (!recharge(arena, old_size, new_size)) return refuse(arena);
    moonbus_stack_slots_resize(&arena->slots, block, new_size, false);
    return block;
}

__attribute__((no_sanitize("address"))) static void record(moonbus_arena *arena, const uintptr_t *frame) {
    for (int i = 0; i < MOONBUS_FRAME_WORDS; i++) arena->recorder[i] = frame[i];
}

/* noinline, and never called but by Lua: `frame` is what stack_slots.c calibrated. */
__attribute__((noinline)) void *moonbus_arena_allocate(void *context, void *block, size_t old_size, size_t new_size) {
    moonbus_arena *arena = context;
    const uintptr_t *frame = __builtin_frame_address(0);
    if (block == NULL) {
        if (new_size == 0) return NULL;
        if (MOONBUS_UNLIKELY(arena->recorder != NULL) && old_size == 0) record(arena, frame);
        return allocate_new(arena, old_size, new_size, frame);
    }
    if (MOONBUS_UNLIKELY(is_in_slot(arena, block))) return reallocate_stack(arena, block, old_size, new_size);
    if (new_size == 0) {
        give(arena, block, old_size);
        return NULL;
    }
    if (MOONBUS_UNLIKELY(new_size > old_size && is_test_failure(arena))) return refuse(arena);
    return resize(arena, block, old_size, new_size);
}
