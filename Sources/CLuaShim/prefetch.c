/* Fetching what the next deliveries will touch, while this one runs.
 *
 * One event to a thousand contexts visits a thousand small heaps that no cache holds together: without this, a delivery waits for memory
 * most of its time, at one pointer after the other. The lane knows from its frame who comes next, so each step of that chain is asked for one
 * delivery earlier than it is needed. A fetch never faults, so words that only may be addresses can be tried.
 */
#include "tasks.h"

enum { LINE = 64 };

static inline void fetch(const void *start, size_t size) {
    for (size_t offset = 0; offset < size; offset += LINE) __builtin_prefetch((const char *)start + offset, 0, 3);
}

static inline void fetch_for_write(const void *start, size_t size) {
    for (size_t offset = 0; offset < size; offset += LINE) __builtin_prefetch((const char *)start + offset, 1, 3);
}

/* What the first words of an object point at, if they are addresses. */
static inline void fetch_targets(const void *object, size_t words) {
    for (size_t index = 0; index < words; index++) {
        const void *target;
        memcpy(&target, (const char *)object + index * sizeof target, sizeof target);
        fetch(target, 2 * LINE);
    }
}

void moonbus_fetch(const void *address) {
    fetch(address, LINE);
}

void moonbus_context_fetch(const moonbus_context *context, int step) {
    const moonbus_task *task;
    if (context == NULL) return;
    switch (step) {
    case 1: /* the context itself */
        fetch_for_write(&context->arena, 2 * LINE);
        fetch_for_write(context->arena.free_lists, 6 * LINE);
        fetch(&context->lane, (size_t)((const char *)(context + 1) - (const char *)&context->lane));
        break;
    case 2: /* what it points at */
        task = context->idle_tasks;
        if (task != NULL) fetch_for_write(task, sizeof *task);
        fetch_for_write(context->arena.bump - 8 * LINE, 8 * LINE);
        fetch(context->event_metatable, LINE);
        fetch(context->keys, (context->key_mask + 1) * sizeof *context->keys);
        break;
    case 3: /* its coroutine */
        task = context->idle_tasks;
        if (task != NULL && task->thread != NULL) fetch_for_write((const char *)task->thread - LUA_EXTRASPACE, 4 * LINE);
        fetch_targets((const char *)context->event_metatable + 16, 4);
        break;
    default: /* stack, call record, global state */
        task = context->idle_tasks;
        if (task != NULL && task->thread != NULL) fetch_targets((const char *)task->thread + 16, 6);
    }
}
