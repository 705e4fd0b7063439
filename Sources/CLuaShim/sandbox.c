/* The scripts' base library: an allow-list. Functions that Lua ships are taken only where they are harmless as they are.
 *
 * (library.c names those; here are ours.)
 *
 *   absent     collectgarbage dofile loadfile warn io os package debug string.dump; print and require come from the host
 *   ours       pcall xpcall    cannot catch an interrupt, a cancellation, bus.reject or bus.retry
 *              setmetatable    refuses __gc: finalizers run with hooks off, and outside of any limit
 *              getmetatable    hides the marker of JSON arrays
 *              load            text only, at most 1 MiB
 *              tostring        shows no addresses
 *              rawset rawget rawlen next pairs    know read-only tables, and those that get their members late
 */
#include "internal.h"
#include "library.h"

/* ---- protected calls -------------------------------------------------------------------------------------------------------- */

static void check_unwinding(lua_State *L) {
    if (MOONBUS_UNLIKELY(moonbus_run_unwinds(moonbus_run_of(L)))) lua_error(L); /* the error on top goes on */
}

/* Stack on entry: [true, results… | error] */
static int pcall_finish(lua_State *L, int status, lua_KContext unused) {
    (void)unused;
    if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L);
    check_unwinding(L);
    moonbus_run_of(L)->is_syntax_error = false; /* caught: what fails later is another error */
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
}

static int base_pcall(lua_State *L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return pcall_finish(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, pcall_finish), 0);
}

/* The handler has run, after the stack was unwound: Lua would run it before, but with hooks off, where a loop in it
 * could not be interrupted. Stack on entry: [handler, results…] */
static int handler_finish(lua_State *L, int status, lua_KContext unused) {
    (void)unused;
    if (status != LUA_OK && status != LUA_YIELD) check_unwinding(L);
    lua_pushboolean(L, 0);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* Stack on entry: [handler, true, results… | error] */
static int xpcall_finish(lua_State *L, int status, lua_KContext unused) {
    (void)unused;
    if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 1;
    check_unwinding(L);
    lua_pushvalue(L, 1);
    lua_replace(L, 2); /* [handler, handler, error] */
    return handler_finish(L, lua_pcallk(L, 1, LUA_MULTRET, 0, 0, handler_finish), 0);
}

static int base_xpcall(lua_State *L) {
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_insert(L, 1);
    lua_pushvalue(L, 2);
    lua_replace(L, 3);
    lua_pushboolean(L, 1);
    lua_replace(L, 2); /* [handler, true, function, arguments…] */
    return xpcall_finish(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, 0, xpcall_finish), 0);
}

/* ---- metatables --------------------------------------------------------------------------------------------------------------- */

static int base_getmetatable(lua_State *L) {
    luaL_checkany(L, 1);
    moonbus_library_complete(L, 1);
    if (!lua_getmetatable(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    if (lua_topointer(L, -1) == moonbus_context_of(L)->array_marker) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushliteral(L, "__metatable");
    if (lua_rawget(L, -2) == LUA_TNIL) lua_pop(L, 1);
    return 1;
}

static int base_setmetatable(lua_State *L) {
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    moonbus_library_complete(L, 1);
    if (type == LUA_TTABLE) {
        moonbus_library_complete(L, 2); /* Lua looks for metamethods without asking a metatable */
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL) return luaL_error(L, "__gc is not available in plugins");
        lua_pop(L, 1);
    }
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* ---- raw access ----------------------------------------------------------------------------------------------------------------- */

static int base_rawset(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    if (moonbus_unseal(L, 1)) return luaL_error(L, "this table is read-only");
    lua_rawset(L, 1);
    return 1;
}

/* Puts the table behind a read-only view in its place. */
static void see_through(lua_State *L) {
    if (moonbus_unseal(L, 1)) lua_replace(L, 1);
}

static int base_rawget(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    see_through(L);
    lua_rawget(L, 1);
    return 1;
}

static int base_rawlen(lua_State *L) {
    int type = lua_type(L, 1);
    luaL_argexpected(L, type == LUA_TTABLE || type == LUA_TSTRING, 1, "table or string");
    if (type == LUA_TTABLE) see_through(L);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    return 1;
}

static int pairs_finish(lua_State *L, int status, lua_KContext unused) {
    (void)L, (void)status, (void)unused;
    return 3;
}

int moonbus_next(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    see_through(L);
    if (lua_next(L, 1)) return 2;
    lua_pushnil(L);
    return 1;
}

/* As Lua's own, but for the function that it gives: Lua's looks at tables as they are. */
static int base_pairs(lua_State *L) {
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") == LUA_TNIL) {
        lua_pushcfunction(L, moonbus_next);
        lua_pushvalue(L, 1);
        lua_pushnil(L);
    } else {
        lua_pushvalue(L, 1);
        lua_callk(L, 1, 3, 0, pairs_finish);
    }
    return 3;
}

/* ---- text ------------------------------------------------------------------------------------------------------------------------ */

const char *moonbus_push_text(lua_State *L, int index, size_t *size) {
    index = lua_absindex(L, index);
    if (luaL_callmeta(L, index, "__tostring")) {
        if (!lua_isstring(L, -1)) luaL_error(L, "'__tostring' must return a string");
        return lua_tolstring(L, -1, size);
    }
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
    case LUA_TSTRING:
    case LUA_TBOOLEAN:
    case LUA_TNIL: return luaL_tolstring(L, index, size);
    case LUA_TLIGHTUSERDATA: lua_pushstring(L, lua_touserdata(L, index) == (void *)&moonbus_key_null ? "null" : "userdata"); break;
    default:
        if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) break;
        lua_pushstring(L, luaL_typename(L, index));
    }
    return lua_tolstring(L, -1, size);
}

