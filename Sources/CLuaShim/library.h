/* What scripts find in their globals: library.c and the files whose functions it gathers. */
#ifndef MOONBUS_LIBRARY_H
#define MOONBUS_LIBRARY_H
#include "internal.h"

/* What the shim adds to, or replaces in, each library; ended by a NULL name. */
extern const luaL_Reg moonbus_base_functions[], moonbus_string_functions[], moonbus_table_functions[], moonbus_math_functions[],
    moonbus_coroutine_functions[], moonbus_json_functions[], moonbus_bus_functions[], moonbus_time_functions[];
/* Take the functions of Lua's own that the shim's call. Stack: the library on top [-0, +0, may raise]. */
void moonbus_adopt_strings(lua_State *L);
void moonbus_adopt_tables(lua_State *L);

/* ---- library.c ------------------------------------------------------------------------------------------------------ */

/* Gathers, once a process, what libraries are made of. */
void moonbus_library_prepare(void);
/* Each may raise (memory). Stack [-0, +0, may raise]. */
void moonbus_open_library(lua_State *L);
void moonbus_open_json(lua_State *L);
void moonbus_open_event(lua_State *L);
/* Makes read-only what is in the globals already. Stack [-0, +0, may raise]. */
void moonbus_library_seal(lua_State *L);
/* If the table at `index` gets its members when they are asked for (a library, an event's data): gives it all of them, so that it is as
 * any other.
 * Stack [-0, +0, may raise (memory)]. */
void moonbus_library_complete(lua_State *L, int index);
/* Which library the table belongs to, and its members' ordinal; false: too many tables or functions. */
bool moonbus_library_place(moonbus_host_entry *entry, const moonbus_host_entry *others);

/* Pushes what `tostring` gives: honours __tostring and __name, no addresses. Stack [-0, +1, may raise]. */
const char *moonbus_push_text(lua_State *L, int index, size_t *size);
/* Private values: the address is the value. */
extern const char moonbus_key_null, moonbus_key_modules, moonbus_key_wait;
/* Replaces the table on top by a read-only view of it. Stack [-1, +1, may raise]. */
void moonbus_push_sealed(lua_State *L);
/* Replaces the table on top, and all tables inside it, by read-only views. Stack [-1, +1, may raise]. */
void moonbus_push_sealed_deep(lua_State *L);
/* If the value at `index` is a read-only view, pushes the table behind it. That table, or else the one at `index`, has all
 * of its members afterwards (see moonbus_library_complete). Stack [-0, +(0|1), may raise (memory)]. */
bool moonbus_unseal(lua_State *L, int index);

/* Raises `name` unless waiting is possible, else yields to the host. Stack: see coroutines.c. */
int moonbus_wait(lua_State *L, lua_KFunction then);
int moonbus_host_call_function(lua_State *L);
int moonbus_require(lua_State *L);
/* The scripts' `next`, for whatever gives them an iterator. Never Lua's own: it would show what late tables keep under a private key. */
int moonbus_next(lua_State *L);

#endif
