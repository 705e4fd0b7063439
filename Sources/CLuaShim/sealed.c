/* Read-only views: what a script sees of `bus`, `kv`, `config`.
 *
 * A view is an empty table whose metatable reads from the table behind it and refuses to write. Marking the real table
 * would not do: assignments to fields that exist ask no metatable. The one raw write that scripts have, rawset, knows
 * views (sandbox.c).
 */
#include "internal.h"
#include "library.h"

static int refuse_write(lua_State *L) {
    if (lua_type(L, 2) == LUA_TSTRING) return luaL_error(L, "this table is read-only (assignment to '%s')", lua_tostring(L, 2));
    return luaL_error(L, "this table is read-only");
}

static int view_length(lua_State *L) {
    if (!moonbus_unseal(L, 1)) return 0;
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
    return 1;
}

static void set_function(lua_State *L, const char *name, lua_CFunction function) {
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
}

void moonbus_push_sealed(lua_State *L) {
    int target = lua_gettop(L);
    bool is_array = lua_rawlen(L, target) > 0; /* it stays so: nobody writes behind a view */
    lua_newtable(L);
    lua_createtable(L, 0, is_array ? 4 : 3);
    lua_pushvalue(L, target);
    lua_setfield(L, -2, "__index");
    set_function(L, "__newindex", refuse_write);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    if (is_array) set_function(L, "__len", view_length);
    lua_setmetatable(L, -2);
    lua_replace(L, target);
}

void moonbus_push_sealed_deep(lua_State *L) {
    int target = lua_gettop(L);
    luaL_checkstack(L, 8, "nested too deep");
    lua_pushnil(L);
    while (lua_next(L, target) != 0) {
        if (lua_istable(L, -1)) {
            moonbus_push_sealed_deep(L);
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, target);
        } else {
            lua_pop(L, 1);
        }
    }
    moonbus_push_sealed(L);
}

/* A view is known by what refuses its writes: scripts never get hold of that function. */
bool moonbus_unseal(lua_State *L, int index) {
    index = lua_absindex(L, index);
    if (!lua_getmetatable(L, index)) return false;
    lua_pushliteral(L, "__newindex");
    lua_rawget(L, -2);
    bool is_view = lua_tocfunction(L, -1) == refuse_write;
    lua_pop(L, 1);
    if (!is_view) {
        lua_pop(L, 1);
        moonbus_library_complete(L, index);
        return false;
    }
    lua_pushliteral(L, "__index");
    lua_rawget(L, -2);
    lua_remove(L, -2);
    moonbus_library_complete(L, -1);
    return true;
}
