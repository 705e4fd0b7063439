/* What the libraries of the scripts are made of: gathered once a process by library_parts.c, used by library.c. */
#ifndef MOONBUS_LIBRARY_PARTS_H
#define MOONBUS_LIBRARY_PARTS_H
#include "library.h"

enum { MOONBUS_MEMBERS_MAX = 64 };

typedef struct {
    const char *name;
    lua_CFunction function;             /* NULL: a value */
    void (*push)(lua_State *L);         /* a value that is made; NULL: the next */
    int type;                           /* LUA_TNUMBER or LUA_TSTRING */
    bool is_integer;
    lua_Integer integer;
    lua_Number number;
    const char *text;
    size_t text_size;
} moonbus_member;

typedef struct {
    const char *name;
    int count;
    moonbus_member members[MOONBUS_MEMBERS_MAX];
} moonbus_library;

/* Nothing changes in them after moonbus_library_prepare. */
extern moonbus_library moonbus_libraries[MOONBUS_LIBRARIES_OWN];
extern moonbus_library moonbus_string_metamethods; /* "10" + 1 */

#endif
