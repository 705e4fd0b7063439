/* Host functions: from a Lua call to flat values and back.
 *
 * The host's function runs outside the kill zone and never sees a lua_State; it returns a verdict. Only when its frame
 * is gone does this file push results, raise, or yield: no error ever unwinds through the host.
 */
#include "internal.h"
#include "event.h"
#include "library.h"

static int fail_argument(lua_State *L, const moonbus_host_entry *entry, int index, const char *expected) {
    return luaL_error(L, "bad argument #%d to '%s' (%s expected, got %s)", index, entry->name, expected,
                      lua_type(L, index) == LUA_TNONE ? "no value" : luaL_typename(L, index));
}

/* ---- arguments ------------------------------------------------------------------------------------------------------------ */

/* Encodes the value into the lane's scratch region, behind earlier arguments. */
static void take_json(lua_State *L, const moonbus_host_entry *entry, int index, bool functions, size_t *scratch_used, moonbus_value *into) {
    moonbus_lane *lane = moonbus_context_of(L)->lane;
    char *start = lane->scratch + *scratch_used, subject[32];
    subject[0] = 0;
    (void)entry;
    lua_Integer number = index;
    memcpy(subject, "argument ", 9);
    subject[9] = (char)('0' + number);
    subject[10] = 0;
    moonbus_json_writer writer = {
        .start = start,
        .next = start,
        .limit = lane->scratch + MOONBUS_SCRATCH_RESERVED / 4,
        .functions = functions,
        .subject = subject,
    };
    moonbus_json_encode(L, index, &writer);
    *into = (moonbus_value){.kind = MOONBUS_JSON, .size = (uint32_t)(writer.next - start), .as.bytes = start};
    *scratch_used = (size_t)(writer.next - lane->scratch);
    if (*scratch_used > lane->scratch_high) lane->scratch_high = *scratch_used;
}

static void take_text(lua_State *L, int index, moonbus_value *into) {
    size_t size;
    const char *bytes = lua_tolstring(L, index, &size);
    *into = (moonbus_value){.kind = MOONBUS_STRING, .size = (uint32_t)size, .as.bytes = bytes};
}

static bool take_scalar(lua_State *L, int index, moonbus_value *into) {
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL: *into = (moonbus_value){.kind = MOONBUS_NIL}; return true;
    case LUA_TBOOLEAN: *into = (moonbus_value){.kind = MOONBUS_BOOLEAN, .as.integer = lua_toboolean(L, index)}; return true;
    case LUA_TSTRING: take_text(L, index, into); return true;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) *into = (moonbus_value){.kind = MOONBUS_INTEGER, .as.integer = lua_tointeger(L, index)};
        else *into = (moonbus_value){.kind = MOONBUS_NUMBER, .as.number = lua_tonumber(L, index)};
        return true;
    default: return false;
    }
}

/* Replaces a value that is not a scalar by its text, so that the text lives as long as the call. */
static void take_any(lua_State *L, int index, moonbus_value *into) {
    if (take_scalar(L, index, into)) return;
    moonbus_push_text(L, index, NULL);
    lua_replace(L, index);
    take_text(L, index, into);
}

static void take_function(lua_State *L, int index, moonbus_value *into) {
    lua_pushvalue(L, index);
    *into = (moonbus_value){.kind = MOONBUS_FUNCTION, .as.integer = luaL_ref(L, LUA_REGISTRYINDEX)};
}

static void take_argument(lua_State *L, const moonbus_host_entry *entry, int index, char letter, size_t *scratch_used, moonbus_value *into) {
    bool is_optional = letter >= 'A' && letter <= 'Z';
    if (is_optional) letter = (char)(letter - 'A' + 'a');
    int type = lua_type(L, index);
    if (type <= LUA_TNIL && (is_optional || letter == 'v' || (letter == 'j' && type == LUA_TNIL))) {
        *into = (moonbus_value){.kind = MOONBUS_NIL};
        return;
    }
    int64_t duration;
    switch (letter) {
    case 's':
        if (type != LUA_TSTRING) fail_argument(L, entry, index, "string");
        take_text(L, index, into);
        return;
    case 'i':
        if (type != LUA_TNUMBER || !lua_isinteger(L, index)) fail_argument(L, entry, index, "integer");
        *into = (moonbus_value){.kind = MOONBUS_INTEGER, .as.integer = lua_tointeger(L, index)};
        return;
    case 'n':
        if (type != LUA_TNUMBER) fail_argument(L, entry, index, "number");
        *into = (moonbus_value){.kind = MOONBUS_NUMBER, .as.number = lua_tonumber(L, index)};
        return;
    case 'b':
        if (type != LUA_TBOOLEAN) fail_argument(L, entry, index, "boolean");
        *into = (moonbus_value){.kind = MOONBUS_BOOLEAN, .as.integer = lua_toboolean(L, index)};
        return;
    case 'v':
        if (!take_scalar(L, index, into)) fail_argument(L, entry, index, "string, number or boolean");
        return;
    case 'j':
        if (type == LUA_TNONE) fail_argument(L, entry, index, "value");
        take_json(L, entry, index, false, scratch_used, into);
        return;
    case 't':
        if (type != LUA_TTABLE) fail_argument(L, entry, index, "table");
        take_json(L, entry, index, true, scratch_used, into);
        return;
    case 'f':
        if (type != LUA_TFUNCTION) fail_argument(L, entry, index, "function");
        take_function(L, index, into);
        return;
    case 'd':
        if (!moonbus_to_duration(L, index, &duration)) fail_argument(L, entry, index, "duration such as \"250ms\" or a number of seconds");
        *into = (moonbus_value){.kind = MOONBUS_INTEGER, .as.integer = duration};
        return;
    default: luaL_error(L, "'%s' has no such argument", entry->name);
    }
}

