/* Deliver, resume, cancel, load, compile: what the worker asks of a context, and the bodies that run in its coroutines.
 *
 * A body is a C function at the bottom of the task's coroutine. It builds the argument, calls the script through
 * lua_pcallk (so that `__close` handlers run inside the limits) and notes what it came to in the run.
 */
#include "tasks.h"
#include "event.h"

#include <stdlib.h>
#include <time.h>

/* ---- bodies ------------------------------------------------------------------------------------------------------------- */

/* Writes the handler's result behind the staged effects. Stack [-0, +0, may raise]. */
static void encode_result(lua_State *L) {
    if (lua_isnoneornil(L, -1)) return;
    moonbus_context *context = moonbus_context_of(L);
    size_t room;
    char *start = (char *)moonbus_effects_end(context, &room);
    moonbus_json_writer writer = {.start = start, .next = start, .limit = start + MOONBUS_RESULT_MAX, .subject = "result"};
    moonbus_json_encode(L, lua_gettop(L), &writer);
    context->lane->run.detail_size = (uint32_t)(writer.next - writer.start);
}

/* After the script's function: LUA_YIELD means that it waited on the way. */
static int finish(lua_State *L, int status, lua_KContext unused) {
    (void)unused;
    moonbus_run *run = moonbus_run_of(L);
    bool has_failed = status != LUA_OK && status != LUA_YIELD;
    if (MOONBUS_UNLIKELY(has_failed || run->unwinding != MOONBUS_UNWIND_NOT)) {
        moonbus_run_failed(L, status);
        return 0;
    }
    if (!run->task->is_load) encode_result(L);
    run->status = MOONBUS_DONE;
    return 0;
}

static void push_events(lua_State *L, const moonbus_run *run) {
    const moonbus_delivery *delivery = &run->task->delivery;
    lua_createtable(L, delivery->event_count, 0);
    for (uint16_t index = 0; index < delivery->event_count; index++) {
        moonbus_push_event(L, run->records[index], delivery->attempt);
        lua_rawseti(L, -2, index + 1);
    }
}

static int run_delivery(lua_State *L) {
    moonbus_run *run = moonbus_run_of(L);
    const moonbus_delivery *delivery = &run->task->delivery;
    lua_pushcfunction(L, moonbus_fault_handler);
    if (MOONBUS_UNLIKELY(lua_rawgeti(L, LUA_REGISTRYINDEX, delivery->function) != LUA_TFUNCTION)) {
        return luaL_error(L, "no function %d in this plugin", (int)delivery->function);
    }
    if (MOONBUS_LIKELY(delivery->kind == MOONBUS_ARGUMENT_EVENT)) moonbus_push_event(L, run->records[0], delivery->attempt);
    else if (delivery->kind == MOONBUS_ARGUMENT_EVENTS) push_events(L, run);
    else moonbus_push_event_data(L, run->records[0]);
    return finish(L, lua_pcallk(L, 1, 1, 1, 0, finish), 0);
}

static int run_chunk(lua_State *L) {
    moonbus_run *run = moonbus_run_of(L);
    lua_pushcfunction(L, moonbus_fault_handler);
    int status = luaL_loadbufferx(L, run->source, run->source_size, run->chunk, "t");
    if (status != LUA_OK) {
        run->is_syntax_error = status == LUA_ERRSYNTAX;
        moonbus_run_failed(L, status);
        return 0;
    }
    if (run->is_compile_only) {
        run->status = MOONBUS_DONE;
        return 0;
    }
    return finish(L, lua_pcallk(L, 0, 0, 1, 0, finish), 0);
}

/* ---- what it came to ------------------------------------------------------------------------------------------------------ */

static void append(moonbus_context *context, moonbus_task *task, moonbus_status status) {
    const moonbus_run *run = &context->lane->run;
    uint64_t identifier = task->delivery.delivery;
    switch (status) {
    case MOONBUS_DONE: moonbus_outcome_append(context, task, identifier, status, NULL, run->detail_size); break;
    case MOONBUS_REJECTED:
        moonbus_outcome_append(context, task, identifier, status, context->lane->fault.message, context->lane->fault.message_size);
        break;
    case MOONBUS_RETRY: moonbus_outcome_append(context, task, identifier, status, &run->retry_us, sizeof run->retry_us); break;
    default: moonbus_outcome_append_fault(context, task, identifier, status);
    }
}

/* A delivery's run has ended, waits, or was cut. */
static moonbus_status settle(moonbus_context *context, moonbus_task *task, moonbus_status status) {
    if (status == MOONBUS_WAITING) return status;
    append(context, task, status);
    moonbus_task_release(context, task);
    return status;
}

static moonbus_status refuse(moonbus_context *context, uint64_t identifier, const char *text) {
    moonbus_fault_reset(&context->lane->fault);
    context->lane->fault.kind = "memory";
    moonbus_fault_set_message(&context->lane->fault, text, strlen(text));
    moonbus_outcome_append_fault(context, NULL, identifier, MOONBUS_MEMORY);
    return MOONBUS_MEMORY;
}

/* ---- what the worker asks --------------------------------------------------------------------------------------------------- */

