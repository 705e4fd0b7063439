/* Contexts: one lua_State each, made, furnished by the host, sealed, dropped. */
#include "key_cache.h"
#include "json.h"
#include "library.h"
#include "tasks.h"

#include <stdio.h>
#include <stdlib.h>

static const size_t memory_bytes_min = (size_t)1 << 20, memory_bytes_max = (size_t)4 << 30;

/* An error outside any protected call: the state is beyond repair, so the run ends as a hard kill does. */
static int panic(lua_State *L) {
    moonbus_run *run = moonbus_run_of(L);
    if (run->zone) {
        run->zone = 0;
        siglongjmp(run->escape, 1);
    }
    return 0; /* Lua aborts the process: an unprotected call of ours, outside any run, is a bug */
}

static moonbus_context_options with_defaults(const moonbus_context_options *given) {
    moonbus_context_options options = *given;
    if (options.memory_bytes == 0) options.memory_bytes = (size_t)64 << 20;
    if (options.memory_bytes < memory_bytes_min) options.memory_bytes = memory_bytes_min;
    if (options.memory_bytes > memory_bytes_max) options.memory_bytes = memory_bytes_max;
    if (options.cpu_us == 0) options.cpu_us = 1000000;
    if (options.grace_us == 0) options.grace_us = 250000;
    if (options.effect_bytes_max == 0) options.effect_bytes_max = 4 << 20;
    if (options.effect_count_max == 0) options.effect_count_max = 1000;
    if (options.event_bytes_max == 0) options.event_bytes_max = 256 << 10;
    return options;
}

static int open_libraries(lua_State *L) {
    moonbus_open_library(L);
    moonbus_open_json(L);
    moonbus_open_event(L);
    return 0;
}

static _Thread_local uint64_t next_context_fails_after;

void moonbus_test_fail_next_context(uint64_t n) {
    next_context_fails_after = n;
}

/* Opens the state in an arena that is already there. False when out of memory. */
static bool open_state(moonbus_context *context) {
    context->L = lua_newstate(moonbus_arena_allocate, &context->arena);
    if (context->L == NULL) return false;
    lua_atpanic(context->L, panic);
    *(moonbus_context **)lua_getextraspace(context->L) = context;
    lua_gc(context->L, LUA_GCSTOP);
    lua_pushcfunction(context->L, open_libraries);
    if (lua_pcall(context->L, 0, 0, 0) != LUA_OK) return false;
    /* A cycle starts at twice the live size and goes in steps of 8 KiB. Starting later makes fewer cycles of the same garbage, but among a
     * thousand contexts each then writes through memory that no cache holds any more: four times the live size was a tenth slower in
     * fan-out, and no faster for a context alone. Not the generational mode: it is no faster here (measured), and 5.4.4 has open bugs in it. */
    lua_gc(context->L, LUA_GCINC, 200, 400, 13);
    lua_gc(context->L, LUA_GCRESTART);
    lua_gc(context->L, LUA_GCCOLLECT); /* 2 µs; else the first cycle would begin while the plugin compiles */
    context->arena.pins_stacks = context->arena.slots.base != NULL; /* from here on: the state's own stack runs no script */
    return true;
}

moonbus_context *moonbus_context_create(moonbus_lane *lane, const moonbus_context_options *given, char *error, size_t error_size) {
    moonbus_context_options options = with_defaults(given);
    moonbus_context *context = (moonbus_context *)moonbus_arena_open(sizeof *context, options.memory_bytes);
    if (context == NULL) {
        snprintf(error, error_size, "no address space for a context of %zu bytes", options.memory_bytes);
        return NULL;
    }
    context->lane = lane;
    context->options = options;
    context->host_entries = options.functions != NULL ? options.functions->entries : NULL;
    moonbus_key_cache_open(context);
    context->arena.run = &lane->run;
    context->arena.fail_after = next_context_fails_after;
    next_context_fails_after = 0;
    if (!open_state(context)) {
        snprintf(error, error_size, "not enough memory for a context: its cap is %zu bytes", options.memory_bytes);
        moonbus_arena_close(&context->arena);
        return NULL;
    }
    return context;
}

/* Up to those that contexts share. */
static void free_entries(moonbus_context *context) {
    const moonbus_host_entry *shared = context->options.functions != NULL ? context->options.functions->entries : NULL;
    for (const moonbus_host_entry *entry = context->host_entries, *next; entry != shared; entry = next) {
        next = entry->next;
        free((void *)entry);
    }
}

/* No lua_close: it would visit every object, and there are no finalizers. A killed context has no valid state anyway. */
void moonbus_context_destroy(moonbus_context *context) {
    moonbus_tasks_free(context);
    free_entries(context);
    for (moonbus_module *module = context->modules, *next; module != NULL; module = next) {
        next = module->next;
        free(module);
    }
    free(context->emit_patterns);
    free(context->sources);
    free(context->error);
    moonbus_arena_close(&context->arena);
}

/* ---- furnishing --------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *table, *name;
    const char *json;
    size_t json_size;
} furnishing;

/* Pushes the global table `name`, made if it is not there; "" is the globals. Stack [-0, +1, may raise]. */
static void push_table(lua_State *L, const char *name) {
    lua_pushglobaltable(L);
    if (*name != 0) {
        luaL_getsubtable(L, -1, name);
        lua_remove(L, -2);
    }
}