/* `T` before `f` was left out: the function moves up. Stack [-0, +(0|1), never raises]. */
static void insert_absent_options(lua_State *L, int index) {
    if (!lua_isnoneornil(L, index + 1)) return;
    lua_settop(L, index);
    lua_pushnil(L);
    lua_insert(L, index);
}

/* Pushes the place of the innermost script code: "main.lua:12: "; "" when there is none. Not luaL_where(L, 1): a declaration may be called by
 * pcall, which has no line. Stack [-0, +1, may raise (memory)]. */
static void push_place(lua_State *L) {
    lua_Debug level;
    for (int index = 1; lua_getstack(L, index, &level); index++) {
        if (!lua_getinfo(L, "Sl", &level) || level.currentline <= 0) continue;
        lua_pushfstring(L, "%s:%d: ", level.short_src, level.currentline);
        return;
    }
    lua_pushliteral(L, "");
}

/* Fills `values` from the stack as the signature says. Returns how many. Stack [-0, +0, may raise]. */
static uint32_t take_arguments(lua_State *L, const moonbus_host_entry *entry, moonbus_value *values) {
    const char *signature = entry->signature;
    int count = 0;
    size_t scratch_used = 0;
    bool takes_any = false;
    for (; signature[count] != 0 && signature[count] != 'p' && !takes_any; count++) {
        if (signature[count] == 'T' && signature[count + 1] == 'f') insert_absent_options(L, count + 1);
        if (signature[count] == '*') takes_any = true;
        else take_argument(L, entry, count + 1, signature[count], &scratch_used, &values[count]);
    }
    int given = lua_gettop(L);
    if (takes_any) {
        count--;
        int last = given < MOONBUS_ARGUMENTS_MAX ? given : MOONBUS_ARGUMENTS_MAX; /* more are not shown */
        for (; count < last; count++) take_any(L, count + 1, &values[count]);
    } else if (given > count) {
        luaL_error(L, "too many arguments to '%s' (%d, it takes %d)", entry->name, given, count);
    }
    if (signature[count] == 'p') {
        push_place(L);
        take_text(L, -1, &values[count++]);
    }
    return (uint32_t)count;
}

/* ---- results -------------------------------------------------------------------------------------------------------------- */

static void push_value(lua_State *L, const moonbus_value *value) {
    switch (value->kind) {
    case MOONBUS_BOOLEAN: lua_pushboolean(L, value->as.integer != 0); break;
    case MOONBUS_INTEGER: lua_pushinteger(L, value->as.integer); break;
    case MOONBUS_NUMBER: lua_pushnumber(L, value->as.number); break;
    case MOONBUS_STRING: lua_pushlstring(L, value->as.bytes, value->size); break;
    case MOONBUS_JSON: moonbus_json_decode(L, value->as.bytes, value->size); break;
    case MOONBUS_FUNCTION: lua_rawgeti(L, LUA_REGISTRYINDEX, value->as.integer); break;
    default: lua_pushnil(L);
    }
}

static int push_results(lua_State *L, const moonbus_value *values, uint32_t count) {
    luaL_checkstack(L, (int)count + 12, "results"); /* 12: for moonbus_json_decode */
    for (uint32_t index = 0; index < count; index++) push_value(L, &values[index]);
    return (int)count;
}

static int raise_text(lua_State *L, const moonbus_value *values, uint32_t count) {
    luaL_where(L, 1);
    if (count > 0 && values[0].kind == MOONBUS_STRING) lua_pushlstring(L, values[0].as.bytes, values[0].size);
    else lua_pushliteral(L, "the host refused");
    lua_concat(L, 2);
    return lua_error(L);
}

/* The host has an answer for a function that waited, or the task is cancelled. */
static int take_reply(lua_State *L, int status, lua_KContext unused) {
    (void)status, (void)unused;
    moonbus_run *run = moonbus_run_of(L);
    run->running = L;
    if (moonbus_run_unwinds(run)) return luaL_error(L, "cancelled");
    /* A coroutine that could not wait where it was resumed first, and was resumed again: its call was given up. */
    if (!run->has_reply) return luaL_error(L, "this call was given up: it could not wait where it was made");
    run->has_reply = false;
    if (!run->reply_ok) return raise_text(L, run->reply, run->reply_count);
    return push_results(L, run->reply, run->reply_count);
}

int moonbus_host_call_function(lua_State *L) {
    const moonbus_host_entry *entry = lua_touserdata(L, lua_upvalueindex(1));
    moonbus_context *context = moonbus_context_of(L);
    moonbus_run *run = &context->lane->run;
    moonbus_value arguments[MOONBUS_ARGUMENTS_MAX];
    moonbus_host_call call = {
        .context = context,
        .task = run->task->identifier,
        .function = entry->function,
        .argument_count = take_arguments(L, entry, arguments),
        .arguments = arguments,
    };
    moonbus_zone_leave(run);
    int32_t verdict = context->options.call(context->options.host, &call);
    moonbus_zone_enter(run); /* a kill or an interrupt that came meanwhile happens here */
    switch (verdict) {
    case MOONBUS_RETURN: return push_results(L, call.results, call.result_count);
    case MOONBUS_WAIT: return moonbus_wait(L, take_reply);
    default: return raise_text(L, call.results, call.result_count);
    }
}