moonbus_status moonbus_context_deliver(moonbus_context *context, const moonbus_delivery *delivery, const uint8_t *const *records) {
    if (context->dead) return MOONBUS_STALE;
    if (!moonbus_output_has_room(context)) return refuse(context, delivery->delivery, "the lane's output is full");
    moonbus_task *task = moonbus_task_take(context);
    if (task == NULL) return refuse(context, delivery->delivery, "not enough memory");
    task->identifier = delivery->delivery;
    task->delivery = *delivery;
    moonbus_run *run = moonbus_run_prepare(context, task, delivery->cpu_us);
    run->records = records;
    lua_pushcfunction(task->thread, run_delivery);
    moonbus_status status = moonbus_run_go(context, task);
    if (MOONBUS_UNLIKELY(status != MOONBUS_DONE || task->effects_size > 0 || run->detail_size > 0)) return settle(context, task, status);
    moonbus_outcome_done(context, task, delivery->delivery);
    moonbus_task_release(context, task);
    return status;
}

moonbus_status moonbus_context_resume(moonbus_context *context, uint64_t identifier, bool ok, const moonbus_value *values, uint32_t count) {
    moonbus_task *task = context->dead ? NULL : moonbus_task_waiting(context, identifier);
    if (task == NULL || !moonbus_output_has_room(context)) return MOONBUS_STALE;
    moonbus_effects_bring_back(context, task);
    moonbus_run *run = moonbus_run_prepare(context, task, task->delivery.cpu_us);
    run->has_reply = true;
    run->reply_ok = ok;
    run->reply = values;
    run->reply_count = count;
    return settle(context, task, moonbus_run_go(context, task));
}

moonbus_status moonbus_context_cancel(moonbus_context *context, uint64_t identifier, const char *reason) {
    moonbus_task *task = context->dead ? NULL : moonbus_task_waiting(context, identifier);
    if (task == NULL || !moonbus_output_has_room(context)) return MOONBUS_STALE;
    moonbus_run *run = moonbus_run_prepare(context, task, task->delivery.cpu_us);
    run->unwinding = MOONBUS_UNWIND_CANCELLED;
    task->effects_size = 0;
    moonbus_status status = moonbus_run_go(context, task);
    char text[MOONBUS_REASON_MAX];
    size_t size = moonbus_text_copy(text, sizeof text, reason, strlen(reason));
    moonbus_outcome_append(context, task, identifier, MOONBUS_CANCELLED, text, size);
    moonbus_task_release(context, task);
    return status == MOONBUS_KILLED ? status : MOONBUS_CANCELLED;
}

static int64_t wall_clock_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void forget_error(moonbus_context *context) {
    free(context->error);
    context->error = NULL;
    context->error_size = 0;
}

/* Keeps the fault for moonbus_context_error. */
static void keep_error(moonbus_context *context) {
    char *json = context->lane->scratch;
    size_t size = moonbus_fault_encode(&context->lane->fault, json, MOONBUS_FAULT_JSON_MAX);
    forget_error(context);
    context->error = malloc(size);
    if (context->error == NULL) return; /* the status still says what happened */
    memcpy(context->error, json, size);
    context->error_size = size;
}

static moonbus_status run_source(moonbus_context *context, const char *source, size_t size, const char *chunk, uint64_t identifier,
                                 bool is_compile_only) {
    if (context->dead) return MOONBUS_STALE;
    moonbus_task *task = moonbus_task_take(context);
    if (task == NULL) {
        moonbus_fault_reset(&context->lane->fault);
        context->lane->fault.kind = "memory";
        moonbus_fault_set_message(&context->lane->fault, "not enough memory", 17);
        keep_error(context);
        return MOONBUS_MEMORY;
    }
    char name[LUA_IDSIZE + 2];
    name[0] = '@'; /* a file's name, for Lua: messages start with "main.lua:41:" */
    size_t name_size = strnlen(chunk, LUA_IDSIZE);
    memcpy(name + 1, chunk, name_size);
    name[name_size + 1] = 0;
    task->is_load = true;
    task->identifier = identifier;
    task->delivery = (moonbus_delivery){.delivery = identifier, .now_us = wall_clock_us(), .seed = context->options.identifier};
    moonbus_run *run = moonbus_run_prepare(context, task, 0);
    run->source = source;
    run->source_size = size;
    run->chunk = name;
    run->is_compile_only = is_compile_only;
    lua_pushcfunction(task->thread, run_chunk);
    moonbus_status status = moonbus_run_go(context, task);
    forget_error(context);
    if (status != MOONBUS_DONE) keep_error(context);
    moonbus_task_release(context, task);
    return status;
}

moonbus_status moonbus_context_load(moonbus_context *context, const char *source, size_t size, const char *chunk, uint64_t task) {
    return run_source(context, source, size, chunk, task, false);
}

moonbus_status moonbus_context_compile(moonbus_context *context, const char *source, size_t size, const char *chunk) {
    return run_source(context, source, size, chunk, 0, true);
}

const char *moonbus_context_error(const moonbus_context *context, size_t *size) {
    *size = context->error_size;
    return context->error != NULL ? context->error : "";
}
