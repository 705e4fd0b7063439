/* `event.data` of an event whose data is an object: a table of the handler's own that decodes a member when it is asked for.
 *
 * Making a table of all members is most of what an event costs, and most handlers look at one or two. So the table begins
 * empty, but for what it belongs to, under a key that no script can have; its metatable finds members in the event's
 * text. What is asked for more often than that pays, or as a whole, or written to, is completed: it gets all members,
 * loses the metatable, and is a table as any other. Large objects within are tables of this kind again.
 *
 * A script sees no difference: whatever would show one (pairs, next, rawget, rawset, getmetatable, setmetatable,
 * json.encode) completes the table first, see sandbox.c and moonbus_library_complete.
 *
 * Always true: of each member the table has, or has had, `event_data` says so (`complete`, `given`): what a script
 * removed stays removed.
 */
#include "key_cache.h"
#include "event.h"
#include "json_members.h"
#include "library.h"

enum {
    LATE_MIN = 128,    /* bytes from which on an object inside another is decoded late, too */
    ASKED_MAX = 8,     /* times that members are looked for in the text */
    GIVEN_MAX = 64,    /* members that have a bit */
    HABIT_WEIGHT = 8,  /* tables that a habit is made of */
    HABIT_TURNS = 16,  /* of the data that is decoded at once, one in so many is not: habits change */
    FIXED_BYTES = 20,  /* data of so many bytes is decoded at once for what the table alone costs here */
    READ_BYTES = 11,   /* and so many for what a read costs */
};

static const char key_owner; /* in the table: the userdata that begins with its moonbus_event_data, an event or that of an object within */

/* Stack [-0, +0, never raises]. */
static moonbus_event_data *data_behind(lua_State *L, int table) {
    const moonbus_context *context = moonbus_context_of(L);
    if (MOONBUS_LIKELY(lua_topointer(L, table) == context->last_data_table)) return context->last_data;
    lua_rawgetp(L, table, &key_owner);
    moonbus_event_data *data = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return data;
}

static inline bool was_given(const moonbus_event_data *data, uint32_t ordinal) {
    return ordinal < data->complete || (ordinal < GIVEN_MAX && (data->given >> ordinal & 1));
}

/* ---- making tables and values ------------------------------------------------------------------------------------------------ */

/* Pushes the table of the object that `data` tells of, which is in the userdata at `owner`. Stack [-0, +1, may raise (memory)]. */
static void push_late(lua_State *L, int owner, moonbus_event_data *data) {
    moonbus_context *context = moonbus_context_of(L);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, owner);
    lua_rawsetp(L, -2, &key_owner);
    lua_rawgeti(L, LUA_REGISTRYINDEX, context->data_reference);
    lua_setmetatable(L, -2);
    context->last_data_table = lua_topointer(L, -1);
    context->last_data = data;
}

/* Pushes the table of an object within another, with a copy of its text: who keeps a small part does not keep a large event.
 * Stack [-0, +1, may raise (memory)]. */
static void push_late_within(lua_State *L, const char *text, size_t size) {
    moonbus_event_data *data = lua_newuserdatauv(L, sizeof *data + size, 0);
    *data = (moonbus_event_data){.text = (char *)(data + 1), .size = (uint32_t)size};
    memcpy(data + 1, text, size);
    push_late(L, lua_gettop(L), data);
    lua_remove(L, -2);
}

/* Pushes the value that comes next. Stack [-0, +1, may raise]. */
static void push_value(lua_State *L, moonbus_json_walk *walk) {
    const char *start = walk->next;
    if (*start == '{' && walk->end - start > LATE_MIN) {
        moonbus_json_skip_container(walk);
        if (walk->next - start > LATE_MIN) return push_late_within(L, start, (size_t)(walk->next - start));
    }
    walk->next = moonbus_json_decode_start(L, start, walk->end);
}

/* Stack [-0, +1, may raise]. */
static void push_name(lua_State *L, const moonbus_json_name *name) {
    if (MOONBUS_LIKELY(name->is_plain)) moonbus_push_key(L, moonbus_context_of(L), name->name, name->size);
    else moonbus_json_decode(L, name->name - 1, name->size + 2);
}

/* ---- completing ------------------------------------------------------------------------------------------------------------- */

/* Stack [-0, +0, may raise]; `table` is absolute. After an error the table is as lazy as before, and complete up to there. */
static void complete(lua_State *L, int table, moonbus_event_data *data) {
    moonbus_context *context = moonbus_context_of(L);
    luaL_checkstack(L, 20, "event.data");
    moonbus_json_walk walk = moonbus_json_members(data->text, data->size);
    moonbus_json_name name;
    for (uint32_t ordinal = 0; moonbus_json_next(&walk, &name); ordinal++) {
        if (was_given(data, ordinal)) {
            moonbus_json_skip_value(&walk);
            continue;
        }
        push_name(L, &name);
        push_value(L, &walk);
        lua_rawset(L, table);
        data->complete = ordinal + 1;
    }
    lua_pushnil(L);
    lua_rawsetp(L, table, &key_owner);
    lua_pushnil(L);
    lua_setmetatable(L, table);
    context->data_reads += data->size / READ_BYTES; /* it would have been better decoded at once */
}

