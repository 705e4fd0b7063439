/* The event that a handler gets: a userdata that holds a copy of the record and makes Lua values of what is asked for.
 *
 * Read-only, but for `event.data`: that is a plain table of the handler's own, the same each time, decoded when it is
 * touched and as far as it is (event_data.c). Field names are interned once a context; a lookup compares addresses.
 */
#include "key_cache.h"
#include "event.h"
#include "library.h"

/* docs/frames.md, "Event record": sizes of the variable fields, in their order. */
typedef struct {
    uint32_t record_size;
    uint16_t hops, type_size;
    int64_t time_us;
    uint16_t id_size, source_size, subject_size, partitionkey_size, traceparent_size, causeid_size;
    uint32_t extensions_size, data_size, zero;
    char bytes[];
} event_record;

_Static_assert(offsetof(event_record, bytes) == 40, "docs/frames.md");

typedef struct {
    moonbus_event_data data; /* first: they have one address */
    uint16_t attempt;
    bool is_decoded; /* the user value holds `data` */
    _Alignas(8) event_record record;
} event;

typedef enum { TYPE, DATA, ID, SOURCE, SUBJECT, TIME, KEY, PARTITIONKEY, TRACEPARENT, CAUSEID, HOPS, ATTEMPT } field;

static const char *const field_names[MOONBUS_EVENT_FIELDS] = {
    "type", "data", "id", "source", "subject", "time", "key", "partitionkey", "traceparent", "causeid", "hops", "attempt",
};

/* ---- the record ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *bytes;
    size_t size;
} slice;

/* One of the record's variable fields; size 0: absent. */
static slice slice_of(const event_record *record, field which) {
    const char *at = record->bytes;
    if (which == TYPE) return (slice){at, record->type_size};
    at += record->type_size;
    if (which == ID) return (slice){at, record->id_size};
    at += record->id_size;
    if (which == SOURCE) return (slice){at, record->source_size};
    at += record->source_size;
    if (which == SUBJECT) return (slice){at, record->subject_size};
    at += record->subject_size;
    if (which == KEY || which == PARTITIONKEY) return (slice){at, record->partitionkey_size};
    at += record->partitionkey_size;
    if (which == TRACEPARENT) return (slice){at, record->traceparent_size};
    at += record->traceparent_size;
    return (slice){at, record->causeid_size};
}

static slice extensions_of(const event_record *record) {
    slice last = slice_of(record, CAUSEID);
    return (slice){last.bytes + last.size, record->extensions_size};
}

static slice data_of(const event_record *record) {
    slice last = extensions_of(record);
    return (slice){last.bytes + last.size, record->data_size};
}

const char *moonbus_event_id(const uint8_t *record, size_t *size) {
    slice id = slice_of((const event_record *)record, ID);
    *size = id.size;
    return id.bytes;
}

const char *moonbus_event_source(const uint8_t *record, size_t *size) {
    slice source = slice_of((const event_record *)record, SOURCE);
    *size = source.size;
    return source.bytes;
}

/* ---- pushing ------------------------------------------------------------------------------------------------------------------ */

void moonbus_push_event(lua_State *L, const uint8_t *bytes, uint16_t attempt) {
    const event_record *record = (const event_record *)bytes;
    event *made = lua_newuserdatauv(L, offsetof(event, record) + record->record_size, 1);
    made->data = (moonbus_event_data){0};
    made->attempt = attempt;
    made->is_decoded = false;
    memcpy(&made->record, record, record->record_size);
    lua_rawgeti(L, LUA_REGISTRYINDEX, moonbus_context_of(L)->event_reference);
    lua_setmetatable(L, -2);
}

static void push_data(lua_State *L, const event_record *record) {
    slice data = data_of(record);
    if (data.size == 0) {
        lua_pushnil(L);
        return;
    }
    moonbus_json_decode(L, data.bytes, data.size);
    if (*data.bytes == '{' || *data.bytes == '[' || lua_type(L, -1) != LUA_TLIGHTUSERDATA) return;
    lua_pop(L, 1); /* null alone is no data: `if event.data` and a poller's first cursor read naturally */
    lua_pushnil(L);
}

void moonbus_push_event_data(lua_State *L, const uint8_t *bytes) {
    push_data(L, (const event_record *)bytes);
}

/* Stack [-0, +1, may raise]; the event is at index 1. */
static void push_cached_data(lua_State *L, event *self) {
    if (self->is_decoded) {
        lua_getiuservalue(L, 1, 1);
        return;
    }
    slice data = data_of(&self->record);
    if (data.size == 0 || !moonbus_push_event_data_lazy(L, 1, &self->data, data.bytes, data.size)) push_data(L, &self->record);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, 1);
    self->is_decoded = true;
}

static void push_slice(lua_State *L, slice text) {
    if (text.size == 0) lua_pushnil(L);
    else lua_pushlstring(L, text.bytes, text.size);
}

static void push_field(lua_State *L, event *self, field which) {
    char text[40];
    switch (which) {
    case TYPE: moonbus_push_key(L, moonbus_context_of(L), self->record.bytes, self->record.type_size); break;
    case DATA: push_cached_data(L, self); break;
    case TIME: lua_pushlstring(L, text, moonbus_format_rfc3339(text, self->record.time_us)); break;
    case HOPS: lua_pushinteger(L, self->record.hops); break;
    case ATTEMPT: lua_pushinteger(L, self->attempt); break;
    default: push_slice(L, slice_of(&self->record, which));
    }
}

