/* JSON text → Lua values. Strict RFC 8259; 64-bit integers stay exact, larger ones and all with a fraction or exponent
 * are floats; null becomes json.null wherever it stands inside a value, so that round trips are exact; arrays carry the
 * hidden marker, so that an empty one stays an array. Of duplicate keys the last wins (the host refuses them in events).
 */
#include "key_cache.h"
#include "json.h"
#include "library.h"

#include <stdint.h>

typedef struct {
    lua_State *L;
    moonbus_context *context;
    const char *start, *next, *end;
    int depth;
} reader;

static void read_value(reader *in);

static void fail(reader *in, const char *what) {
    luaL_error(in->L, "not JSON: %s at byte %d", what, (int)(in->next - in->start) + 1);
}

static inline char peek(const reader *in) {
    return in->next < in->end ? *in->next : 0;
}

static inline void skip_space(reader *in) {
    if (MOONBUS_LIKELY(in->next < in->end && (unsigned char)*in->next > ' ')) return;
    while (in->next < in->end && (*in->next == ' ' || *in->next == '\n' || *in->next == '\r' || *in->next == '\t')) in->next++;
}

/* ---- UTF-8 ------------------------------------------------------------------------------------------------------------------- */

size_t moonbus_utf8_sequence(const unsigned char *text, size_t size) {
    unsigned char first = text[0];
    if (first < 0x80) return 1;
    size_t count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || count > size) return 0;
    for (size_t index = 1; index < count; index++)
        if ((text[index] & 0xc0) != 0x80) return 0;
    if (first == 0xe0 && text[1] < 0xa0) return 0; /* overlong */
    if (first == 0xed && text[1] > 0x9f) return 0; /* surrogate */
    if (first == 0xf0 && text[1] < 0x90) return 0; /* overlong */
    if (first == 0xf4 && text[1] > 0x8f) return 0; /* past U+10FFFF */
    return count;
}

bool moonbus_utf8_is_valid(const char *text, size_t size) {
    for (size_t index = 0, count; index < size; index += count)
        if ((count = moonbus_utf8_sequence((const unsigned char *)text + index, size - index)) == 0) return false;
    return true;
}

static size_t put_utf8(char *out, uint32_t point) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

/* ---- strings ----------------------------------------------------------------------------------------------------------------- */

static uint32_t read_hex(reader *in) {
    uint32_t value = 0;
    if (in->end - in->next < 4) fail(in, "a broken \\u escape");
    for (int index = 0; index < 4; index++) {
        char digit = *in->next++;
        value <<= 4;
        if (digit >= '0' && digit <= '9') value |= (uint32_t)(digit - '0');
        else if ((digit | 32) >= 'a' && (digit | 32) <= 'f') value |= (uint32_t)((digit | 32) - 'a' + 10);
        else fail(in, "a broken \\u escape");
    }
    return value;
}

