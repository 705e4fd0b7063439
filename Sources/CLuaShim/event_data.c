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
    SCANS_MAX = 2,     /* and times that it may be looked through */
    GIVEN_MAX = 64,    /* members that have a bit */
    HABIT_WEIGHT = 8,  /* tables that a habit is made of */
    HABIT_TURNS = 16,  /* of the data that is decoded at once, one in so many is not: habits change */
    /* Prices, in bytes that could have been decoded for it (measured in instructions): */
    TABLE_PRICE = 20,  /* of a late table */
    READ_PRICE = 11,   /* of a read */
    SCAN_SHARE = 4,    /* and a quarter of the bytes that it looks through */
};

static const char key_owner; /* in the table: the userdata that begins with its moonbus_event_data, an event or that of an object within */

/* Stack [-0, +0, may raise]. */
static moonbus_event_data *data_behind(lua_State *L, int table) {
    const moonbus_context *context = moonbus_context_of(L);
    if (MOONBUS_LIKELY(lua_topointer(L, table) == context->last_data_table)) return context->last_data;
    if (lua_rawgetp(L, table, &key_owner) != LUA_TUSERDATA) luaL_error(L, "event.data has lost its event"); /* nobody can reach it */
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

/* Pushes the table of an object within the one of the table at `table`. It borrows the text if it has most of what that keeps alive; else it has
 * a copy, so that who keeps a small part does not keep a large event. Either way a chain of objects keeps less than twice its text.
 * Stack [-0, +1, may raise (memory)]. */
static void push_late_within(lua_State *L, int table, const moonbus_event_data *outer, const char *text, size_t size) {
    bool is_borrowed = size >= outer->kept / 2;
    moonbus_event_data *data = lua_newuserdatauv(L, sizeof *data + (is_borrowed ? 0 : size), 1);
    *data = (moonbus_event_data){.text = text, .size = (uint32_t)size, .kept = outer->kept, .is_borrowed = is_borrowed};
    if (is_borrowed) {
        lua_rawgetp(L, table, &key_owner);
        if (outer->is_borrowed) lua_getiuservalue(L, -1, 1);
        lua_setiuservalue(L, outer->is_borrowed ? -3 : -2, 1);
        lua_settop(L, lua_gettop(L) - (outer->is_borrowed ? 1 : 0));
    } else {
        data->text = memcpy(data + 1, text, size);
        data->kept = (uint32_t)size;
    }
    push_late(L, lua_gettop(L), data);
    lua_remove(L, -2);
}

/* Pushes the value that comes next in the text of the table at `table`. Stack [-0, +1, may raise]. */
static void push_value(lua_State *L, int table, const moonbus_event_data *data, moonbus_json_walk *walk) {
    const char *start = walk->next;
    if (*start == '{' && walk->end - start > LATE_MIN) {
        moonbus_json_skip_container(walk);
        if (walk->next - start > LATE_MIN) return push_late_within(L, table, data, start, (size_t)(walk->next - start));
    }
    walk->next = moonbus_json_decode_start(L, start, walk->end);
}

/* Stack [-0, +1, may raise]. */
static void push_name(lua_State *L, const moonbus_json_name *name) {
    if (MOONBUS_LIKELY(name->is_plain)) moonbus_push_key(L, moonbus_context_of(L), name->name, name->size);
    else moonbus_json_decode(L, name->name - 1, name->size + 2);
}

/* ---- completing ------------------------------------------------------------------------------------------------------------- */

/* Stack [-0, +0, may raise]; `table` is absolute. After an error the table is as late as before, and complete up to there. */
static void complete(lua_State *L, int table, moonbus_event_data *data) {
    luaL_checkstack(L, 20, "event.data");
    moonbus_json_walk walk = moonbus_json_members(data->text, data->size);
    moonbus_json_name name;
    for (uint32_t ordinal = 0; moonbus_json_next(&walk, &name); ordinal++) {
        if (was_given(data, ordinal)) {
            moonbus_json_skip_value(&walk);
            continue;
        }
        push_name(L, &name);
        push_value(L, table, data, &walk);
        lua_rawset(L, table);
        data->complete = ordinal + 1;
    }
    lua_pushnil(L);
    lua_rawsetp(L, table, &key_owner);
    lua_pushnil(L);
    lua_setmetatable(L, table);
    moonbus_context_of(L)->data_price += data->size; /* it would have been better decoded at once */
}

void moonbus_event_data_complete(lua_State *L, int table) {
    if (lua_type(L, table) != LUA_TTABLE || !lua_getmetatable(L, table)) return;
    bool is_late = lua_topointer(L, -1) == moonbus_context_of(L)->data_metatable;
    lua_pop(L, 1);
    if (is_late) complete(L, lua_absindex(L, table), data_behind(L, table));
}

/* ---- finding a member ----------------------------------------------------------------------------------------------------------- */

typedef enum { ABSENT, FOUND, UNREADABLE } finding;

/* True when the text stands between quotes as it is: what looks like it there is it, and nothing that goes on behind a quote. */
static bool is_plain(const char *text, size_t size) {
    return memchr(text, '\\', size) == NULL && memchr(text, '"', size) == NULL;
}

/* Looks for a member from where the walk is to `end`. FOUND: the walk is at its value. UNREADABLE: a name before it has escapes. */
static inline finding find_up_to(moonbus_event_data *data, moonbus_json_walk *walk, const char *end, const char *wanted, size_t size,
                                 uint32_t *ordinal) {
    for (; walk->next < end && moonbus_json_to_name(walk); ++*ordinal) {
        const char *start = walk->next - 1;
        if (moonbus_json_is_next(walk, wanted, size) && is_plain(wanted, size)) {
            data->at = (uint32_t)(start - data->text);
            data->ordinal = *ordinal;
            walk->next += size + 1;
            return moonbus_json_to_value(walk) ? FOUND : ABSENT;
        }
        if (MOONBUS_UNLIKELY(!moonbus_json_skip_string(walk))) return UNREADABLE;
        if (!moonbus_json_to_value(walk)) return ABSENT;
        moonbus_json_skip_value(walk);
    }
    return ABSENT;
}

/* Begins at the member that was found last: most handlers read members in their order, or the same one again. */
static inline finding find(moonbus_event_data *data, moonbus_json_walk *walk, const char *wanted, size_t size, uint32_t *ordinal) {
    uint32_t from = data->at > 0 ? data->at : 1;
    *walk = (moonbus_json_walk){data->text + from, data->text + data->size};
    *ordinal = data->at > 0 ? data->ordinal : 0;
    finding found = find_up_to(data, walk, walk->end, wanted, size, ordinal);
    uint32_t scanned = (uint32_t)(walk->next - data->text) - from;
    if (found == ABSENT && from > 1) {
        walk->next = data->text + 1;
        *ordinal = 0;
        found = find_up_to(data, walk, data->text + from, wanted, size, ordinal);
        scanned += (uint32_t)(walk->next - data->text);
    }
    data->scanned += scanned;
    return found;
}

/* ---- the metatable ------------------------------------------------------------------------------------------------------------ */

/* A table within is made once and put where it belongs, so that it is the same one each time. Stack [-1, +1, may raise]. */
static int give_container(lua_State *L, moonbus_event_data *data, uint32_t ordinal, moonbus_json_walk *at) {
    push_value(L, 1, data, at);
    lua_insert(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    data->given |= (uint64_t)1 << ordinal;
    return 1;
}

/* __index(table, key) */
static int data_index(lua_State *L) {
    moonbus_event_data *data = data_behind(L, 1);
    finding found = UNREADABLE;
    moonbus_json_walk walk;
    uint32_t ordinal;
    if (data->asked < ASKED_MAX && data->scanned / SCANS_MAX < data->size) {
        data->asked++;
        if (lua_type(L, 2) != LUA_TSTRING) return 0;
        uint32_t before = data->scanned;
        size_t size;
        const char *name = lua_tolstring(L, 2, &size);
        found = find(data, &walk, name, size, &ordinal);
        moonbus_context_of(L)->data_price += READ_PRICE + (data->scanned - before) / SCAN_SHARE;
    }
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
    if (lua_isnil(L, 2)) return luaL_error(L, "table index is nil");
    if (lua_type(L, 2) == LUA_TNUMBER && lua_tonumber(L, 2) != lua_tonumber(L, 2)) return luaL_error(L, "table index is NaN");
    moonbus_event_data_complete(L, 1);
    lua_rawset(L, 1);
    return 0;
}

/* ---- whether, and opening --------------------------------------------------------------------------------------------------- */

/* Data of few bytes costs less decoded at once, and so does data that is read much. What handlers of a context do they will do again:
 * the habit is a running average of what the reads of one table cost, times HABIT_WEIGHT. */
static bool is_worth_it(moonbus_context *context, size_t size) {
    bool is_cheaper = size * HABIT_WEIGHT > TABLE_PRICE * HABIT_WEIGHT + (size_t)context->data_habit;
    if (!is_cheaper && ++context->data_turns % HABIT_TURNS != 0) return false;
    context->data_habit += context->data_price - context->data_habit / HABIT_WEIGHT;
    context->data_price = 0;
    return true;
}

bool moonbus_push_event_data_lazy(lua_State *L, int event, moonbus_event_data *data, const char *text, size_t size) {
    if (*text != '{' || !is_worth_it(moonbus_context_of(L), size)) return false;
    *data = (moonbus_event_data){.text = text, .size = (uint32_t)size, .kept = (uint32_t)size};
    push_late(L, event, data);
    return true;
}

void moonbus_open_event_data(lua_State *L) {
    static const luaL_Reg methods[] = {{"__index", data_index}, {"__newindex", data_newindex}, {NULL, NULL}};
    moonbus_context *context = moonbus_context_of(L);
    luaL_newlib(L, methods);
    context->data_metatable = lua_topointer(L, -1);
    context->data_reference = luaL_ref(L, LUA_REGISTRYINDEX);
}
