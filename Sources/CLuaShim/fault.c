/* What went wrong, as bounded and printable text: message, place, traceback.
 *
 * Places are noted while the stack still stands: by the message handler, or by the interrupt. All of it is C code over
 * fixed buffers; only a script's own __tostring runs script code, protected and under the limit of the run.
 */
#include "internal.h"
#include "json.h"
#include "library.h"

#include <stdio.h>

enum { LEVELS_FIRST = 12, LEVELS_LAST = 6 }; /* levels that a traceback shows */

void moonbus_fault_reset(moonbus_fault *fault) {
    fault->kind = "error";
    fault->message_size = fault->traceback_size = fault->file_size = 0;
    fault->line = 0;
    fault->is_located = false;
}

/* ---- printable text --------------------------------------------------------------------------------------------------- */

/* Longest output of one input character: \xNN four times over, for an invalid sequence it is one byte at a time. */
static size_t printable(char *out, const unsigned char *text, size_t size, size_t *consumed) {
    static const char digits[] = "0123456789abcdef";
    *consumed = 1;
    unsigned char byte = *text;
    if (byte >= 0x20 && byte < 0x7f) {
        *out = (char)byte;
        return 1;
    }
    if (byte == '\n' || byte == '\t') {
        out[0] = '\\';
        out[1] = byte == '\n' ? 'n' : 't';
        return 2;
    }
    size_t sequence = byte >= 0x80 ? moonbus_utf8_sequence(text, size) : 0;
    bool is_control = sequence == 2 && byte == 0xc2 && text[1] < 0xa0; /* C1 */
    if (sequence > 0 && !is_control) {
        memcpy(out, text, sequence);
        *consumed = sequence;
        return sequence;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[byte >> 4];
    out[3] = digits[byte & 15];
    return 4;
}

size_t moonbus_text_copy(char *out, size_t capacity, const char *text, size_t size) {
    static const char ellipsis[] = "…";
    size_t room = capacity - (sizeof ellipsis - 1), written = 0;
    for (size_t index = 0, consumed; index < size; index += consumed) {
        char piece[4];
        size_t count = printable(piece, (const unsigned char *)text + index, size - index, &consumed);
        if (written + count > room) {
            memcpy(out + written, ellipsis, sizeof ellipsis - 1);
            return written + sizeof ellipsis - 1;
        }
        memcpy(out + written, piece, count);
        written += count;
    }
    return written;
}

/* ---- place and traceback ------------------------------------------------------------------------------------------------ */

static size_t describe_level(char *out, size_t capacity, const lua_Debug *level) {
    char name[128];
    size_t name_size = level->name != NULL ? moonbus_text_copy(name, sizeof name, level->name, strlen(level->name)) : 0;
    int size;
    if (*level->what == 'C') {
        if (name_size == 0) return 0; /* ours: the function that runs the handler */
        size = snprintf(out, capacity, "in function '%.*s'\n", (int)name_size, name);
    } else {
        char file[LUA_IDSIZE + 4];
        size_t file_size = moonbus_text_copy(file, sizeof file, level->short_src, strlen(level->short_src));
        if (*level->what == 'm') size = snprintf(out, capacity, "%.*s:%d: in main chunk\n", (int)file_size, file, level->currentline);
        else if (name_size > 0)
            size = snprintf(out, capacity, "%.*s:%d: in function '%.*s'\n", (int)file_size, file, level->currentline, (int)name_size, name);
        else
            size = snprintf(out, capacity, "%.*s:%d: in function <line %d>\n", (int)file_size, file, level->currentline, level->linedefined);
    }
    return size < 0 || (size_t)size >= capacity ? 0 : (size_t)size;
}

static int count_levels(lua_State *L) {
    lua_Debug level;
    int low = 0, high = 1;
    while (lua_getstack(L, high, &level)) {
        low = high;
        high *= 2;
    }
    while (low < high) {
        int middle = (low + high) / 2;
        if (lua_getstack(L, middle, &level)) low = middle + 1;
        else high = middle;
    }
    return high;
}

void moonbus_fault_locate(lua_State *L, moonbus_fault *fault) {
    int levels = count_levels(L);
    fault->is_located = true;
    fault->traceback_size = 0;
    for (int index = 0; index < levels; index++) {
        if (index == LEVELS_FIRST && levels > LEVELS_FIRST + LEVELS_LAST) {
            index = levels - LEVELS_LAST;
            int size = snprintf(fault->traceback + fault->traceback_size, sizeof fault->traceback - fault->traceback_size,
                                "... (%d levels)\n", index - LEVELS_FIRST);
            if (size > 0) fault->traceback_size += (size_t)size;
        }
        lua_Debug level;
        if (!lua_getstack(L, index, &level) || !lua_getinfo(L, "Sln", &level)) break;
        if (fault->line == 0 && level.currentline > 0) {
            fault->line = level.currentline;
            fault->file_size = moonbus_text_copy(fault->file, sizeof fault->file, level.short_src, strlen(level.short_src));
        }
        fault->traceback_size += describe_level(fault->traceback + fault->traceback_size, sizeof fault->traceback - fault->traceback_size, &level);
    }
    if (fault->traceback_size > 0) fault->traceback_size--; /* the last newline */
}

int moonbus_fault_handler(lua_State *L) {
    moonbus_fault *fault = &moonbus_context_of(L)->lane->fault;
    if (!fault->is_located) moonbus_fault_locate(L, fault);
    return 1;
}

/* ---- message ---------------------------------------------------------------------------------------------------------- */

/* "main.lua:41: text": the place goes to file and line, which it overrules (error(…, 2) names the caller). */
static size_t take_place(moonbus_fault *fault, const char *text, size_t size) {
    size_t colon = 0;
    while (colon < size && colon < LUA_IDSIZE && text[colon] != ':') colon++;
    size_t index = colon + 1;
    int line = 0;
    while (index < size && index < colon + 9 && text[index] >= '0' && text[index] <= '9') line = line * 10 + (text[index++] - '0');
    bool is_place = colon > 0 && colon < size && line > 0 && index + 1 < size && text[index] == ':' && text[index + 1] == ' ';
    if (!is_place) return 0;
    fault->file_size = moonbus_text_copy(fault->file, sizeof fault->file, text, colon);
    fault->line = line;
    return index + 2;
}

void moonbus_fault_set_message(moonbus_fault *fault, const char *text, size_t size) {
    size_t place = take_place(fault, text, size);
    fault->message_size = moonbus_text_copy(fault->message, sizeof fault->message, text + place, size - place);
}

static int push_text(lua_State *L) {
    moonbus_push_text(L, 1, NULL);
    return 1;
}

void moonbus_fault_describe(lua_State *L, moonbus_fault *fault) {
    const char *text = NULL;
    size_t size = 0;
    if (lua_type(L, -1) == LUA_TSTRING) {
        text = lua_tolstring(L, -1, &size);
    } else if (lua_checkstack(L, 4) && !moonbus_run_of(L)->expired) {
        lua_pushcfunction(L, push_text);
        lua_insert(L, -2);
        if (lua_pcall(L, 1, 1, 0) == LUA_OK) text = lua_tolstring(L, -1, &size);
    }
    static const char unknown[] = "error value without a text";
    if (text == NULL) moonbus_fault_set_message(fault, unknown, sizeof unknown - 1);
    else moonbus_fault_set_message(fault, text, size);
    lua_pop(L, 1);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------- */

static void member(moonbus_json_writer *writer, const char *name, const char *text, size_t size) {
    if (size == 0) return;
    if (writer->next - writer->start > 1) moonbus_json_raw(writer, ",", 1);
    moonbus_json_quote(writer, name, strlen(name));
    moonbus_json_raw(writer, ":", 1);
    moonbus_json_quote(writer, text, size);
}

size_t moonbus_fault_encode(const moonbus_fault *fault, char *out, size_t capacity) {
    moonbus_json_writer writer = {.start = out, .next = out, .limit = out + capacity};
    moonbus_json_raw(&writer, "{", 1);
    member(&writer, "kind", fault->kind, strlen(fault->kind));
    member(&writer, "message", fault->message_size > 0 ? fault->message : "unknown error", fault->message_size > 0 ? fault->message_size : 13);
    member(&writer, "file", fault->file, fault->file_size);
    if (fault->line > 0) {
        char line[24];
        int size = snprintf(line, sizeof line, ",\"line\":%d", fault->line);
        moonbus_json_raw(&writer, line, (size_t)size);
    }
    member(&writer, "traceback", fault->traceback, fault->traceback_size);
    moonbus_json_raw(&writer, "}", 1);
    return (size_t)(writer.next - writer.start);
}