/* Behind a backslash. Returns the bytes written to `out`, at most 4. */
static size_t read_escape(reader *in, char *out) {
    char letter = peek(in);
    in->next++;
    switch (letter) {
    case '"':
    case '\\':
    case '/': *out = letter; return 1;
    case 'b': *out = '\b'; return 1;
    case 'f': *out = '\f'; return 1;
    case 'n': *out = '\n'; return 1;
    case 'r': *out = '\r'; return 1;
    case 't': *out = '\t'; return 1;
    case 'u': break;
    default: in->next--; fail(in, "an unknown escape");
    }
    uint32_t point = read_hex(in);
    if (point >= 0xdc00 && point <= 0xdfff) fail(in, "half of a surrogate pair");
    if (point >= 0xd800 && point <= 0xdbff) {
        if (in->end - in->next < 6 || in->next[0] != '\\' || in->next[1] != 'u') fail(in, "half of a surrogate pair");
        in->next += 2;
        uint32_t low = read_hex(in);
        if (low < 0xdc00 || low > 0xdfff) fail(in, "half of a surrogate pair");
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    return put_utf8(out, point);
}

/* A string with escapes: unescaped into a region of the lane's, which it never outgrows: escapes only shrink. */
static void read_escaped_string(reader *in, const char *start) {
    moonbus_lane *lane = in->context->lane;
    size_t used = (size_t)(in->next - start);
    if ((size_t)(in->end - start) > MOONBUS_SCRATCH_RESERVED) fail(in, "a string that is too long");
    memcpy(lane->unescaped, start, used);
    for (;;) {
        unsigned char byte = (unsigned char)peek(in);
        if (in->next >= in->end) fail(in, "a string without an end");
        if (byte == '"') break;
        if (byte == '\\') {
            in->next++;
            used += read_escape(in, lane->unescaped + used);
        } else if (byte < 0x20) {
            fail(in, "a control character in a string");
        } else {
            size_t count = moonbus_utf8_sequence((const unsigned char *)in->next, (size_t)(in->end - in->next));
            if (count == 0) fail(in, "invalid UTF-8");
            memcpy(lane->unescaped + used, in->next, count);
            used += count;
            in->next += count;
        }
    }
    if (used > lane->unescaped_high) lane->unescaped_high = used;
    in->next++;
    lua_pushlstring(in->L, lane->unescaped, used);
}

/* 1: an ASCII character that may stand in a string as it is. */
static const uint8_t plain[256] = {
    [' '] = 1,         ['!'] = 1,        ['#' ... '['] = 1, [']' ... 0x7f] = 1,
};

static inline void read_string(reader *in, bool is_key) {
    const char *start = ++in->next;
    while (in->next < in->end) {
        unsigned char byte = (unsigned char)*in->next;
        if (MOONBUS_LIKELY(plain[byte])) {
            in->next++;
        } else if (byte == '"') {
            size_t size = (size_t)(in->next - start);
            if (is_key) moonbus_push_key(in->L, in->context, start, size);
            else lua_pushlstring(in->L, start, size);
            in->next++;
            return;
        } else if (byte == '\\') {
            read_escaped_string(in, start);
            return;
        } else {
            size_t count = byte < 0x20 ? 0 : moonbus_utf8_sequence((const unsigned char *)in->next, (size_t)(in->end - in->next));
            if (count == 0) fail(in, byte < 0x20 ? "a control character in a string" : "invalid UTF-8");
            in->next += count;
        }
    }
    fail(in, "a string without an end");
}

/* ---- numbers ------------------------------------------------------------------------------------------------------------------- */

static inline bool is_digit(char character) {
    return character >= '0' && character <= '9';
}

static void read_digits(reader *in) {
    if (!is_digit(peek(in))) fail(in, "a broken number");
    while (is_digit(peek(in))) in->next++;
}

/* Up to 18 digits and no more: most numbers. False when it is something else; nothing is read then. */
static inline bool read_small_integer(reader *in) {
    const char *at = in->next;
    bool is_negative = at < in->end && *at == '-';
    at += is_negative;
    const char *first = at, *last = in->end - at > 18 ? at + 18 : in->end;
    int64_t value = 0;
    while (at < last && is_digit(*at)) value = value * 10 + (*at++ - '0');
    if (at == first || (*first == '0' && (at != first + 1 || is_negative))) return false;
    if (at < in->end && (*at == '.' || is_digit(*at) || (*at | 32) == 'e')) return false;
    lua_pushinteger(in->L, is_negative ? -value : value);
    in->next = at;
    return true;
}

static void read_number(reader *in) {
    if (MOONBUS_LIKELY(read_small_integer(in))) return;
    const char *start = in->next;
    bool is_float = false;
    if (peek(in) == '-') in->next++;
    if (peek(in) == '0') in->next++;
    else read_digits(in);
    if (peek(in) == '.') {
        is_float = true;
        in->next++;
        read_digits(in);
    }
    if (peek(in) == 'e' || peek(in) == 'E') {
        is_float = true;
        in->next++;
        if (peek(in) == '+' || peek(in) == '-') in->next++;
        read_digits(in);
    }
    int64_t integer;
    double number;
    if (moonbus_json_number(start, (size_t)(in->next - start), is_float, &integer, &number)) lua_pushinteger(in->L, integer);
    else if (number - number != 0) fail(in, "a number that is too large");
    else lua_pushnumber(in->L, number);
}

/* ---- values -------------------------------------------------------------------------------------------------------------------- */

static void read_word(reader *in, const char *word, size_t size) {
    if ((size_t)(in->end - in->next) < size || memcmp(in->next, word, size) != 0) fail(in, "an unknown word");
    in->next += size;
}

static void enter(reader *in) {
    if (++in->depth > MOONBUS_JSON_DEPTH_MAX) fail(in, "more than 64 levels");
    /* A level needs three slots; C functions have twenty to start with, which the first levels share. */
    if (in->depth % 4 == 0) luaL_checkstack(in->L, 20, "JSON");
    in->next++;
    skip_space(in);
}

/* Tables get the size that the last one at this depth had: events of a kind look alike, and growing costs more than all
 * the rest. A wrong guess costs at most a few slots. */
enum { HINT_MAX = 64 };

static inline uint16_t hint(int count) {
    return (uint16_t)(count < HINT_MAX ? count : HINT_MAX);
}

static void read_object(reader *in) {
    lua_State *L = in->L;
    enter(in);
    uint16_t *guess = &in->context->object_hints[in->depth];
    if (peek(in) == '}') {
        lua_createtable(L, 0, 0);
    } else {
        int count = 0;
        lua_createtable(L, 0, *guess);
        for (;;) {
            if (peek(in) != '"') fail(in, "a key that is not a string");
            read_string(in, true);
            skip_space(in);
            if (peek(in) != ':') fail(in, "a missing ':'");
            in->next++;
            read_value(in);
            lua_rawset(L, -3);
            count++;
            skip_space(in);
            if (peek(in) != ',') break;
            in->next++;
            skip_space(in);
        }
        if (peek(in) != '}') fail(in, "an object without an end");
        *guess = hint(count);
    }
    in->next++;
    in->depth--;
}

static void read_array(reader *in) {
    lua_State *L = in->L;
    enter(in);
    uint16_t *guess = &in->context->array_hints[in->depth];
    if (peek(in) == ']') {
        lua_createtable(L, 0, 0);
    } else {
        int count = 0;
        lua_createtable(L, *guess, 0);
        for (;;) {
            read_value(in);
            lua_rawseti(L, -2, ++count);
            skip_space(in);
            if (peek(in) != ',') break;
            in->next++;
        }
        if (peek(in) != ']') fail(in, "an array without an end");
        *guess = hint(count);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, in->context->array_reference);
    lua_setmetatable(L, -2);
    in->next++;
    in->depth--;
}

static void read_value(reader *in) {
    skip_space(in);
    switch (peek(in)) {
    case '{': read_object(in); return;
    case '[': read_array(in); return;
    case '"': read_string(in, false); return;
    case 't':
        read_word(in, "true", 4);
        lua_pushboolean(in->L, 1);
        return;
    case 'f':
        read_word(in, "false", 5);
        lua_pushboolean(in->L, 0);
        return;
    case 'n':
        read_word(in, "null", 4);
        lua_pushlightuserdata(in->L, (void *)&moonbus_key_null);
        return;
    default: read_number(in);
    }
}

void moonbus_json_decode(lua_State *L, const char *text, size_t size) {
    reader in = {.L = L, .context = moonbus_context_of(L), .start = text, .next = text, .end = text + size};
    read_value(&in);
    skip_space(&in);
    if (in.next != in.end) fail(&in, "something behind the value");
}

const char *moonbus_json_decode_start(lua_State *L, const char *text, const char *end) {
    reader in = {.L = L, .context = moonbus_context_of(L), .start = text, .next = text, .end = end};
    read_value(&in);
    return in.next;
}

void moonbus_json_decode_member(lua_State *L, const char *text, size_t size, const char *key, size_t key_size) {
    moonbus_json_decode(L, text, size);
    lua_pushlstring(L, key, key_size);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}
