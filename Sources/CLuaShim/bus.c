/* What scripts do to the bus without asking the host: bus.emit, bus.reject, bus.retry, time.now.
 *
 * An emit is staged as an effect right where the outcome record will carry it (effects.c): no copy, no call.
 */
#include "internal.h"
#include "event.h"
#include "library.h"
#include "patterns.h"

#include <stdio.h>

static moonbus_task *check_delivery(lua_State *L, const char *name) {
    moonbus_task *task = moonbus_run_of(L)->task;
    if (task->is_load) luaL_error(L, "%s is for handlers: it cannot be called while the plugin loads", name);
    return task;
}

/* ---- emit: options --------------------------------------------------------------------------------------------------------- */

enum { SUBJECT_MAX = 1024, KEY_MAX = 255, ID_MAX = 255, SOURCE_MAX = 1024 };

static void fail_option(lua_State *L, const char *key) {
    static const char *const known[] = {"subject", "key", "id", "delay", "at", "source", NULL};
    const char *meant = moonbus_did_you_mean(key, known);
    if (meant != NULL) luaL_error(L, "bus.emit has no option '%s'; did you mean '%s'?", key, meant);
    luaL_error(L, "bus.emit has no option '%s'; it has subject, key, id, delay, at, source", key);
}

static void put(lua_State *L, moonbus_json_writer *out, const char *text, size_t size) {
    if (!moonbus_json_raw(out, text, size)) luaL_error(L, "too_large: the effects of this delivery are over its bound");
}

/* As no attribute of an event may have it: C0, DEL, C1. `text` is UTF-8. */
static bool is_control(const char *text, size_t index) {
    unsigned char byte = (unsigned char)text[index];
    return byte < 0x20 || byte == 0x7f || (byte == 0xc2 && (unsigned char)text[index + 1] < 0xa0);
}

static void put_text_option(lua_State *L, moonbus_json_writer *out, const char *key, int index, size_t size_max) {
    if (lua_type(L, index) != LUA_TSTRING) luaL_error(L, "bus.emit: %s must be a string, got %s", key, luaL_typename(L, index));
    size_t size;
    const char *text = lua_tolstring(L, index, &size);
    if (size == 0 || size > size_max) luaL_error(L, "bus.emit: %s must have 1 to %d bytes", key, (int)size_max);
    if (!moonbus_utf8_is_valid(text, size)) luaL_error(L, "bus.emit: %s is not valid UTF-8", key);
    for (size_t index = 0; index < size; index++)
        if (is_control(text, index)) luaL_error(L, "bus.emit: %s has a control character at byte %d: take it out", key, (int)index + 1);
    if (!moonbus_json_quote(out, text, size)) luaL_error(L, "too_large: the effects of this delivery are over its bound");
}

/* An event's identity is its source and its id: under a stranger's source a plugin could take the id of an event that is still to come,
 * which would then be a duplicate that nobody handles. */
static void put_source(lua_State *L, moonbus_json_writer *out, int index) {
    put_text_option(L, out, "source", index, SOURCE_MAX);
    const char *own = moonbus_context_of(L)->sources;
    if (own == NULL) return;
    size_t size;
    const char *source = lua_tolstring(L, index, &size);
    for (const char *permitted = own; *permitted != 0; permitted += strlen(permitted) + 1)
        if (moonbus_source_is_permitted(permitted, source, size)) return;
    luaL_error(L,
               "denied: the source \"%s\" is not this plugin's: leave source out, which makes it \"%s\", or permit it in the plugin.toml "
               "beside main.lua: [permissions] sources = [\"%s\"]",
               source, own, source);
}

static void put_delay(lua_State *L, moonbus_json_writer *out, int index) {
    int64_t delay_us;
    if (!moonbus_to_duration(L, index, &delay_us)) luaL_error(L, "bus.emit: delay must be a duration such as \"5m\", or seconds");
    char text[24];
    put(L, out, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)delay_us));
}

static void check_instant(lua_State *L, int index) {
    size_t size;
    int64_t instant;
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &size) : NULL;
    if (text == NULL || !moonbus_parse_rfc3339(text, size, &instant)) luaL_error(L, "bus.emit: at must be an instant such as \"2025-01-31T12:00:00Z\"");
}

