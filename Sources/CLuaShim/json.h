/* JSON to Lua values and back: json.c, json_decode.c, json_encode.c, json_number.c. */
#ifndef MOONBUS_JSON_H
#define MOONBUS_JSON_H
#include "internal.h"

typedef struct {
    char *start, *next, *limit;
    bool functions;      /* functions become {"$function":N} */
    uint8_t indent;      /* spaces a level; 0: compact */
    const char *subject; /* first word of paths in errors: "data", "result", "value" */
} moonbus_json_writer;

/* Encodes the value at `index`. Raises with the path of what JSON cannot hold, or "too_large: …" past the limit.
 * Stack [-0, +0, may raise]. */
void moonbus_json_encode(lua_State *L, int index, moonbus_json_writer *writer);
/* Pushes the decoded value. Raises on anything that is not JSON. The caller sees to 12 free slots.
 * Stack [-0, +1, may raise]. */
void moonbus_json_decode(lua_State *L, const char *text, size_t size);
/* Pushes the value that `text` starts with, and returns where it ends. Stack [-0, +1, may raise]. */
const char *moonbus_json_decode_start(lua_State *L, const char *text, const char *end);
/* Pushes the member `key` of the JSON object, or nil. Stack [-0, +1, may raise]. */
void moonbus_json_decode_member(lua_State *L, const char *text, size_t size, const char *key, size_t key_size);
/* Appends text between quotes, escaped. False when it does not fit; the text must be valid UTF-8. */
bool moonbus_json_quote(moonbus_json_writer *writer, const char *text, size_t size);
bool moonbus_json_raw(moonbus_json_writer *writer, const char *text, size_t size);
/* Size of the valid UTF-8 sequence at `text`, 0 when there is none. */
size_t moonbus_utf8_sequence(const unsigned char *text, size_t size);
bool moonbus_utf8_is_valid(const char *text, size_t size);
/* Shortest text that reads back as `number`, always a float ("2.0"). Returns its size, at most 32. */
size_t moonbus_json_format_number(char *out, double number);
/* Reads the number at `text` (grammar already checked, `size` bytes). */
bool moonbus_json_number(const char *text, size_t size, bool is_float, int64_t *integer, double *number);

#endif
