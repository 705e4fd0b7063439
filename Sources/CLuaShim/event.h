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