/* Writes the options at `index` as JSON; nothing when there are none. */
static void put_options(lua_State *L, moonbus_json_writer *out, int index) {
    bool is_first = true;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "bus.emit: options are named, such as {key = \"k\"}");
        size_t key_size;
        const char *key = lua_tolstring(L, -2, &key_size);
        if (strlen(key) != key_size) fail_option(L, key);
        int value = lua_gettop(L);
        put(L, out, is_first ? "{\"" : ",\"", 2);
        put(L, out, key, strlen(key));
        if (strcmp(key, "delay") == 0) put(L, out, "_us", 3);
        put(L, out, "\":", 2);
        if (strcmp(key, "subject") == 0) put_text_option(L, out, key, value, SUBJECT_MAX);
        else if (strcmp(key, "key") == 0) put_text_option(L, out, key, value, KEY_MAX);
        else if (strcmp(key, "id") == 0) put_text_option(L, out, key, value, ID_MAX);
        else if (strcmp(key, "source") == 0) put_source(L, out, value);
        else if (strcmp(key, "delay") == 0) put_delay(L, out, value);
        else if (strcmp(key, "at") == 0) {
            check_instant(L, value);
            put_text_option(L, out, key, value, 64);
        } else fail_option(L, key);
        lua_pop(L, 1);
        is_first = false;
    }
    if (!is_first) put(L, out, "}", 1);
}

/* ---- emit ------------------------------------------------------------------------------------------------------------------- */

static void check_type(lua_State *L, const char *type, size_t size) {
    const char *problem = moonbus_type_problem(type, size);
    if (problem == NULL) return;
    char shown[96];
    size_t shown_size = moonbus_text_copy(shown, sizeof shown - 1, type, size);
    shown[shown_size] = 0;
    luaL_error(L, "bad_type: \"%s\": %s", shown, problem);
}

static void check_permission(lua_State *L, const char *type, size_t size) {
    if (moonbus_type_is_reserved(type, size))
        luaL_error(L,
                   "denied: \"%s\": types that begin with \"moonbus.\" are reserved for Moonbus itself: choose another first word", type);
    const char *patterns = moonbus_context_of(L)->emit_patterns;
    if (patterns == NULL) return;
    char list[512];
    size_t used = 0;
    list[0] = 0;
    for (const char *pattern = patterns; *pattern != 0; pattern += strlen(pattern) + 1) {
        if (moonbus_pattern_matches(pattern, type, size)) return;
        if (used + strlen(pattern) + 3 < sizeof list) used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", pattern);
    }
    luaL_error(L, "not allowed to emit \"%s\": plugin.toml [permissions] emit allows %s", lua_tostring(L, 1), used > 0 ? list : "nothing");
}

/* The id that the n-th emit of a delivery has: the identity in Crockford's base32 (26 letters of 5 bits, the first has
 * 3), a hyphen, n. `out` has room for 37. */
static size_t derive_id(char *out, const uint64_t identity[2], uint32_t ordinal) {
    static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t high = identity[0], low = identity[1];
    for (int index = 25; index >= 0; index--) {
        out[index] = letters[low & 31];
        low = low >> 5 | high << 59;
        high >>= 5;
    }
    char digits[10];
    size_t count = 0, size = 26;
    do digits[count++] = (char)('0' + ordinal % 10);
    while ((ordinal /= 10) != 0);
    out[size++] = '-';
    while (count > 0) out[size++] = digits[--count];
    return size;
}

static void push_id(lua_State *L, const moonbus_task *task) {
    if (lua_istable(L, 3)) {
        lua_pushliteral(L, "id");
        lua_rawget(L, 3); /* as put_options sees it */
        if (lua_isstring(L, -1)) return;
        lua_pop(L, 1);
    }
    char id[48];
    uint64_t identity[2];
    moonbus_context_identity(moonbus_context_of(L), identity);
    lua_pushlstring(L, id, derive_id(id, identity, task->emit_count));
}

