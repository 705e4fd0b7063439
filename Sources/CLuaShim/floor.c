/* The floors that the bench compares with: the least that plain C must do. Own states, malloc, no limits. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char handler_source[] = "local n = 0\n"
                                     "return function(event) if event.type == 'order.created' and event.amount > 100 then n = n + 1 end end";

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* A plain state with the handler in the registry; its reference goes to `handler`. NULL on error. */
static lua_State *open_plain(int *handler) {
    lua_State *L = luaL_newstate();
    if (L == NULL) return NULL;
    luaL_openlibs(L);
    if (luaL_dostring(L, handler_source) != LUA_OK) {
        lua_close(L);
        return NULL;
    }
    *handler = luaL_ref(L, LUA_REGISTRYINDEX);
    return L;
}

static bool dispatch(lua_State *L, int handler, uint64_t id) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, handler);
    lua_createtable(L, 0, 4);
    lua_pushliteral(L, "order.created");
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, (lua_Integer)id);
    lua_setfield(L, -2, "id");
    lua_pushinteger(L, 150);
    lua_setfield(L, -2, "amount");
    lua_pushliteral(L, "k42");
    lua_setfield(L, -2, "key");
    return lua_pcall(L, 1, 0, 0) == LUA_OK;
}

double moonbus_floor_dispatch(uint64_t count) {
    int handler;
    lua_State *L = open_plain(&handler);
    if (L == NULL) return -1;
    double start = cpu_seconds();
    bool ok = true;
    for (uint64_t id = 0; id < count && ok; id++) ok = dispatch(L, handler, id);
    double seconds = cpu_seconds() - start;
    lua_close(L);
    return ok ? seconds : -1;
}

struct moonbus_floor_states {
    uint32_t count;
    lua_State **states;
    int *handlers;
};

moonbus_floor_states *moonbus_floor_fanout_open(uint32_t contexts) {
    moonbus_floor_states *floor = calloc(1, sizeof *floor);
    if (floor == NULL) return NULL;
    floor->count = contexts;
    floor->states = calloc(contexts, sizeof *floor->states);
    floor->handlers = calloc(contexts, sizeof *floor->handlers);
    bool ok = floor->states != NULL && floor->handlers != NULL;
    for (uint32_t index = 0; index < contexts && ok; index++) ok = (floor->states[index] = open_plain(&floor->handlers[index])) != NULL;
    if (ok) return floor;
    moonbus_floor_fanout_close(floor);
    return NULL;
}

double moonbus_floor_fanout(moonbus_floor_states *floor, uint64_t events) {
    double start = cpu_seconds();
    bool ok = true;
    for (uint64_t id = 0; id < events && ok; id++)
        for (uint32_t index = 0; index < floor->count && ok; index++) ok = dispatch(floor->states[index], floor->handlers[index], id);
    return ok ? cpu_seconds() - start : -1;
}

void moonbus_floor_fanout_close(moonbus_floor_states *floor) {
    for (uint32_t index = 0; floor->states != NULL && index < floor->count; index++)
        if (floor->states[index] != NULL) lua_close(floor->states[index]);
    free(floor->states);
    free(floor->handlers);
    free(floor);
}

/* ---- contexts ------------------------------------------------------------------------------------------------------------------ */

/* The plugin of the bench, for a state without a bus. Origin: the workload's definition, w6/script.lua. */
static const char plugin_source[] =
    "local seen, total, limits = {}, 0, { DE = 100, FR = 120, default = 500 }\n"
    "local function limit_for(country) return limits[country] or limits.default end\n"
    "local function score(ev)\n"
    "  local s = 0\n"
    "  if ev.amount > limit_for(ev.country) then s = s + 50 end\n"
    "  if ev.items and #ev.items > 5 then s = s + 10 end\n"
    "  if seen[ev.customer] then s = s - 5 end\n"
    "  return s\n"
    "end\n"
    "function on_order(ev)\n"
    "  total = total + 1\n"
    "  local s = score(ev)\n"
    "  seen[ev.customer] = true\n"
    "  if s >= 50 then return { type = 'order.flagged', id = ev.id, score = s } end\n"
    "end\n"
    "function on_cancel(ev)\n"
    "  seen[ev.customer] = nil\n"
    "  total = total - 1\n"
    "  return { type = 'order.closed', id = ev.id }\n"
    "end\n"
    "function stats() return total end\n"
    "return { subscribe = { ['orders.*.created'] = on_order, ['orders.*.cancelled'] = on_cancel }, version = 1 }\n";

static size_t resident_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    unsigned long total, resident = 0;
    if (fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Libraries that cannot harm, the plugin, one event. NULL on error. */
static lua_State *open_plugin(void) {
    static const luaL_Reg libraries[] = {
        {"_G", luaopen_base}, {"table", luaopen_table}, {"string", luaopen_string}, {"math", luaopen_math},
        {"utf8", luaopen_utf8}, {"coroutine", luaopen_coroutine}, {NULL, NULL},
    };
    lua_State *L = luaL_newstate();
    if (L == NULL) return NULL;
    for (const luaL_Reg *library = libraries; library->name != NULL; library++) luaL_requiref(L, library->name, library->func, 1);
    lua_settop(L, 0);
    if (luaL_loadbufferx(L, plugin_source, sizeof plugin_source - 1, "=plugin", "t") != LUA_OK || lua_pcall(L, 0, 1, 0) != LUA_OK) return NULL;
    luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getglobal(L, "on_order");
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, 7);
    lua_setfield(L, -2, "id");
    lua_pushinteger(L, 150);
    lua_setfield(L, -2, "amount");
    lua_pushliteral(L, "DE");
    lua_setfield(L, -2, "country");
    lua_pushliteral(L, "c-1");
    lua_setfield(L, -2, "customer");
    if (lua_pcall(L, 1, 1, 0) != LUA_OK || !lua_istable(L, -1)) return NULL;
    lua_settop(L, 0);
    return L;
}

static moonbus_floor_cost measure_contexts(uint32_t count) {
    moonbus_floor_cost cost = {-1, -1};
    lua_State **states = calloc(count, sizeof *states);
    if (states == NULL) return cost;
    size_t before = resident_bytes();
    double start = cpu_seconds();
    for (uint32_t index = 0; index < count; index++)
        if ((states[index] = open_plugin()) == NULL) return cost;
    cost.seconds = (cpu_seconds() - start) / count;
    cost.bytes = (double)(resident_bytes() - before) / count;
    return cost;
}

/* In a process of its own: freed states would leave holes in the heap, and the next figure would not see what fills them. */
moonbus_floor_cost moonbus_floor_contexts(uint32_t count) {
    moonbus_floor_cost cost = {-1, -1};
    int ends[2];
    if (pipe(ends) != 0) return cost;
    pid_t child = fork();
    if (child == 0) {
        cost = measure_contexts(count);
        _exit(write(ends[1], &cost, sizeof cost) == sizeof cost ? 0 : 1);
    }
    close(ends[1]);
    moonbus_floor_cost answer;
    if (child > 0 && read(ends[0], &answer, sizeof answer) == sizeof answer) cost = answer;
    close(ends[0]);
    if (child > 0) waitpid(child, NULL, 0);
    return cost;
}
