/* Lua 5.4 as Debian ships it (liblua5.4-dev, found through pkg-config). Only CLuaShim includes this. */
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
