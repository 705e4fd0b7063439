/* The scripts' coroutine library, and how a host function waits.
 *
 * Ours, because the interrupt must know the innermost coroutine (run->running), because an interrupt must pass through
 * every coroutine.resume, and because a wait inside a script's coroutine must reach the host through all the
 * coroutines around it: a waiting host function yields one private value, and each resume that sees it yields it on.
 */
#include "internal.h"
#include "library.h"

enum {
    CLOSE_DEPTH_MAX = 150,         /* nested coroutine.close: each is a C recursion that Lua does not count (corpus s21) */
    CLOSE_C_STACK_MAX = 2 << 20,   /* bytes; one level may take half a MiB more */
};

static bool is_wait(lua_State *coroutine, int result_count) {
    return result_count == 1 && lua_touserdata(coroutine, -1) == (void *)&moonbus_key_wait;
}

int moonbus_wait(lua_State *L, lua_KFunction then) {
    moonbus_run *run = moonbus_run_of(L);
    if (run->task->is_load) return luaL_error(L, "cannot wait while the plugin loads");
    if (moonbus_run_unwinds(run)) return luaL_error(L, "cannot wait any more: this handler is ending");
    if (!lua_isyieldable(L)) return luaL_error(L, "cannot wait here: inside a callback of a library function, such as table.sort or string.gsub");
    lua_pushlightuserdata(L, (void *)&moonbus_key_wait);
    return lua_yieldk(L, 1, 0, then);
}

/* The child has stopped: what its interrupt, if any, means for the parent. Raises while everything unwinds. */
static void check_unwinding(lua_State *L, lua_State *child, int status) {
    moonbus_run *run = moonbus_run_of(L);
    run->running = L;
    if (MOONBUS_LIKELY(!moonbus_run_unwinds(run))) return;
    if (run->expired) moonbus_interrupt_arm(L);
    if (status != LUA_OK && status != LUA_YIELD) lua_xmove(child, L, 1);
    else lua_pushliteral(L, "time limit exceeded");
    lua_error(L);
}

/* ---- close ---------------------------------------------------------------------------------------------------------------- */

/* Closes a suspended or failed coroutine. Returns its status; the error value, if any, is on top of ITS stack.
 * Stack [-0, +0, may raise]. */
static int close_coroutine(lua_State *L, lua_State *coroutine) {
    moonbus_context *context = moonbus_context_of(L);
    moonbus_run *run = &context->lane->run;
    if (context->close_depth >= CLOSE_DEPTH_MAX || moonbus_run_c_stack(run) > CLOSE_C_STACK_MAX) {
        luaL_error(L, "too many coroutines that close one another");
    }
    context->close_depth++;
    run->running = coroutine;
    int status = lua_resetthread(coroutine);
    context->close_depth--;
    check_unwinding(L, coroutine, status);
    return status;
}

/* ---- resume --------------------------------------------------------------------------------------------------------------- */

static int resumed(lua_State *L, lua_State *coroutine, bool is_wrap, int status, int result_count, lua_KFunction then);

static bool is_resumable(lua_State *coroutine) {
    int status = lua_status(coroutine);
    return status == LUA_YIELD || (status == LUA_OK && lua_gettop(coroutine) > 0);
}

/* Stack [-argument_count, +results, may raise]. */
static int resume(lua_State *L, lua_State *coroutine, int argument_count, bool is_wrap, lua_KFunction then) {
    if (!lua_checkstack(coroutine, argument_count)) return luaL_error(L, "too many arguments to resume");
    lua_xmove(L, coroutine, argument_count);
    moonbus_run_of(L)->running = coroutine;
    int result_count;
    int status = lua_resume(coroutine, L, argument_count, &result_count);
    return resumed(L, coroutine, is_wrap, status, result_count, then);
}

/* Raises the error of a coroutine made by wrap, after closing what it left open. */
static int raise_from(lua_State *L, lua_State *coroutine) {
    if (lua_status(coroutine) != LUA_OK && lua_status(coroutine) != LUA_YIELD) close_coroutine(L, coroutine);
    lua_xmove(coroutine, L, 1);
    return lua_error(L);
}

static int resumed(lua_State *L, lua_State *coroutine, bool is_wrap, int status, int result_count, lua_KFunction then) {
    check_unwinding(L, coroutine, status);
    if (status == LUA_YIELD && MOONBUS_UNLIKELY(is_wait(coroutine, result_count))) {
        if (!lua_isyieldable(L)) return luaL_error(L, "cannot wait here: inside a callback of a library function");
        lua_pop(coroutine, 1);
        lua_pushlightuserdata(L, (void *)&moonbus_key_wait);
        return lua_yieldk(L, 1, 0, then);
    }
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, result_count + 1)) {
            lua_pop(coroutine, result_count);
            return luaL_error(L, "too many results to resume");
        }
        if (!is_wrap) lua_pushboolean(L, 1);
        lua_xmove(coroutine, L, result_count);
        return result_count + !is_wrap;
    }
    if (is_wrap) return raise_from(L, coroutine);
    lua_pushboolean(L, 0);
    lua_xmove(coroutine, L, 1);
    return 2;
}