static int set_value(lua_State *L) {
    const furnishing *what = lua_touserdata(L, 1);
    push_table(L, what->table);
    moonbus_json_decode(L, what->json, what->json_size);
    if (lua_istable(L, -1)) moonbus_push_sealed_deep(L);
    lua_setfield(L, -2, what->name);
    return 0;
}

/* Calls `function(argument)` protected. Returns the Lua status. */
static int protected_call(moonbus_context *context, lua_CFunction function, void *argument) {
    lua_pushcfunction(context->L, function);
    lua_pushlightuserdata(context->L, argument);
    int status = lua_pcall(context->L, 1, 0, 0);
    if (status != LUA_OK) lua_pop(context->L, 1);
    return status;
}

/* A new entry in front of `others`; NULL when out of memory, or of room. */
static const moonbus_host_entry *add_entry(const moonbus_host_entry *others, const char *table, const char *name, const char *signature,
                                           uint32_t function) {
    moonbus_host_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) return NULL;
    entry->function = function;
    snprintf(entry->signature, sizeof entry->signature, "%s", signature);
    snprintf(entry->name, sizeof entry->name, "%s%s%s", table, *table != 0 ? "." : "", name);
    entry->next = (moonbus_host_entry *)others;
    if (moonbus_library_place(entry, others)) return entry;
    free(entry);
    return NULL;
}

int moonbus_context_register(moonbus_context *context, const char *table, const char *name, const char *signature, uint32_t function) {
    const moonbus_host_entry *entry = add_entry(context->host_entries, table, name, signature, function);
    if (entry == NULL) return LUA_ERRMEM;
    context->host_entries = entry;
    return LUA_OK;
}

moonbus_functions *moonbus_functions_create(void) {
    moonbus_library_prepare();
    return calloc(1, sizeof(moonbus_functions));
}

int moonbus_functions_add(moonbus_functions *functions, const char *table, const char *name, const char *signature, uint32_t function) {
    const moonbus_host_entry *entry = add_entry(functions->entries, table, name, signature, function);
    if (entry == NULL) return LUA_ERRMEM;
    functions->entries = entry;
    return LUA_OK;
}

int moonbus_context_set(moonbus_context *context, const char *table, const char *name, const char *json, size_t size) {
    furnishing what = {.table = table, .name = name, .json = json, .json_size = size};
    return protected_call(context, set_value, &what);
}

static int set_require(lua_State *L) {
    lua_pushcfunction(L, moonbus_require);
    lua_setglobal(L, "require");
    return 0;
}

int moonbus_context_add_module(moonbus_context *context, const char *name, const char *chunk, const char *source, size_t size) {
    size_t name_size = strlen(name) + 1, chunk_size = strlen(chunk) + 1;
    moonbus_module *module = malloc(sizeof *module + name_size + chunk_size + size + 2);
    if (module == NULL) return LUA_ERRMEM;
    module->name = (char *)(module + 1);
    module->chunk = module->name + name_size; /* with '@' in front: a file's name */
    module->source = module->chunk + chunk_size + 1;
    module->size = size;
    memcpy(module->name, name, name_size);
    module->chunk[0] = '@';
    memcpy(module->chunk + 1, chunk, chunk_size);
    memcpy(module->source, source, size);
    module->next = context->modules;
    context->modules = module;
    return protected_call(context, set_require, NULL);
}

/* Libraries of Lua's own stay as they are: tampering with them harms nobody but the plugin that does it. */
static int seal(lua_State *L) {
    moonbus_library_seal(L);
    return 0;
}

int moonbus_context_seal(moonbus_context *context) {
    if (context->sealed) return LUA_OK;
    context->sealed = true;
    return protected_call(context, seal, NULL);
}

/* Replaces `*list` by what is in `text`, between separators; each ends with a NUL, and the list with an empty one. */
static int keep_list(char **list, const char *text, size_t size, const char *separators) {
    char *kept = malloc(size + 2);
    if (kept == NULL) return LUA_ERRMEM;
    size_t count = 0;
    for (size_t index = 0; index < size; index++) {
        bool is_separator = strchr(separators, text[index]) != NULL; /* a NUL, too */
        if (is_separator && (count == 0 || kept[count - 1] == 0)) continue;
        kept[count++] = is_separator ? 0 : text[index];
    }
    if (count > 0 && kept[count - 1] != 0) kept[count++] = 0;
    kept[count] = 0;
    free(*list);
    *list = kept;
    return LUA_OK;
}

int moonbus_context_restrict_emit(moonbus_context *context, const char *patterns, size_t size) {
    return keep_list(&context->emit_patterns, patterns, size, "\n ");
}

int moonbus_context_restrict_sources(moonbus_context *context, const char *sources, size_t size) {
    return keep_list(&context->sources, sources, size, "\n");
}

/* ---- measuring, tests ------------------------------------------------------------------------------------------------------ */

moonbus_context_usage moonbus_context_measure(const moonbus_context *context) {
    return (moonbus_context_usage){
        .used_bytes = context->arena.used,
        .peak_bytes = context->arena.peak,
        .touched_bytes = moonbus_arena_touched(&context->arena),
        .refused_count = context->arena.refused_count,
        .dead = context->dead,
    };
}

void moonbus_test_fail_allocation(moonbus_context *context, uint64_t n) {
    context->arena.fail_after = n;
}
