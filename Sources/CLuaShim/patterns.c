/* Event types and patterns: dot-separated tokens; in a pattern `*` is one token and `>` at the end one or more. And sources. */
#include "internal.h"
#include "json.h"
#include "patterns.h"

enum { TYPE_SIZE_MAX = 255 };

const char *moonbus_type_problem(const char *type, size_t size) {
    if (size == 0) return "it is empty";
    if (size > TYPE_SIZE_MAX) return "it is longer than 255 bytes";
    if (!moonbus_utf8_is_valid(type, size)) return "it is not valid UTF-8";
    size_t token = 0;
    for (size_t index = 0; index <= size; index++) {
        unsigned char byte = index < size ? (unsigned char)type[index] : '.';
        if (byte <= ' ' || byte == 0x7f) return "it has a space or control character";
        if (byte != '.') continue;
        if (index == token) return "it has an empty token";
        if (index == token + 1 && (type[token] == '*' || type[token] == '>')) return "wildcards are for patterns, not for events";
        token = index + 1;
    }
    return NULL;
}

bool moonbus_type_is_reserved(const char *type, size_t size) {
    static const char own[] = "moonbus";
    size_t own_size = sizeof own - 1;
    return size >= own_size && memcmp(type, own, own_size) == 0 && (size == own_size || type[own_size] == '.');
}

bool moonbus_source_is_permitted(const char *permitted, const char *source, size_t size) {
    size_t permitted_size = strlen(permitted);
    bool is_beginning = permitted_size > 0 && permitted[permitted_size - 1] == '*';
    if (is_beginning) return size >= permitted_size - 1 && memcmp(permitted, source, permitted_size - 1) == 0;
    return size == permitted_size && memcmp(permitted, source, size) == 0;
}

bool moonbus_pattern_matches(const char *pattern, const char *type, size_t size) {
    const char *end = type + size;
    for (;;) {
        const char *pattern_end = strchrnul(pattern, '.');
        size_t pattern_size = (size_t)(pattern_end - pattern);
        if (type >= end) return false;
        if (pattern_size == 1 && *pattern == '>' && *pattern_end == 0) return true;
        const char *token_end = memchr(type, '.', (size_t)(end - type));
        if (token_end == NULL) token_end = end;
        size_t token_size = (size_t)(token_end - type);
        bool is_any = pattern_size == 1 && *pattern == '*';
        if (!is_any && (token_size != pattern_size || memcmp(pattern, type, token_size) != 0)) return false;
        bool pattern_ends = *pattern_end == 0, type_ends = token_end == end;
        if (pattern_ends || type_ends) return pattern_ends && type_ends;
        pattern = pattern_end + 1;
        type = token_end + 1;
    }
}

/* Edits (insert, delete, replace, swap of neighbours) between two short words; longer ones count as far apart. */
static size_t distance(const char *a, const char *b) {
    enum { LONGEST = 24 };
    size_t m = strlen(a), n = strlen(b), rows[3][LONGEST + 1];
    if (m > LONGEST || n > LONGEST) return LONGEST;
    size_t *before = rows[0], *last = rows[1], *next = rows[2];
    for (size_t j = 0; j <= n; j++) last[j] = j;
    for (size_t i = 1; i <= m; i++) {
        next[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (next[j - 1] + 1 < best) best = next[j - 1] + 1;
            bool is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (is_swap && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            next[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = next;
        next = spare;
    }
    return last[n];
}

const char *moonbus_did_you_mean(const char *word, const char *const *candidates) {
    const char *best = NULL;
    size_t best_distance = 3; /* two slips at most */
    for (; *candidates != NULL; candidates++) {
        size_t edits = distance(word, *candidates);
        if (edits < best_distance && edits < strlen(*candidates)) {
            best = *candidates;
            best_distance = edits;
        }
    }
    return best;
}