/* ---- what scripts call -------------------------------------------------------------------------------------------------------- */

static int event_index(lua_State *L) {
    event *self = lua_touserdata(L, 1);
    size_t size;
    const char *name = lua_tolstring(L, 2, &size); /* a number becomes a text that no field has */
    if (name == NULL) return 0;
    const char *const *known = moonbus_context_of(L)->event_fields;
    for (int which = 0; which < MOONBUS_EVENT_FIELDS; which++) {
        if (known[which] != name) continue;
        push_field(L, self, (field)which);
        return 1;
    }
    slice extensions = extensions_of(&self->record);
    if (extensions.size == 0) return 0;
    moonbus_json_decode_member(L, extensions.bytes, extensions.size, name, size);
    return 1;
}

static int event_newindex(lua_State *L) {
    return luaL_error(L, "event is read-only (its data is yours: change event.data)");
}

static int event_pairs(lua_State *L) {
    event *self = lua_touserdata(L, 1);
    lua_pushcfunction(L, moonbus_next);
    slice extensions = extensions_of(&self->record);
    if (extensions.size > 0) moonbus_json_decode(L, extensions.bytes, extensions.size);
    else lua_createtable(L, 0, MOONBUS_EVENT_FIELDS);
    for (int which = 0; which < MOONBUS_EVENT_FIELDS; which++) {
        push_field(L, self, (field)which);
        lua_setfield(L, -2, field_names[which]);
    }
    lua_pushnil(L);
    return 3;
}

static int event_tostring(lua_State *L) {
    event *self = lua_touserdata(L, 1);
    slice type = slice_of(&self->record, TYPE);
    lua_pushliteral(L, "event ");
    lua_pushlstring(L, type.bytes, type.size);
    lua_concat(L, 2);
    return 1;
}

/* ---- encoding ----------------------------------------------------------------------------------------------------------------- */

static void put(lua_State *L, moonbus_json_writer *out, const char *text, size_t size) {
    if (!moonbus_json_raw(out, text, size)) luaL_error(L, "too_large: %s", out->subject);
}

static void put_member(lua_State *L, moonbus_json_writer *out, const char *name, slice text) {
    if (text.size == 0) return;
    put(L, out, ",\"", 2);
    put(L, out, name, strlen(name));
    put(L, out, "\":", 2);
    if (!moonbus_json_quote(out, text.bytes, text.size)) luaL_error(L, "too_large: %s", out->subject);
}

/* The members of an object's text, without its braces. */
static slice inside(slice object) {
    while (object.size > 0 && object.bytes[object.size - 1] != '}') object.size--;
    while (object.size > 0 && *object.bytes != '{') object = (slice){object.bytes + 1, object.size - 1};
    return object.size < 2 ? (slice){object.bytes, 0} : (slice){object.bytes + 1, object.size - 2};
}

/* As a CloudEvent in JSON. The data is the event's own, whatever the handler did to its copy: an event is a fact. */
void moonbus_event_encode(lua_State *L, int index, moonbus_json_writer *out) {
    event *self = lua_touserdata(L, index);
    const event_record *record = &self->record;
    char text[40];
    put(L, out, "{\"specversion\":\"1.0\"", 20);
    put_member(L, out, "id", slice_of(record, ID));
    put_member(L, out, "source", slice_of(record, SOURCE));
    put_member(L, out, "type", slice_of(record, TYPE));
    put_member(L, out, "subject", slice_of(record, SUBJECT));
    put_member(L, out, "time", (slice){text, moonbus_format_rfc3339(text, record->time_us)});
    put_member(L, out, "partitionkey", slice_of(record, PARTITIONKEY));
    put_member(L, out, "traceparent", slice_of(record, TRACEPARENT));
    put_member(L, out, "causeid", slice_of(record, CAUSEID));
    if (record->hops > 0) {
        lua_pushfstring(L, ",\"hops\":%d", (int)record->hops);
        put(L, out, lua_tostring(L, -1), lua_rawlen(L, -1));
        lua_pop(L, 1);
    }
    slice members = inside(extensions_of(record)), data = data_of(record);
    if (members.size > 0) put(L, out, ",", 1);
    put(L, out, members.bytes, members.size);
    if (data.size > 0) put(L, out, ",\"data\":", 8);
    put(L, out, data.bytes, data.size);
    put(L, out, "}", 1);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------ */

void moonbus_open_event(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"__index", event_index}, {"__newindex", event_newindex}, {"__pairs", event_pairs}, {"__tostring", event_tostring}, {NULL, NULL},
    };
    moonbus_context *context = moonbus_context_of(L);
    moonbus_open_event_data(L);
    luaL_newlib(L, methods);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    context->event_metatable = lua_topointer(L, -1);
    context->event_reference = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_createtable(L, MOONBUS_EVENT_FIELDS, 0); /* keeps the names alive, and with them their addresses */
    for (int which = 0; which < MOONBUS_EVENT_FIELDS; which++) {
        context->event_fields[which] = lua_pushstring(L, field_names[which]);
        lua_rawseti(L, -2, which + 1);
    }
    luaL_ref(L, LUA_REGISTRYINDEX);
}
