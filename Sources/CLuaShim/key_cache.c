/* Strings that come again: the keys of JSON objects, event types. Pushing one through here costs a third of interning
 * it anew, which is where decoding an event spends most of its time.
 *
 * A direct-mapped cache of Lua strings in the registry. A text of up to 32 bytes is identified by its size and four
 * words that cover it (they overlap when it is shorter), so that a hit compares no bytes and calls nothing but rawgeti.
 *
 * The table is a userdata of the context's own: a plugin that gets no events has none, and one with few keys a small one.
 */
#include "key_cache.h"

enum { FIRST_SIZE = 16, FULL_SIZE = 1 << MOONBUS_KEY_CACHE_BITS, MISSES_MAX = 48 /* before the small table is given up */ };

static moonbus_cached_key nothing; /* the table of a context that has none: its one place stays empty */

void moonbus_key_cache_open(moonbus_context *context) {
    context->keys = &nothing;
    context->key_mask = 0;
}

/* Stack [-0, +0, may raise (memory)]. */
static void replace_table(lua_State *L, moonbus_context *context, size_t size) {
    moonbus_cached_key *fresh = lua_newuserdatauv(L, size * sizeof *fresh, 0);
    memset(fresh, 0, size * sizeof *fresh);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &nothing);
    moonbus_cached_key *old = context->keys;
    size_t old_size = context->key_mask + 1;
    context->keys = fresh;
    context->key_mask = size - 1;
    for (size_t index = 0; old != &nothing && index < old_size; index++) {
        if (old[index].reference == 0) continue;
        moonbus_cached_key *place = &fresh[moonbus_key_place(context, &old[index])];
        if (place->reference == 0) *place = old[index];
        else luaL_unref(L, LUA_REGISTRYINDEX, old[index].reference);
    }
}

void moonbus_key_cache_miss(lua_State *L, moonbus_cached_key wanted, const char *text, size_t size) {
    moonbus_context *context = moonbus_context_of(L);
    if (context->keys == &nothing) replace_table(L, context, FIRST_SIZE);
    else if (context->key_mask + 1 == FIRST_SIZE && ++context->key_misses > MISSES_MAX) replace_table(L, context, FULL_SIZE);
    moonbus_cached_key *cached = &context->keys[moonbus_key_place(context, &wanted)];
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
