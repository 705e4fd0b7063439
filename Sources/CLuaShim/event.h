/* Events and times, as scripts see them: event.c, times.c. */
#ifndef MOONBUS_EVENT_H
#define MOONBUS_EVENT_H
#include "json.h"

/* Pushes an event made of a copy of `record`. Stack [-0, +1, may raise (memory)]. */
void moonbus_push_event(lua_State *L, const uint8_t *record, uint16_t attempt);
/* Two fields of a record. */
const char *moonbus_event_id(const uint8_t *record, size_t *size);
const char *moonbus_event_source(const uint8_t *record, size_t *size);
/* Pushes the record's data, decoded; nil when there is none or it is null. Stack [-0, +1, may raise]. */
void moonbus_push_event_data(lua_State *L, const uint8_t *record);
/* What `event.data` comes from, at the start of an event userdata; of an object within, in a userdata of its own: event_data.c. */
typedef struct {
    const char *text; /* in the same userdata, or in the one that is this one's user value */
    uint32_t size;
    uint32_t kept;     /* bytes that stay alive for it */
    uint32_t at;       /* where in the text the member begins that was found last */
    uint32_t ordinal;  /* and which one it is */
    uint32_t scanned;  /* bytes that were looked through so far */
    uint16_t asked;    /* times that a member was looked for */
    bool is_borrowed;  /* the text is the user value's */
    uint32_t complete; /* so many members, from the first on, the table has or has had */
    uint64_t given;    /* and of the others those with a bit here */
} moonbus_event_data;

/* Pushes the table that decodes `text` member by member and keeps the event at index `event`. False when it should rather be decoded at
 * once: it is no object, or the context's handlers mostly want all of it. Stack [-0, +(0|1), may raise (memory)]. */
bool moonbus_push_event_data_lazy(lua_State *L, int event, moonbus_event_data *data, const char *text, size_t size);
/* If the value at `index` is such a table: gives it all members, so that it is as any other. Stack [-0, +0, may raise (memory)]. */
void moonbus_event_data_complete(lua_State *L, int index);
void moonbus_open_event_data(lua_State *L);
/* Encodes the event userdata at `index`. Stack [-0, +0, may raise]. */
void moonbus_event_encode(lua_State *L, int index, moonbus_json_writer *writer);

/* "1m30s" → microseconds. False unless 0 … 366 days. */
bool moonbus_parse_duration(const char *text, size_t size, int64_t *microseconds);
/* The value at `index` as a duration: text, or seconds as a number. Stack [-0, +0, never raises]. */
bool moonbus_to_duration(lua_State *L, int index, int64_t *microseconds);
bool moonbus_parse_rfc3339(const char *text, size_t size, int64_t *microseconds);
/* Returns the size, at most 40. UTC, fraction of 0, 3 or 6 digits. */
size_t moonbus_format_rfc3339(char *out, int64_t microseconds);

#endif
