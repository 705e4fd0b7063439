/* The `json` table of scripts: encode, decode, null, array. */
#include "internal.h"
#include "json.h"
#include "library.h"

/* json.encode(value [, {indent = n}]) → text, at most 16 MiB. */
static int json_encode(lua_State *L) {
    enum { ENCODED_MAX = 16 << 20, INDENT_MAX = 8 };
    moonbus_lane *lane = moonbus_context_of(L)->lane;
    luaL_checkany(L, 1);
    uint8_t indent = 0;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "indent");
        lua_Integer spaces = luaL_optinteger(L, -1, 0);
        if (spaces < 0 || spaces > INDENT_MAX) return luaL_error(L, "json.encode: indent must be 0 to %d", INDENT_MAX);
        indent = (uint8_t)spaces;
        lua_pop(L, 1);
    }
    moonbus_json_writer writer = {
        .start = lane->scratch, .next = lane->scratch, .limit = lane->scratch + ENCODED_MAX, .indent = indent, .subject = "value"};
    moonbus_json_encode(L, 1, &writer);
    size_t size = (size_t)(writer.next - writer.start);
    if (size > lane->scratch_high) lane->scratch_high = size;
    lua_pushlstring(L, writer.start, size);
    return 1;
}

static int json_decode(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    moonbus_json_decode(L, text, size);
    return 1;
}

/* json.array([table]) → the same table, marked as an array: `[]` when empty. */
static int json_array(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    moonbus_library_complete(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, moonbus_context_of(L)->array_reference);
    if (lua_getmetatable(L, 1)) {
        if (!lua_rawequal(L, -1, -2)) return luaL_error(L, "json.array: the table has a metatable of its own");
        lua_pop(L, 1);
    }
    lua_setmetatable(L, 1);
    return 1;
}

void moonbus_open_json(lua_State *L) {
    lua_newtable(L);
    moonbus_context_of(L)->array_marker = lua_topointer(L, -1);
    moonbus_context_of(L)->array_reference = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* And `null`, see library.c. */
const luaL_Reg moonbus_json_functions[] = {{"array", json_array}, {"decode", json_decode}, {"encode", json_encode}, {NULL, NULL}};
