/* Strings that come again: the keys of JSON objects, event types. Pushing one through here costs a third of interning
 * it anew, which is where decoding an event spends most of its time.
 *
 * A direct-mapped cache of Lua strings in the registry. A text of up to 32 bytes is identified by its size and four
 * words that cover it (they overlap when it is shorter), so that a hit compares no bytes and calls nothing but rawgeti.
 */
#include "key_cache.h"

void moonbus_key_cache_miss(lua_State *L, moonbus_cached_key *cached, moonbus_cached_key wanted, const char *text, size_t size) {
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
