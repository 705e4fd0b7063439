/* The scripts' string library: Lua's own, minus dump, with three functions wrapped.
 *
 *   gmatch    an iterator that failed once is dead: Lua's keeps a stale depth counter after "pattern too complex", and
 *             its next call overflows the C stack (corpus s22; in every release up to 5.4.8)
 *   format    %s shows no addresses, %p is refused
 *   rep       repeating nothing takes no time, whatever the count; more than the cap is "not enough memory"
 *
 * Pattern matching itself may take exponential time inside one C call: the hard kill ends that.
 */
#include "internal.h"
#include "library.h"

/* Upvalues: Lua's iterator, whether it is dead. */
static int next_match(lua_State *L) {
    if (lua_toboolean(L, lua_upvalueindex(2))) return luaL_error(L, "this gmatch iterator has failed before");
    lua_pushboolean(L, 1);
    lua_replace(L, lua_upvalueindex(2)); /* stays so when the call raises */
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_call(L, 0, LUA_MULTRET);
    lua_pushboolean(L, 0);
    lua_replace(L, lua_upvalueindex(2));
    return lua_gettop(L);
}

/* Lua's own. */
static lua_CFunction lua_gmatch, lua_format, lua_rep;

static int string_gmatch(lua_State *L) {
    lua_gmatch(L);
    lua_pushboolean(L, 0);
    lua_pushcclosure(L, next_match, 2);
    return 1;
}

/* The conversion letter at `format`, which stands behind a '%'; moves past it. 0: there is none before `end`. */
static char conversion(const char **format, const char *end) {
    while (*format < end && **format != 0 && strchr("-+ #0123456789.", **format) != NULL) (*format)++;
    return *format < end ? *(*format)++ : 0;
}

static int string_format(lua_State *L) {
    size_t size;
    const char *format = luaL_checklstring(L, 1, &size), *end = format + size; /* a format may hold NULs, as for Lua's own */
    for (int argument = 1; (format = memchr(format, '%', (size_t)(end - format))) != NULL;) {
        format++;
        if (format < end && *format == '%') {
            format++;
            continue;
        }
        argument++;
        char letter = conversion(&format, end);
        if (letter == 'p') return luaL_error(L, "invalid conversion '%%p' to 'format'");
        if (letter != 's' || lua_type(L, argument) == LUA_TSTRING || lua_isnone(L, argument)) continue;
        moonbus_push_text(L, argument, NULL);
        lua_replace(L, argument);
    }
    return lua_format(L);
}

static int string_rep(lua_State *L) {
    size_t size, separator_size = 0;
    luaL_checklstring(L, 1, &size);
    lua_Integer count = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &separator_size);
    if (size + separator_size == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    moonbus_arena *arena = &moonbus_context_of(L)->arena;
    if (count > 0 && (size_t)count > arena->cap / (size + separator_size) + 1) {
        arena->refused_count++; /* what the allocator would say, had Lua asked it */
        return luaL_error(L, "not enough memory");
    }
    return lua_rep(L);
}

static lua_CFunction take(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    lua_CFunction function = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    return function;
}

void moonbus_adopt_strings(lua_State *L) {
    lua_gmatch = take(L, "gmatch");
    lua_format = take(L, "format");
    lua_rep = take(L, "rep");
}

const luaL_Reg moonbus_string_functions[] = {{"format", string_format}, {"gmatch", string_gmatch}, {"rep", string_rep}, {NULL, NULL}};
