/* Walking over an object's text without making Lua values of it. The text is JSON that the host has checked, and an object:
 * nothing is checked again but where it ends.
 */
#ifndef MOONBUS_JSON_MEMBERS_H
#define MOONBUS_JSON_MEMBERS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *next, *end;
} moonbus_json_walk;

typedef struct {
    const char *name; /* between its quotes */
    size_t size;
    bool is_plain; /* no escapes: its bytes are the name */
} moonbus_json_name;

static inline void moonbus_json_skip_space(moonbus_json_walk *walk) {
    while (walk->next < walk->end && (unsigned char)*walk->next <= ' ') walk->next++;
}

/* Not zero if one of the eight bytes is `byte`. */
static inline uint64_t moonbus_json_holds(uint64_t word, unsigned char byte) {
    uint64_t difference = word ^ (0x0101010101010101 * byte);
    return (difference - 0x0101010101010101) & ~difference & 0x8080808080808080;
}

/* From behind an opening quote to behind the closing one. True when there was no escape. */
static inline bool moonbus_json_skip_string(moonbus_json_walk *walk) {
    bool is_plain = true;
    for (;;) {
        while (walk->end - walk->next >= 8) {
            uint64_t word;
            memcpy(&word, walk->next, sizeof word);
            if (moonbus_json_holds(word, '"') | moonbus_json_holds(word, '\\')) break;
            walk->next += 8;
        }
        while (walk->next < walk->end && *walk->next != '"' && *walk->next != '\\') walk->next++;
        if (walk->next >= walk->end || *walk->next == '"') break;
        is_plain = false;
        walk->next += 2;
    }
    walk->next = walk->next < walk->end ? walk->next + 1 : walk->end;
    return is_plain;
}

/* Skips the value that comes next. */
void moonbus_json_skip_container(moonbus_json_walk *walk);
static inline void moonbus_json_skip_value(moonbus_json_walk *walk) {
    char first = *walk->next;
    if (first == '"') {
        walk->next++;
        moonbus_json_skip_string(walk);
    } else if (first == '{' || first == '[') {
        moonbus_json_skip_container(walk);
    } else {
        while (walk->next < walk->end && *walk->next != ',' && *walk->next != '}' && (unsigned char)*walk->next > ' ') walk->next++;
    }
}

/* Begins before the first member. */
static inline moonbus_json_walk moonbus_json_members(const char *text, size_t size) {
    return (moonbus_json_walk){text + 1, text + size};
}

/* Goes on to behind the quote that the next name begins with. False when there is none. */
static inline bool moonbus_json_to_name(moonbus_json_walk *walk) {
    while (walk->next < walk->end && ((unsigned char)*walk->next <= ' ' || *walk->next == ',')) walk->next++;
    return walk->next < walk->end && *walk->next++ == '"';
}

/* From behind a name to its value, which is then decoded or skipped. False when there is none. */
static inline bool moonbus_json_to_value(moonbus_json_walk *walk) {
    while (walk->next < walk->end && ((unsigned char)*walk->next <= ' ' || *walk->next == ':')) walk->next++;
    return walk->next < walk->end;
}

/* Goes on to the next member's value. False when there is none. */
static inline bool moonbus_json_next(moonbus_json_walk *walk, moonbus_json_name *name) {
    if (!moonbus_json_to_name(walk)) return false;
    name->name = walk->next;
    name->is_plain = moonbus_json_skip_string(walk);
    name->size = (size_t)(walk->next - 1 - name->name);
    return moonbus_json_to_value(walk);
}

/* Whether the name that comes next is this one, which has no backslash and does not look as if it had. */
static inline bool moonbus_json_is_next(const moonbus_json_walk *walk, const char *name, size_t size) {
    return (size_t)(walk->end - walk->next) > size && walk->next[size] == '"' && memcmp(walk->next, name, size) == 0;
}

#endif
