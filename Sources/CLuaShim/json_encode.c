/* Lua values → JSON text, straight into a fixed region: exact, bounded, and with the path of whatever cannot be encoded.
 *
 * Tables are read raw: no metamethod runs. A table is an array when it is marked (json.array, decoded arrays) or when
 * its keys are exactly 1 … n with n > 0; it is an object when all keys are strings; anything else is refused.
 */
#include "internal.h"
#include "event.h"
#include "library.h"

#include <stdio.h>

typedef struct {
    const void *table;
    const char *key; /* NULL: an array's element */
    size_t key_size;
    lua_Integer index;
} level;

typedef struct {
    lua_State *L;
    moonbus_context *context;
    moonbus_json_writer *out;
    int depth;
    level levels[MOONBUS_JSON_DEPTH_MAX];
} encoder;

static void encode_value(encoder *in, int index);

/* ---- errors ---------------------------------------------------------------------------------------------------------------- */

enum { PATH_MAX_SIZE = 512 };

/* "data.items[3].price" */
static const char *path(const encoder *in, char *out) {
    size_t used = (size_t)snprintf(out, PATH_MAX_SIZE, "%s", in->out->subject);
    for (int depth = 0; depth < in->depth && used + 72 < PATH_MAX_SIZE; depth++) {
        const level *at = &in->levels[depth];
        if (at->key == NULL && at->index == 0) continue;
        if (at->key == NULL) {
            used += (size_t)snprintf(out + used, PATH_MAX_SIZE - used, "[%lld]", (long long)at->index);
        } else {
            out[used++] = '.';
            used += moonbus_text_copy(out + used, 64, at->key, at->key_size);
        }
    }
    out[used] = 0;
    return out;
}

static void fail(const encoder *in, const char *what) {
    char at[PATH_MAX_SIZE];
    luaL_error(in->L, "%s: %s", path(in, at), what);
}

static void fail_too_large(const encoder *in) {
    luaL_error(in->L, "too_large: %s is over %d bytes as JSON: give less at a time", in->out->subject, (int)(in->out->limit - in->out->start));
}

/* ---- writing ----------------------------------------------------------------------------------------------------------------- */

bool moonbus_json_raw(moonbus_json_writer *writer, const char *text, size_t size) {
    if ((size_t)(writer->limit - writer->next) < size) return false;
    memcpy(writer->next, text, size);
    writer->next += size;
    return true;
}

static inline void put(encoder *in, const char *text, size_t size) {
    if (MOONBUS_UNLIKELY(!moonbus_json_raw(in->out, text, size))) fail_too_large(in);
}

static inline void put_byte(encoder *in, char byte) {
    if (MOONBUS_UNLIKELY(in->out->next >= in->out->limit)) fail_too_large(in);
    *in->out->next++ = byte;
}

static size_t escape(char *out, unsigned char byte) {
    static const char digits[] = "0123456789abcdef";
    out[0] = '\\';
    switch (byte) {
    case '"':
    case '\\': out[1] = (char)byte; return 2;
    case '\b': out[1] = 'b'; return 2;
    case '\f': out[1] = 'f'; return 2;
    case '\n': out[1] = 'n'; return 2;
    case '\r': out[1] = 'r'; return 2;
    case '\t': out[1] = 't'; return 2;
    default:
        memcpy(out + 1, "u00", 3);
        out[4] = digits[byte >> 4];
        out[5] = digits[byte & 15];
        return 6;
    }
}

bool moonbus_json_quote(moonbus_json_writer *writer, const char *text, size_t size) {
    if (!moonbus_json_raw(writer, "\"", 1)) return false;
    size_t start = 0;
    for (size_t index = 0; index < size; index++) {
        unsigned char byte = (unsigned char)text[index];
        if (MOONBUS_LIKELY(byte >= 0x20 && byte != '"' && byte != '\\')) continue;
        char escaped[6];
        if (!moonbus_json_raw(writer, text + start, index - start)) return false;
        if (!moonbus_json_raw(writer, escaped, escape(escaped, byte))) return false;
        start = index + 1;
    }
    return moonbus_json_raw(writer, text + start, size - start) && moonbus_json_raw(writer, "\"", 1);
}