static lua_State *check_coroutine(lua_State *L, int index) {
    lua_State *coroutine = lua_tothread(L, index);
    luaL_argexpected(L, coroutine != NULL, index, "coroutine");
    return coroutine;
}

/* The host goes on: everything between here and the function that waited is resumed with nothing; that function takes
 * the reply from the run. */
static int resume_after_wait(lua_State *L, int status, lua_KContext unused) {
    (void)status, (void)unused;
    return resume(L, lua_tothread(L, 1), 0, false, resume_after_wait);
}

static int wrap_after_wait(lua_State *L, int status, lua_KContext unused) {
    (void)status, (void)unused;
    return resume(L, lua_tothread(L, lua_upvalueindex(1)), 0, true, wrap_after_wait);
}

static const char *why_not_resumable(lua_State *L, lua_State *coroutine) {
    if (coroutine == L) return "cannot resume non-suspended coroutine";
    lua_Debug level;
    bool is_normal = lua_status(coroutine) == LUA_OK && lua_getstack(coroutine, 0, &level);
    return is_normal ? "cannot resume non-suspended coroutine" : "cannot resume dead coroutine";
}

static bool can_resume(lua_State *L, lua_State *coroutine) {
    lua_Debug level;
    if (coroutine == L || !is_resumable(coroutine)) return false;
    return lua_status(coroutine) == LUA_YIELD || !lua_getstack(coroutine, 0, &level);
}

static int coroutine_resume(lua_State *L) {
    lua_State *coroutine = check_coroutine(L, 1);
    if (!can_resume(L, coroutine)) {
        lua_pushboolean(L, 0);
        lua_pushstring(L, why_not_resumable(L, coroutine));
        return 2;
    }
    return resume(L, coroutine, lua_gettop(L) - 1, false, resume_after_wait);
}

static int call_wrapped(lua_State *L) {
    lua_State *coroutine = lua_tothread(L, lua_upvalueindex(1));
    if (!can_resume(L, coroutine)) return luaL_error(L, "%s", why_not_resumable(L, coroutine));
    return resume(L, coroutine, lua_gettop(L), true, wrap_after_wait);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------------------- */

static int coroutine_create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *coroutine = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, coroutine, 1);
    return 1;
}

static int coroutine_wrap(lua_State *L) {
    coroutine_create(L);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

static bool is_outermost(lua_State *L) {
    return L == moonbus_run_of(L)->task->thread;
}

static int coroutine_yield(lua_State *L) {
    if (is_outermost(L)) return luaL_error(L, "attempt to yield from outside a coroutine");
    return lua_yield(L, lua_gettop(L));
}

static int coroutine_isyieldable(lua_State *L) {
    lua_State *coroutine = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    lua_pushboolean(L, coroutine != moonbus_run_of(L)->task->thread && lua_isyieldable(coroutine));
    return 1;
}

static int coroutine_running(lua_State *L) {
    lua_pushthread(L);
    lua_pushboolean(L, is_outermost(L));
    return 2;
}

static const char *status_name(lua_State *L, lua_State *coroutine) {
    if (coroutine == L) return "running";
    lua_Debug level;
    switch (lua_status(coroutine)) {
    case LUA_YIELD: return "suspended";
    case LUA_OK:
        if (lua_getstack(coroutine, 0, &level)) return "normal";
        return lua_gettop(coroutine) == 0 ? "dead" : "suspended";
    default: return "dead";
    }
}

static int coroutine_status(lua_State *L) {
    lua_pushstring(L, status_name(L, check_coroutine(L, 1)));
    return 1;
}

static int coroutine_close(lua_State *L) {
    lua_State *coroutine = check_coroutine(L, 1);
    const char *name = status_name(L, coroutine);
    if (*name != 's' && *name != 'd') return luaL_error(L, "cannot close a %s coroutine", name);
    if (close_coroutine(L, coroutine) == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(coroutine, L, 1);
    return 2;
}

const luaL_Reg moonbus_coroutine_functions[] = {
    {"close", coroutine_close},     {"create", coroutine_create},   {"isyieldable", coroutine_isyieldable},
    {"resume", coroutine_resume},   {"running", coroutine_running}, {"status", coroutine_status},
    {"wrap", coroutine_wrap},       {"yield", coroutine_yield},     {NULL, NULL},
};
