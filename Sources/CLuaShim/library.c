/* Libraries that are made when a script asks for them.
 *
 * Lua's own way of opening a library interns every name and fills a table, in each context, for functions that most
 * scripts never call: two thirds of a small context's memory, and half of the time that it takes to make one. Here the
 * functions are gathered once a process (library_parts.c), and a context begins with empty tables. Their metatable makes a member when it
 * is asked for the first time, and puts it where it belongs: from then on the table has it like any other.
 *
 * Always true: `made` has a bit for each member that a table was given or that a script assigned, so that what a script
 * removed stays removed. A script never sees the metatable: whatever would show a difference (pairs, next, rawget, rawset,
 * getmetatable, setmetatable, json.encode) first completes the table, which takes the metatable away.
 *
 * All of it runs script-side, in the kill zone: members come from what was gathered, memory from the arena.
 */
#include "event.h"
#include "library_parts.h"

/* ---- host functions: members behind the library's own ---------------------------------------------------------------------- */

/* "kv" of "kv.get"; size 0: a global. */
static size_t table_size(const moonbus_host_entry *entry) {
    const char *dot = strchr(entry->name, '.');
    return dot != NULL ? (size_t)(dot - entry->name) : 0;
}

static const char *field_name(const moonbus_host_entry *entry) {
    size_t size = table_size(entry);
    return size > 0 ? entry->name + size + 1 : entry->name;
}

static bool is_table(const moonbus_host_entry *entry, const char *name, size_t size) {
    return table_size(entry) == size && memcmp(entry->name, name, size) == 0;
}

/* The library that has the name; MOONBUS_LIBRARY_GLOBALS: none has. */
static int library_named(const moonbus_host_entry *entries, const char *name, size_t size) {
    for (int index = MOONBUS_LIBRARY_STRING; index < MOONBUS_LIBRARIES_OWN; index++)
        if (strlen(moonbus_libraries[index].name) == size && memcmp(moonbus_libraries[index].name, name, size) == 0) return index;
    for (; entries != NULL; entries = entries->next)
        if (size > 0 && is_table(entries, name, size)) return entries->library;
    return MOONBUS_LIBRARY_GLOBALS;
}

bool moonbus_library_place(moonbus_host_entry *entry, const moonbus_host_entry *others) {
    size_t size = table_size(entry);
    int index = size > 0 ? library_named(others, entry->name, size) : MOONBUS_LIBRARY_GLOBALS;
    int last = MOONBUS_LIBRARIES_OWN - 1;
    int ordinal = index < MOONBUS_LIBRARIES_OWN ? moonbus_libraries[index].count : 0;
    for (const moonbus_host_entry *other = others; other != NULL; other = other->next) {
        if (other->library > last) last = other->library;
        if (size > 0 && index == MOONBUS_LIBRARY_GLOBALS) continue; /* a table of its own */
        if (other->library == index && other->ordinal >= ordinal) ordinal = other->ordinal + 1;
    }
    if (size > 0 && index == MOONBUS_LIBRARY_GLOBALS) {
        index = last + 1;
        ordinal = 0;
    }
    if (index >= MOONBUS_LIBRARIES_MAX || ordinal >= MOONBUS_MEMBERS_MAX) return false;
    entry->library = (uint8_t)index;
    entry->ordinal = (uint8_t)ordinal;
    return true;
}

/* ---- making a member --------------------------------------------------------------------------------------------------------- */

/* Pushes a table whose members are made when they are asked for. Stack [-0, +1, may raise]. */
static void push_lazy_table(lua_State *L, moonbus_context *context, int index) {
    lua_newtable(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, context->lazy_reference);
    lua_setmetatable(L, -2);
    const void *table = lua_topointer(L, -1);
    for (int other = 0; other < MOONBUS_LIBRARIES_MAX; other++) /* one that a script dropped may have been at this address */
        if (context->libraries[other].table == table) context->libraries[other].table = NULL;
    context->libraries[index].table = table;
}