/* The fixed part of an emit effect (docs/frames.md, "Effects"), written byte by byte: it has no alignment. */
static void put_emit_header(uint8_t *at, uint16_t type_size, uint32_t data_size, uint16_t options_size) {
    at[0] = 1;
    at[1] = 0;
    memcpy(at + 2, &type_size, 2);
    memcpy(at + 4, &data_size, 4);
    memcpy(at + 8, &options_size, 2);
}

/* bus.emit(type [, data [, options]]) → id */
static int bus_emit(lua_State *L) {
    enum { HEADER_SIZE = 10 };
    moonbus_context *context = moonbus_context_of(L);
    moonbus_task *task = check_delivery(L, "bus.emit");
    size_t type_size, room;
    if (lua_type(L, 1) != LUA_TSTRING) return luaL_error(L, "bad_type: an event's type is a string, got %s", lua_type(L, 1) == LUA_TNONE ? "nothing" : luaL_typename(L, 1));
    const char *type = lua_tolstring(L, 1, &type_size);
    if (!lua_isnoneornil(L, 3)) luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    moonbus_library_complete(L, 3);
    check_type(L, type, type_size);
    check_permission(L, type, type_size);
    if (task->emit_count - task->emit_base >= context->options.effect_count_max) {
        return luaL_error(L, "too_large: one delivery may emit %d events", (int)context->options.effect_count_max);
    }
    /* From here on no code of the script may run (a metamethod that emits would write here, too): all access is raw. */
    uint8_t *start = moonbus_effects_end(context, &room);
    if (room < HEADER_SIZE + type_size) return luaL_error(L, "too_large: the effects of this delivery are over %d bytes", (int)context->options.effect_bytes_max);
    memcpy(start + HEADER_SIZE, type, type_size);
    char *data = (char *)start + HEADER_SIZE + type_size, *limit = (char *)start + room, *data_limit = data + context->options.event_bytes_max;
    moonbus_json_writer out = {.start = data, .next = data, .limit = data_limit < limit ? data_limit : limit, .subject = "data"};
    if (!lua_isnil(L, 2)) moonbus_json_encode(L, 2, &out);
    size_t data_size = (size_t)(out.next - out.start);
    out.start = out.next;
    out.limit = limit;
    if (lua_istable(L, 3)) put_options(L, &out, 3);
    size_t options_size = (size_t)(out.next - out.start);
    push_id(L, task);
    put_emit_header(start, (uint16_t)type_size, (uint32_t)data_size, (uint16_t)options_size);
    moonbus_effects_advance(context, (size_t)((uint8_t *)out.next - start));
    task->emit_count++;
    return 1;
}

/* ---- endings ------------------------------------------------------------------------------------------------------------------ */

/* bus.reject(reason): does not return, and pcall does not stop it. */
static int bus_reject(lua_State *L) {
    size_t size;
    const char *reason = luaL_checklstring(L, 1, &size);
    check_delivery(L, "bus.reject");
    moonbus_context *context = moonbus_context_of(L);
    context->lane->fault.message_size = moonbus_text_copy(context->lane->fault.message, sizeof context->lane->fault.message, reason, size);
    context->lane->run.unwinding = MOONBUS_UNWIND_REJECTED;
    return luaL_error(L, "rejected");
}

/* bus.retry(after): likewise. */
static int bus_retry(lua_State *L) {
    int64_t after_us;
    luaL_argexpected(L, moonbus_to_duration(L, 1, &after_us), 1, "duration such as \"5s\" or a number of seconds");
    check_delivery(L, "bus.retry");
    moonbus_run *run = moonbus_run_of(L);
    run->retry_us = after_us;
    run->unwinding = MOONBUS_UNWIND_RETRY;
    return luaL_error(L, "retried");
}

/* time.now(): seconds since 1970, the same for the whole delivery. */
static int time_now(lua_State *L) {
    lua_pushnumber(L, (double)moonbus_run_of(L)->task->delivery.now_us / 1e6);
    return 1;
}

const luaL_Reg moonbus_bus_functions[] = {{"emit", bus_emit}, {"reject", bus_reject}, {"retry", bus_retry}, {NULL, NULL}};
const luaL_Reg moonbus_time_functions[] = {{"now", time_now}, {NULL, NULL}};