static bool is_ascii(const char *text, size_t size) {
    unsigned char all = 0;
    for (size_t index = 0; index < size; index++) all |= (unsigned char)text[index];
    return all < 0x80;
}

static void encode_string(encoder *in, const char *text, size_t size) {
    if ((size_t)(in->out->limit - in->out->next) < size) fail_too_large(in);
    if (!is_ascii(text, size) && !moonbus_utf8_is_valid(text, size))
        fail(in, "the string is not valid UTF-8: give bytes as crypto.base64_encode(bytes)");
    if (!moonbus_json_quote(in->out, text, size)) fail_too_large(in);
}

static void encode_integer(encoder *in, int64_t integer) {
    char reversed[20], text[21];
    size_t count = 0, size = 0;
    uint64_t digits = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
    do reversed[count++] = (char)('0' + digits % 10);
    while ((digits /= 10) != 0);
    if (integer < 0) text[size++] = '-';
    while (count > 0) text[size++] = reversed[--count];
    put(in, text, size);
}

static void encode_number(encoder *in, int index) {
    if (lua_isinteger(in->L, index)) {
        encode_integer(in, lua_tointeger(in->L, index));
        return;
    }
    double number = lua_tonumber(in->L, index);
    if (number != number) fail(in, "NaN is not JSON: give json.null, or a text");
    if (number - number != 0) fail(in, "infinity is not JSON: give json.null, or a text");
    char text[40];
    put(in, text, moonbus_json_format_number(text, number));
}

static void new_line(encoder *in) {
    if (in->out->indent == 0) return;
    put_byte(in, '\n');
    for (int spaces = in->depth * in->out->indent; spaces > 0; spaces--) put_byte(in, ' ');
}

/* ---- tables ------------------------------------------------------------------------------------------------------------------ */

/* Enters the table at `index`: its level becomes the deepest. */
static level *enter(encoder *in, int index) {
    const void *table = lua_topointer(in->L, index);
    for (int depth = 0; depth < in->depth; depth++)
        if (in->levels[depth].table == table) fail(in, "the table contains itself: copy what is needed of it");
    if (in->depth == MOONBUS_JSON_DEPTH_MAX) fail(in, "more than 64 levels: make it flatter, or give the inner part as json.encode(part)");
    luaL_checkstack(in->L, 6, "JSON");
    level *at = &in->levels[in->depth++];
    *at = (level){.table = table};
    return at;
}

static void encode_element(encoder *in, level *at, lua_Integer number) {
    at->index = number;
    if (number > 1) put_byte(in, ',');
    new_line(in);
    encode_value(in, lua_gettop(in->L));
    lua_pop(in->L, 1);
}

static void end_table(encoder *in, bool is_empty, char bracket) {
    in->depth--;
    if (!is_empty) new_line(in);
    put_byte(in, bracket);
}

/* Refuses tables that are neither arrays nor objects, saying which key is to blame. */
static void check_array_keys(encoder *in, level *at, int table, lua_Integer length) {
    lua_State *L = in->L;
    lua_Integer count = 0;
    char what[160];
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1)) {
            at->key = NULL;
            at->index = 0;
            if (lua_type(L, -1) != LUA_TSTRING) {
                snprintf(what, sizeof what, "a key is a %s, which JSON does not have: use tostring(key)", luaL_typename(L, -1));
                fail(in, what);
            }
            fail(in, "the table has both array elements and named fields: put the elements into a field of their own");
        }
        count++;
        lua_Integer key = lua_tointeger(L, -1);
        if (key < 1 || key > length) {
            snprintf(what, sizeof what, "key %lld makes the array sparse: count from 1 without gaps, or use tostring(key)", (long long)key);
            at->index = 0;
            fail(in, what);
        }
    }
    if (count != length) {
        lua_Integer hole = 1;
        while (lua_rawgeti(L, table, hole) != LUA_TNIL) {
            lua_pop(L, 1);
            hole++;
        }
        lua_pop(L, 1);
        snprintf(what, sizeof what, "the array is sparse: element %lld is missing: put json.null there", (long long)hole);
        at->index = 0;
        fail(in, what);
    }
}