static int base_tostring(lua_State *L) {
    luaL_checkany(L, 1);
    moonbus_push_text(L, 1, NULL);
    return 1;
}

/* ---- load ------------------------------------------------------------------------------------------------------------------------ */

/* Joins what a reader function returns, on top of the stack. */
static void read_pieces(lua_State *L) {
    luaL_Buffer buffer;
    size_t total = 0;
    luaL_buffinit(L, &buffer);
    for (;;) {
        luaL_checkstack(L, 4, "load");
        lua_pushvalue(L, 1);
        lua_call(L, 0, 1);
        size_t size = 0;
        if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) == 0)) break;
        if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "reader function must return a string");
        lua_tolstring(L, -1, &size);
        total += size;
        if (total > MOONBUS_SOURCE_MAX) luaL_error(L, "too_large: load takes at most %d bytes", MOONBUS_SOURCE_MAX);
        luaL_addvalue(&buffer);
    }
    lua_pop(L, 1);
    luaL_pushresult(&buffer);
}

/* load(chunk, name, mode, env): mode "b" loads nothing, any other means text. */
static int base_load(lua_State *L) {
    bool has_environment = !lua_isnone(L, 4);
    const char *mode = luaL_optstring(L, 3, "t");
    const char *name = luaL_optstring(L, 2, NULL);
    if (lua_type(L, 1) == LUA_TFUNCTION) {
        lua_settop(L, 4);
        read_pieces(L);
    } else {
        luaL_checktype(L, 1, LUA_TSTRING);
        lua_settop(L, 4);
        lua_pushvalue(L, 1);
    }
    size_t size;
    const char *source = lua_tolstring(L, -1, &size);
    if (size > MOONBUS_SOURCE_MAX) {
        lua_pushnil(L);
        lua_pushfstring(L, "too_large: load takes at most %d bytes", MOONBUS_SOURCE_MAX);
        return 2;
    }
    bool is_text = strchr(mode, 't') != NULL;
    if (name == NULL) name = lua_type(L, 1) == LUA_TSTRING ? source : "=(load)";
    int status = luaL_loadbufferx(L, is_text ? source : "\x1b", is_text ? size : 1, name, "t");
    if (status != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_environment) {
        lua_pushvalue(L, 4);
        if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1);
    }
    return 1;
}

/* ---- the list ---------------------------------------------------------------------------------------------------------------------- */

const luaL_Reg moonbus_base_functions[] = {
    {"getmetatable", base_getmetatable},
    {"load", base_load},
    {"next", moonbus_next},
    {"pairs", base_pairs},
    {"pcall", base_pcall},
    {"rawget", base_rawget},
    {"rawlen", base_rawlen},
    {"rawset", base_rawset},
    {"setmetatable", base_setmetatable},
    {"tostring", base_tostring},
    {"xpcall", base_xpcall},
    {NULL, NULL},
};
