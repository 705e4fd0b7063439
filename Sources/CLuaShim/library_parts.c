/* Gathers, once a process, what libraries are made of: what Lua ships, as far as scripts may have it, and what the shim adds or replaces. */
#include "internal.h"
#include "library_parts.h"

#include <stdlib.h>

moonbus_library moonbus_libraries[MOONBUS_LIBRARIES_OWN] = {
    {"_G", 0, {}}, {"string", 0, {}}, {"table", 0, {}}, {"math", 0, {}}, {"utf8", 0, {}}, {"coroutine", 0, {}},
    {"json", 0, {}}, {"bus", 0, {}}, {"time", 0, {}},
};
moonbus_library moonbus_string_metamethods;

static moonbus_member *add(moonbus_library *to, const char *name) {
    for (int index = 0; index < to->count; index++)
        if (strcmp(to->members[index].name, name) == 0) return &to->members[index];
    if (to->count == MOONBUS_MEMBERS_MAX) abort(); /* a Lua with more functions than this was made for */
    to->members[to->count].name = name;
    return &to->members[to->count++];
}

static void add_functions(moonbus_library *to, const luaL_Reg *functions) {
    for (; functions->name != NULL; functions++) add(to, functions->name)->function = functions->func;
}

/* Copies what is below the top of the stack: the scratch state ends with the gathering. */
static const char *keep(lua_State *L, int index, size_t *size) {
    const char *text = lua_tolstring(L, index, size);
    char *copy = malloc(*size + 1);
    if (copy == NULL) abort();
    return memcpy(copy, text, *size + 1);
}

static bool is_listed(const char *name, const char *const *names) {
    for (; *names != NULL; names++)
        if (strcmp(*names, name) == 0) return true;
    return false;
}

/* Takes the functions and constants of the table on top: all but `refused`, or only `allowed`. Stack [-1, +0, may raise]. */
static void adopt(lua_State *L, moonbus_library *to, const char *const *allowed, const char *const *refused) {
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        const char *name = lua_tostring(L, -2);
        bool is_wanted = allowed != NULL ? is_listed(name, allowed) : !is_listed(name, refused);
        if (is_wanted && !lua_istable(L, -1)) {
            size_t size;
            moonbus_member *into = add(to, keep(L, -2, &size));
            into->function = lua_tocfunction(L, -1);
            into->type = lua_type(L, -1);
            into->is_integer = lua_isinteger(L, -1);
            into->integer = lua_tointeger(L, -1);
            into->number = lua_tonumber(L, -1);
            if (into->type == LUA_TSTRING) into->text = keep(L, -1, &into->text_size);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void push_null(lua_State *L) {
    lua_pushlightuserdata(L, (void *)&moonbus_key_null);
}

/* What Lua ships: an allow-list for the globals; of the libraries everything but string.dump. */
static int gather_lua(lua_State *L) {
    static const char *const globals[] = {
        "_VERSION", "assert", "error", "ipairs", "rawequal", "select", "tonumber", "type", NULL,
    };
    static const char *const no_strings[] = {"dump", NULL}, *const nothing[] = {NULL}, *const not_methods[] = {"__index", NULL};
    luaL_openlibs(L);
    lua_pushglobaltable(L);
    adopt(L, &moonbus_libraries[MOONBUS_LIBRARY_GLOBALS], globals, NULL);
    lua_getglobal(L, "string");
    moonbus_adopt_strings(L);
    adopt(L, &moonbus_libraries[MOONBUS_LIBRARY_STRING], NULL, no_strings);
    lua_getglobal(L, "table");
    moonbus_adopt_tables(L);
    adopt(L, &moonbus_libraries[MOONBUS_LIBRARY_TABLE], NULL, nothing);
    lua_getglobal(L, "math");
    adopt(L, &moonbus_libraries[MOONBUS_LIBRARY_MATH], NULL, nothing);
    lua_getglobal(L, "utf8");
    adopt(L, &moonbus_libraries[MOONBUS_LIBRARY_UTF8], NULL, nothing);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    adopt(L, &moonbus_string_metamethods, NULL, not_methods);
    return 0;
}

static void gather(void) {
    lua_State *L = luaL_newstate();
    if (L == NULL) abort();
    lua_pushcfunction(L, gather_lua);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) abort();
    lua_close(L);
    add_functions(&moonbus_libraries[MOONBUS_LIBRARY_GLOBALS], moonbus_base_functions);
    add_functions(&moonbus_libraries[MOONBUS_LIBRARY_STRING], moonbus_string_functions);
    add_functions(&moonbus_libraries[MOONBUS_LIBRARY_TABLE], moonbus_table_functions);
    add_functions(&moonbus_libraries[MOONBUS_LIBRARY_MATH], moonbus_math_functions);
    add_functions(&moonbus_libraries[MOONBUS_LIBRARY_COROUTINE], moonbus_coroutine_functions);
    add_functions(&moonbus_libraries[MOONBUS_LIBRARY_JSON], moonbus_json_functions);
    add_functions(&moonbus_libraries[MOONBUS_LIBRARY_BUS], moonbus_bus_functions);
    add_functions(&moonbus_libraries[MOONBUS_LIBRARY_TIME], moonbus_time_functions);
    add(&moonbus_libraries[MOONBUS_LIBRARY_JSON], "null")->push = push_null;
}

void moonbus_library_prepare(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, gather);
}