static void encode_array(encoder *in, level *at, int table) {
    lua_Integer length = (lua_Integer)lua_rawlen(in->L, table);
    check_array_keys(in, at, table, length);
    put_byte(in, '[');
    for (lua_Integer number = 1; number <= length; number++) {
        lua_rawgeti(in->L, table, number);
        encode_element(in, at, number);
    }
    end_table(in, length == 0, ']');
}

static void fail_key(encoder *in, level *at) {
    char what[160];
    lua_State *L = in->L;
    at->key = NULL;
    at->index = 0;
    if (lua_isinteger(L, -2))
        snprintf(what, sizeof what, "key %lld: the table has numbered and named fields, or is sparse: use tostring(key), or count from 1",
                 (long long)lua_tointeger(L, -2));
    else snprintf(what, sizeof what, "a key is a %s, which JSON does not have: use tostring(key)", luaL_typename(L, -2));
    fail(in, what);
}

static void encode_object(encoder *in, level *at, int table) {
    lua_State *L = in->L;
    bool is_empty = true;
    put_byte(in, '{');
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING) fail_key(in, at);
        at->key = lua_tolstring(L, -2, &at->key_size);
        if (!is_empty) put_byte(in, ',');
        is_empty = false;
        new_line(in);
        encode_string(in, at->key, at->key_size);
        put_byte(in, ':');
        if (in->out->indent != 0) put_byte(in, ' ');
        encode_value(in, lua_gettop(L));
        lua_pop(L, 1);
    }
    end_table(in, is_empty, '}');
}

/* Stack [-0, +0, may raise]; `index` is absolute. */
static void encode_table(encoder *in, int index) {
    lua_State *L = in->L;
    bool is_marked = false, is_view = false;
    if (lua_getmetatable(L, index)) {
        is_marked = lua_topointer(L, -1) == in->context->array_marker;
        lua_pop(L, 1);
        if (!is_marked && moonbus_unseal(L, index)) {
            is_view = true;
            index = lua_gettop(L);
            if (lua_getmetatable(L, index)) {
                is_marked = lua_topointer(L, -1) == in->context->array_marker;
                lua_pop(L, 1);
            }
        }
    }
    level *at = enter(in, index);
    if (is_marked || lua_rawlen(L, index) > 0) encode_array(in, at, index);
    else encode_object(in, at, index);
    if (is_view) lua_pop(L, 1);
}

/* ---- values ------------------------------------------------------------------------------------------------------------------ */

static void encode_function(encoder *in, int index) {
    if (!in->out->functions) fail(in, "a function is not JSON: leave it out, or give what it returns");
    lua_pushvalue(in->L, index);
    int reference = luaL_ref(in->L, LUA_REGISTRYINDEX);
    put(in, "{\"$function\":", 13);
    encode_integer(in, reference);
    put_byte(in, '}');
}

static void encode_userdata(encoder *in, int index) {
    lua_State *L = in->L;
    if (lua_getmetatable(L, index)) {
        bool is_event = lua_topointer(L, -1) == in->context->event_metatable;
        lua_pop(L, 1);
        if (is_event) {
            moonbus_event_encode(L, index, in->out);
            return;
        }
    }
    fail(in, "a userdata is not JSON: leave it out");
}

static void encode_value(encoder *in, int index) {
    lua_State *L = in->L;
    size_t size;
    const char *text;
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL: put(in, "null", 4); return;
    case LUA_TBOOLEAN:
        if (lua_toboolean(L, index)) put(in, "true", 4);
        else put(in, "false", 5);
        return;
    case LUA_TNUMBER: encode_number(in, index); return;
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &size);
        encode_string(in, text, size);
        return;
    case LUA_TTABLE: encode_table(in, index); return;
    case LUA_TFUNCTION: encode_function(in, index); return;
    case LUA_TUSERDATA: encode_userdata(in, index); return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) != (void *)&moonbus_key_null) fail(in, "a userdata is not JSON: leave it out");
        put(in, "null", 4);
        return;
    default: fail(in, "a coroutine is not JSON: leave it out");
    }
}

void moonbus_json_encode(lua_State *L, int index, moonbus_json_writer *writer) {
    encoder in; /* its levels are written before they are read, so they need no zeros */
    in.L = L;
    in.context = moonbus_context_of(L);
    in.out = writer;
    in.depth = 0;
    encode_value(&in, lua_absindex(L, index));
}
