/* require: modules come from the plugin's own folder, handed over by the host; nothing is read here. */
#include "internal.h"
#include "library.h"

static const moonbus_module *find(const moonbus_context *context, const char *name) {
    for (const moonbus_module *module = context->modules; module != NULL; module = module->next)
        if (strcmp(module->name, name) == 0) return module;
    return NULL;
}

static int fail_unknown(lua_State *L, const char *name) {
    const moonbus_context *context = moonbus_context_of(L);
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (const moonbus_module *module = context->modules; module != NULL; module = module->next) {
        luaL_addstring(&buffer, module == context->modules ? "" : ", ");
        luaL_addstring(&buffer, module->name);
    }
    luaL_pushresult(&buffer);
    return luaL_error(L, "module '%s' not found; this plugin has: %s", name, lua_tostring(L, -1));
}

/* Stack of require: [name, modules, …]. Marks the module as under way, or as not loaded. Stack [-0, +0, may raise]. */
static void set_module(lua_State *L, int state) {
    lua_pushvalue(L, 1);
    if (state == LUA_TNIL) lua_pushnil(L);
    else lua_pushlightuserdata(L, (void *)&moonbus_key_modules);
    lua_rawset(L, 2);
}

/* require(name): the module's value; compiled and run on first use, once. A module that returns nothing is `true`.
 * Stack [-1, +1, may raise]. */
int moonbus_require(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "moonbus.modules");
    lua_pushvalue(L, 1);
    lua_rawget(L, 2);
    if (lua_touserdata(L, 3) == (void *)&moonbus_key_modules) return luaL_error(L, "modules require one another in a circle: '%s'", name);
    if (!lua_isnil(L, 3)) return 1;
    const moonbus_module *module = find(moonbus_context_of(L), name);
    if (module == NULL) return fail_unknown(L, name);
    int status = luaL_loadbufferx(L, module->source, module->size, module->chunk, "t");
    if (status != LUA_OK) {
        moonbus_run_of(L)->is_syntax_error = status == LUA_ERRSYNTAX;
        return lua_error(L);
    }
    set_module(L, LUA_TLIGHTUSERDATA);
    lua_pushvalue(L, 1);
    status = lua_pcall(L, 1, 1, 0);
    if (status != LUA_OK) {
        set_module(L, LUA_TNIL); /* it may be required again */
        return lua_error(L);
    }
    if (lua_isnil(L, -1)) lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, 2);
    return 1;
}
