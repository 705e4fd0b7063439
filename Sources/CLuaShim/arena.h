/* The memory of a context, and the slots of Lua stacks in it: arena.c, stack_slots.c. */
#ifndef MOONBUS_ARENA_H
#define MOONBUS_ARENA_H
#include "CLuaShim.h"

#include <lua5.4/lua.h>
#include <string.h>

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

#endif
