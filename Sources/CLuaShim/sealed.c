/* Read-only views: what a script sees of `bus`, `kv`, `config`.
 *
 * A view is an empty table whose metatable reads from the table behind it and refuses to write. Marking the real table
 * would not do: assignments to fields that exist ask no metatable. The one raw write that scripts have, rawset, knows
 * views (sandbox.c).
 */
#include "internal.h"

static int refuse_write(lua_State *L) {
    if (lua_type(L, 2) == LUA_TSTRING) return luaL_error(L, "this table is read-only (assignment to '%s')", lua_tostring(L, 2));
    return luaL_error(L, "this table is read-only");
}

static int view_length(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, lua_upvalueindex(1)));
    return 1;
}

static int view_next(lua_State *L) {
    lua_settop(L, 2);
    if (lua_next(L, lua_upvalueindex(1))) return 2;
    lua_pushnil(L);
    return 1;
}

static int view_pairs(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, view_next, 1);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static void set_closure(lua_State *L, int target, const char *name, lua_CFunction function) {
    lua_pushvalue(L, target);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

void moonbus_push_sealed(lua_State *L) {
    int target = lua_gettop(L);
    lua_newtable(L);
    lua_createtable(L, 0, 6);
    lua_pushvalue(L, target);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    set_closure(L, target, "__len", view_length);
    set_closure(L, target, "__pairs", view_pairs);
    lua_pushvalue(L, target);
    lua_rawsetp(L, -2, &moonbus_key_sealed);
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

bool moonbus_unseal(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return false;
    if (lua_rawgetp(L, -1, &moonbus_key_sealed) == LUA_TTABLE) {
        lua_remove(L, -2);
        return true;
    }
    lua_pop(L, 2);
    return false;
}
