/* The floors that the bench compares with: the least that plain C must do. Own states, malloc, no limits. */
#include "internal.h"

#include <stdlib.h>
#include <time.h>

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

double moonbus_floor_fanout(uint32_t contexts, uint64_t events) {
    lua_State **states = calloc(contexts, sizeof *states);
    int *handlers = calloc(contexts, sizeof *handlers);
    bool ok = states != NULL && handlers != NULL;
    for (uint32_t index = 0; index < contexts && ok; index++) ok = (states[index] = open_plain(&handlers[index])) != NULL;
    double start = cpu_seconds();
    for (uint64_t id = 0; id < events && ok; id++)
        for (uint32_t index = 0; index < contexts && ok; index++) ok = dispatch(states[index], handlers[index], id);
    double seconds = cpu_seconds() - start;
    for (uint32_t index = 0; states != NULL && index < contexts; index++)
        if (states[index] != NULL) lua_close(states[index]);
    free(states);
    free(handlers);
    return ok ? seconds : -1;
}