void moonbus_event_data_complete(lua_State *L, int table) {
    if (lua_type(L, table) != LUA_TTABLE || !lua_getmetatable(L, table)) return;
    bool is_lazy = lua_topointer(L, -1) == moonbus_context_of(L)->data_metatable;
    lua_pop(L, 1);
    if (is_lazy) complete(L, lua_absindex(L, table), data_behind(L, table));
}

/* ---- the metatable ------------------------------------------------------------------------------------------------------------ */

typedef enum { ABSENT, FOUND, UNREADABLE } finding;

/* True when the text stands between quotes as it is: what looks like it there is it, and nothing that goes on behind a quote. */
static bool is_plain(const char *text, size_t size) {
    return memchr(text, '\\', size) == NULL && memchr(text, '"', size) == NULL;
}

/* Looks for a member. FOUND: the walk is at its value. UNREADABLE: a name before it has escapes. */
static inline finding find(moonbus_json_walk *walk, const char *wanted, size_t size, uint32_t *ordinal) {
    for (*ordinal = 0; moonbus_json_to_name(walk); ++*ordinal) {
        if (moonbus_json_is_next(walk, wanted, size) && is_plain(wanted, size)) {
            walk->next += size + 1;
            return moonbus_json_to_value(walk) ? FOUND : ABSENT;
        }
        if (MOONBUS_UNLIKELY(!moonbus_json_skip_string(walk))) return UNREADABLE;
        if (!moonbus_json_to_value(walk)) return ABSENT;
        moonbus_json_skip_value(walk);
    }
    return ABSENT;
}

/* A table within is made once and put where it belongs, so that it is the same one each time. Stack [-1, +1, may raise]. */
static int give_container(lua_State *L, moonbus_event_data *data, uint32_t ordinal, moonbus_json_walk *at) {
    push_value(L, at);
    lua_insert(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    data->given |= (uint64_t)1 << ordinal;
    return 1;
}

/* __index(table, key) */
static int data_index(lua_State *L) {
    if (lua_type(L, 2) != LUA_TSTRING) return 0;
    moonbus_event_data *data = data_behind(L, 1);
    moonbus_context_of(L)->data_reads++;
    uint32_t ordinal;
    size_t size;
    const char *name = lua_tolstring(L, 2, &size);
    moonbus_json_walk walk = moonbus_json_members(data->text, data->size);
    finding found = data->asked++ < ASKED_MAX ? find(&walk, name, size, &ordinal) : UNREADABLE;
    if (found == ABSENT || (found == FOUND && was_given(data, ordinal))) return 0; /* given: a script has removed it */
    if (MOONBUS_LIKELY(found == FOUND)) {
        if (*walk.next != '{' && *walk.next != '[') {
            moonbus_json_decode_start(L, walk.next, walk.end);
            return 1;
        }
        if (ordinal < GIVEN_MAX) return give_container(L, data, ordinal, &walk);
    }
    complete(L, 1, data);
    lua_rawget(L, 1);
    return 1;
}

static int data_newindex(lua_State *L) {
    lua_settop(L, 3);
    moonbus_event_data_complete(L, 1);
    lua_rawset(L, 1);
    return 0;
}

static int next_member(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    if (lua_next(L, 1)) return 2;
    lua_pushnil(L);
    return 1;
}

static int data_pairs(lua_State *L) {
    moonbus_event_data_complete(L, 1);
    lua_pushcfunction(L, next_member);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* ---- whether, and opening ------------------------------------------------------------------------------------------------------------------ */

/* Data of few bytes costs less decoded at once, and so does data that is read much. What handlers of a context do they will do again:
 * the habit is a running average of the reads of one table, times HABIT_WEIGHT. */
static bool is_worth_it(moonbus_context *context, size_t size) {
    bool is_cheaper = size * HABIT_WEIGHT > FIXED_BYTES * HABIT_WEIGHT + READ_BYTES * (size_t)context->data_habit;
    if (!is_cheaper && ++context->data_turns % HABIT_TURNS != 0) return false;
    context->data_habit += context->data_reads - context->data_habit / HABIT_WEIGHT;
    context->data_reads = 0;
    return true;
}

bool moonbus_push_event_data_lazy(lua_State *L, int event, moonbus_event_data *data, const char *text, size_t size) {
    if (*text != '{' || !is_worth_it(moonbus_context_of(L), size)) return false;
    *data = (moonbus_event_data){.text = text, .size = (uint32_t)size};
    push_late(L, event, data);
    return true;
}

void moonbus_open_event_data(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"__index", data_index}, {"__newindex", data_newindex}, {"__pairs", data_pairs}, {NULL, NULL},
    };
    moonbus_context *context = moonbus_context_of(L);
    luaL_newlib(L, methods);
    context->data_metatable = lua_topointer(L, -1);
    context->data_reference = luaL_ref(L, LUA_REGISTRYINDEX);
}
