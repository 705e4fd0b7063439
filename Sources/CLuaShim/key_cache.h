/* The hot half of key_cache.c, inline: it runs for each key of each event. */
#ifndef MOONBUS_KEY_CACHE_H
#define MOONBUS_KEY_CACHE_H
#include "internal.h"

/* Pushes the text as a new string and notes it. Stack [-0, +1, may raise (memory)]. */
void moonbus_key_cache_miss(lua_State *L, moonbus_cached_key wanted, const char *text, size_t size);
void moonbus_key_cache_open(moonbus_context *context);

static inline uint64_t moonbus_key_word(const char *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t moonbus_key_half_word(const char *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Words that, with the size, determine the text; `size` is 1 … 32. */
static inline moonbus_cached_key moonbus_key_identify(const char *text, size_t size) {
    moonbus_cached_key made = {.size = (uint32_t)size};
    if (size > 16) {
        made.words[2] = moonbus_key_word(text + 8);
        made.words[3] = moonbus_key_word(text + size - 16);
    }
    if (size >= 8) {
        made.words[0] = moonbus_key_word(text);
        made.words[1] = moonbus_key_word(text + size - 8);
    } else if (size >= 4) {
        made.words[0] = moonbus_key_half_word(text);
        made.words[1] = moonbus_key_half_word(text + size - 4);
    } else {
        made.words[0] = (uint8_t)text[0];
        made.words[1] = (uint64_t)(uint8_t)text[size / 2] << 8 | (uint8_t)text[size - 1];
    }
    return made;
}

static inline size_t moonbus_key_place(const moonbus_context *context, const moonbus_cached_key *of) {
    uint64_t mixed = (of->words[0] ^ of->words[1] * 31 ^ of->words[2] * 7 ^ of->words[3] ^ of->size) * 0x9e3779b97f4a7c15;
    return (mixed >> (64 - MOONBUS_KEY_CACHE_BITS)) & context->key_mask;
}

static inline bool moonbus_key_is_same(const moonbus_cached_key *a, const moonbus_cached_key *b) {
    uint64_t difference = (a->words[0] ^ b->words[0]) | (a->words[1] ^ b->words[1]) | (a->words[2] ^ b->words[2]) | (a->words[3] ^ b->words[3]);
    return (difference | (a->size ^ b->size)) == 0;
}

/* Pushes a string that is likely to have been pushed before. Stack [-0, +1, may raise (memory)]. */
static inline void moonbus_push_key(lua_State *L, moonbus_context *context, const char *text, size_t size) {
    if (MOONBUS_UNLIKELY(size == 0 || size > 32)) {
        lua_pushlstring(L, text, size);
        return;
    }
    moonbus_cached_key wanted = moonbus_key_identify(text, size), *cached = &context->keys[moonbus_key_place(context, &wanted)];
    if (MOONBUS_LIKELY(moonbus_key_is_same(&wanted, cached))) lua_rawgeti(L, LUA_REGISTRYINDEX, cached->reference);
    else moonbus_key_cache_miss(L, wanted, text, size);
}

#endif