/* Names library functions in errors of functions that were called without a name. Stack: the table on top [-0, +0, may raise]. */
static void note_loaded(lua_State *L, const char *name) {
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* Pushes the library's table as the globals have it. Stack [-0, +1, may raise]. */
static void push_library(lua_State *L, moonbus_context *context, int index) {
    push_lazy_table(L, context, index);
    if (index < MOONBUS_LIBRARY_JSON) note_loaded(L, moonbus_libraries[index].name);
    else if (context->sealed) moonbus_push_sealed(L);
}

static void push_value(lua_State *L, const moonbus_member *from) {
    if (from->function != NULL) lua_pushcfunction(L, from->function);
    else if (from->push != NULL) from->push(L);
    else if (from->type == LUA_TSTRING) lua_pushlstring(L, from->text, from->text_size);
    else if (from->is_integer) lua_pushinteger(L, from->integer);
    else lua_pushnumber(L, from->number);
}

static void push_host_function(lua_State *L, const moonbus_host_entry *entry) {
    lua_pushlightuserdata(L, (void *)entry);
    lua_pushcclosure(L, moonbus_host_call_function, 1);
}

static const moonbus_member *find_member(const moonbus_library *in, const char *name, int *ordinal) {
    for (*ordinal = 0; *ordinal < in->count; (*ordinal)++)
        if (strcmp(in->members[*ordinal].name, name) == 0) return &in->members[*ordinal];
    return NULL;
}

/* What a name means in a library: where its bit is, and how it is pushed. */
typedef struct {
    uint64_t *made;
    uint64_t bit;
    const moonbus_member *own;
    const moonbus_host_entry *host;
    int library; /* a library, as a member of the globals; MOONBUS_LIBRARY_GLOBALS: none */
} meaning;

/* False when the name is none of the library's. */
static bool find(moonbus_context *context, int index, const char *name, meaning *found) {
    int ordinal;
    *found = (meaning){.made = &context->libraries[index].made};
    if (index < MOONBUS_LIBRARIES_OWN && (found->own = find_member(&moonbus_libraries[index], name, &ordinal)) != NULL) {
        found->bit = (uint64_t)1 << ordinal;
        return true;
    }
    for (const moonbus_host_entry *entry = context->host_entries; entry != NULL; entry = entry->next) {
        if (entry->library != index || strcmp(field_name(entry), name) != 0) continue;
        found->host = entry;
        found->bit = (uint64_t)1 << entry->ordinal;
        return true;
    }
    if (index != MOONBUS_LIBRARY_GLOBALS) return false;
    found->library = library_named(context->host_entries, name, strlen(name));
    found->made = &context->libraries_made;
    found->bit = (uint64_t)1 << found->library;
    return found->library != MOONBUS_LIBRARY_GLOBALS;
}

/* Stack [-0, +1, may raise]. */
static void push_meaning(lua_State *L, moonbus_context *context, const meaning *what) {
    if (what->own != NULL) push_value(L, what->own);
    else if (what->host != NULL) push_host_function(L, what->host);
    else push_library(L, context, what->library);
}

static int library_of(const moonbus_context *context, const void *table) {
    for (int index = 0; index < MOONBUS_LIBRARIES_MAX; index++)
        if (context->libraries[index].table == table) return index;
    return -1;
}

/* ---- the metatable ------------------------------------------------------------------------------------------------------------ */

/* __index(table, key): makes the member, once. */
static int make_member(lua_State *L) {
    moonbus_context *context = moonbus_context_of(L);
    int index = library_of(context, lua_topointer(L, 1));
    meaning found;
    if (index < 0 || lua_type(L, 2) != LUA_TSTRING || !find(context, index, lua_tostring(L, 2), &found)) return 0;
    if (*found.made & found.bit) return 0; /* removed */
    push_meaning(L, context, &found);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    *found.made |= found.bit;
    return 1;
}

/* __newindex(table, key, value): what a script assigns is not made any more. */
static int assign_member(lua_State *L) {
    moonbus_context *context = moonbus_context_of(L);
    int index = library_of(context, lua_topointer(L, 1));
    meaning found;
    lua_settop(L, 3);
    bool is_ours = index >= 0 && lua_type(L, 2) == LUA_TSTRING && find(context, index, lua_tostring(L, 2), &found);
    lua_rawset(L, 1);
    if (is_ours) *found.made |= found.bit;
    return 0;
}

/* Asks for a member, as a script would. */
static void touch(lua_State *L, int table, const char *name) {
    lua_getfield(L, table, name);
    lua_pop(L, 1);
}

static void touch_all(lua_State *L, const moonbus_context *context, int index, int table) {
    if (index < MOONBUS_LIBRARIES_OWN)
        for (int ordinal = 0; ordinal < moonbus_libraries[index].count; ordinal++) touch(L, table, moonbus_libraries[index].members[ordinal].name);
    for (const moonbus_host_entry *entry = context->host_entries; entry != NULL; entry = entry->next) {
        if (entry->library == index) touch(L, table, field_name(entry));
        if (index != MOONBUS_LIBRARY_GLOBALS || entry->library < MOONBUS_LIBRARIES_OWN) continue;
        lua_pushlstring(L, entry->name, table_size(entry));
        lua_gettable(L, table);
        lua_pop(L, 1);
    }
    if (index != MOONBUS_LIBRARY_GLOBALS) return;
    for (int other = MOONBUS_LIBRARY_STRING; other < MOONBUS_LIBRARIES_OWN; other++) touch(L, table, moonbus_libraries[other].name);
}

void moonbus_library_complete(lua_State *L, int table) {
    moonbus_context *context = moonbus_context_of(L);
    if (lua_type(L, table) != LUA_TTABLE || !lua_getmetatable(L, table)) return;
    const void *metatable = lua_topointer(L, -1);
    lua_pop(L, 1);
    if (metatable == context->data_metatable) moonbus_event_data_complete(L, table);
    if (metatable != context->lazy_metatable) return;
    table = lua_absindex(L, table);
    luaL_checkstack(L, 12, "library");
    touch_all(L, context, library_of(context, lua_topointer(L, table)), table);
    lua_pushnil(L);
    lua_setmetatable(L, table);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------ */

/* Strings have methods from the start, and arithmetic on their numbers. */
static void open_strings(lua_State *L) {
    lua_pushliteral(L, "");
    lua_createtable(L, 0, moonbus_string_metamethods.count + 2);
    for (int ordinal = 0; ordinal < moonbus_string_metamethods.count; ordinal++) {
        lua_pushcfunction(L, moonbus_string_metamethods.members[ordinal].function);
        lua_setfield(L, -2, moonbus_string_metamethods.members[ordinal].name);
    }
    lua_getglobal(L, "string");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable"); /* getmetatable("") is false */
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

void moonbus_open_library(lua_State *L) {
    moonbus_context *context = moonbus_context_of(L);
    static const luaL_Reg metamethods[] = {
        {"__index", make_member}, {"__newindex", assign_member}, {NULL, NULL},
    };
    lua_createtable(L, 0, 2);
    luaL_setfuncs(L, metamethods, 0);
    context->lazy_metatable = lua_topointer(L, -1);
    lua_pushvalue(L, -1);
    context->lazy_reference = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushglobaltable(L);
    context->libraries[MOONBUS_LIBRARY_GLOBALS].table = lua_topointer(L, -1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "_G");
    lua_pop(L, 1);
    lua_pushvalue(L, -2);
    lua_setmetatable(L, -2);
    lua_pop(L, 2);
    open_strings(L);
}

/* Libraries that were asked for before the context was sealed: its host's doing, no script's. */
void moonbus_library_seal(lua_State *L) {
    moonbus_context *context = moonbus_context_of(L);
    lua_pushglobaltable(L);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        if (lua_istable(L, -1) && library_of(context, lua_topointer(L, -1)) >= MOONBUS_LIBRARY_JSON) {
            moonbus_push_sealed(L);
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, -4); /* a field that is there: the traversal goes on */
        } else {
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}
