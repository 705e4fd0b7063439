/* Tasks: a pool of coroutines a context. Every run has one, so that any host function may wait.
 *
 * Always true: an idle task's thread has an empty stack and status LUA_OK; a waiting one is suspended at a host
 * function; at most one is running. Tasks live in the C heap: a dead context still knows what was waiting in it.
 */
#include "internal.h"
#include "tasks.h"

#include <stdlib.h>

static int make_thread(lua_State *L) {
    lua_newthread(L);
    lua_pushinteger(L, luaL_ref(L, LUA_REGISTRYINDEX));
    return 1;
}

/* Stack [-0, +0, never raises]. False when out of memory. */
static bool give_thread(moonbus_context *context, moonbus_task *task) {
    lua_State *L = context->L;
    lua_pushcfunction(L, make_thread);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        return false;
    }
    task->reference = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, task->reference);
    task->thread = lua_tothread(L, -1);
    lua_pop(L, 1);
    return true;
}

moonbus_task *moonbus_task_take(moonbus_context *context) {
    moonbus_task *task = context->idle_tasks;
    if (task == NULL) {
        task = calloc(1, sizeof *task);
        if (task == NULL) return NULL;
        task->next = context->tasks;
        context->tasks = task;
    } else {
        context->idle_tasks = task->next_idle;
    }
    if (task->thread == NULL && !give_thread(context, task)) {
        task->next_idle = context->idle_tasks;
        context->idle_tasks = task;
        return NULL;
    }
    task->state = MOONBUS_TASK_RUNNING;
    task->is_load = false;
    task->random_ready = false;
    task->has_identity = false;
    task->emit_count = task->emit_base = 0;
    task->effects_size = 0;
    return task;
}

void moonbus_task_release(moonbus_context *context, moonbus_task *task) {
    task->state = MOONBUS_TASK_IDLE;
    task->identifier = 0;
    moonbus_effects_drop(context, task);
    task->next_idle = context->idle_tasks;
    context->idle_tasks = task;
}

void moonbus_task_drop_thread(moonbus_context *context, moonbus_task *task) {
    luaL_unref(context->L, LUA_REGISTRYINDEX, task->reference);
    task->thread = NULL;
}

moonbus_task *moonbus_task_waiting(const moonbus_context *context, uint64_t identifier) {
    for (moonbus_task *task = context->tasks; task != NULL; task = task->next)
        if (task->state == MOONBUS_TASK_WAITING && task->identifier == identifier) return task;
    return NULL;
}

size_t moonbus_context_waiting(const moonbus_context *context, uint64_t *tasks, size_t capacity) {
    size_t count = 0;
    for (const moonbus_task *task = context->tasks; task != NULL; task = task->next) {
        if (task->state != MOONBUS_TASK_WAITING) continue;
        if (count < capacity) tasks[count] = task->identifier;
        count++;
    }
    return count;
}

void moonbus_tasks_free(moonbus_context *context) {
    for (moonbus_task *task = context->tasks, *next; task != NULL; task = next) {
        next = task->next;
        free(task->effects);
        free(task);
    }
}
