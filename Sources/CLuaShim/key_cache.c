/* Strings that come again: the keys of JSON objects, event types. Pushing one through here costs a third of interning
 * it anew, which is where decoding an event spends most of its time.
 *
 * A direct-mapped cache of Lua strings in the registry. A text of up to 32 bytes is identified by its size and four
 * words that cover it (they overlap when it is shorter), so that a hit compares no bytes and calls nothing but rawgeti.
 */
#include "internal.h"

typedef moonbus_cached_key key;

static inline uint64_t word(const char *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t half_word(const char *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Words that, with the size, determine the text; `size` is 1 … 32. */
static inline key identify(const char *text, size_t size) {
    key made = {.size = (uint32_t)size};
    if (size > 16) {
        made.words[2] = word(text + 8);
        made.words[3] = word(text + size - 16);
    }
    if (size >= 8) {
        made.words[0] = word(text);
        made.words[1] = word(text + size - 8);
    } else if (size >= 4) {
        made.words[0] = half_word(text);
        made.words[1] = half_word(text + size - 4);
    } else {
        made.words[0] = (uint8_t)text[0];
        made.words[1] = (uint64_t)(uint8_t)text[size / 2] << 8 | (uint8_t)text[size - 1];
    }
    return made;
}

static inline size_t place(const key *of) {
    uint64_t mixed = (of->words[0] ^ of->words[1] * 31 ^ of->words[2] * 7 ^ of->words[3] ^ of->size) * 0x9e3779b97f4a7c15;
    return mixed >> (64 - MOONBUS_KEY_CACHE_BITS);
}

static inline bool is_same(const key *a, const key *b) {
    uint64_t difference = (a->words[0] ^ b->words[0]) | (a->words[1] ^ b->words[1]) | (a->words[2] ^ b->words[2]) | (a->words[3] ^ b->words[3]);
    return (difference | (a->size ^ b->size)) == 0;
}

void moonbus_push_key(lua_State *L, moonbus_context *context, const char *text, size_t size) {
    if (size == 0 || size > 32) {
        lua_pushlstring(L, text, size);
        return;
    }
    key wanted = identify(text, size), *cached = &context->keys[place(&wanted)];
    if (MOONBUS_LIKELY(is_same(&wanted, cached))) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, cached->reference);
        return;
    }
    lua_pushlstring(L, text, size);
    lua_pushvalue(L, -1);
    if (cached->reference == 0) {
        wanted.reference = luaL_ref(L, LUA_REGISTRYINDEX);
    } else {
        wanted.reference = cached->reference;
        lua_rawseti(L, LUA_REGISTRYINDEX, wanted.reference);
    }
    *cached = wanted; /* last: until here an error leaves the old entry as it was, or empty */
}
