/* The scripts' table and math libraries: Lua's own, with what could run for ever in one call bounded, and randomness
 * that comes from the delivery, so that a run can be repeated exactly. */
#include "internal.h"
#include "library.h"

/* ---- table ---------------------------------------------------------------------------------------------------------------- */

enum { MOVED_MAX = 10 * 1000 * 1000 }; /* elements a call of table.move: about 0.1 s */

static lua_CFunction lua_move; /* Lua's own */

/* table.move(a1, f, e, t [, a2]) moves e - f + 1 elements, present or not. */
static int table_move(lua_State *L) {
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3);
    bool is_too_many = last >= first && (lua_Unsigned)last - (lua_Unsigned)first >= MOVED_MAX;
    if (is_too_many) return luaL_error(L, "too many elements to move: at most %d", MOVED_MAX);
    return lua_move(L);
}

void moonbus_adopt_tables(lua_State *L) {
    lua_getfield(L, -1, "move");
    lua_move = lua_tocfunction(L, -1);
    lua_pop(L, 1);
}

const luaL_Reg moonbus_table_functions[] = {{"move", table_move}, {NULL, NULL}};

/* ---- math.random ------------------------------------------------------------------------------------------------------------ */

/* splitmix64: spreads one seed over a state. */
static uint64_t spread(uint64_t *seed) {
    uint64_t mixed = (*seed += 0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
}

static inline uint64_t rotate(uint64_t value, int count) {
    return (value << count) | (value >> (64 - count));
}

/* xoshiro256**, one state a delivery. Origin: Blackman and Vigna, public domain. */
static uint64_t next_random(moonbus_task *task) {
    uint64_t *state = task->random;
    if (!task->random_ready) {
        uint64_t seed = task->delivery.seed;
        for (int i = 0; i < 4; i++) state[i] = spread(&seed);
        task->random_ready = true;
    }
    uint64_t result = rotate(state[1] * 5, 7) * 9, shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate(state[3], 45);
    return result;
}

/* A number in 0 … limit, each as likely as any other. */
static uint64_t random_up_to(moonbus_task *task, uint64_t limit) {
    uint64_t random = next_random(task);
    if ((limit & (limit + 1)) == 0) return random & limit;
    uint64_t mask = UINT64_MAX >> __builtin_clzll(limit);
    while ((random &= mask) > limit) random = next_random(task);
    return random;
}

/* math.random() → 0 ≤ x < 1; random(n) → 1 … n; random(m, n) → m … n; random(0) → any integer. As Lua's own. */
static int math_random(lua_State *L) {
    moonbus_task *task = moonbus_run_of(L)->task;
    lua_Integer low = 1, high;
    switch (lua_gettop(L)) {
    case 0: lua_pushnumber(L, (double)(next_random(task) >> 11) * 0x1p-53); return 1;
    case 1:
        high = luaL_checkinteger(L, 1);
        if (high == 0) {
            lua_pushinteger(L, (lua_Integer)next_random(task));
            return 1;
        }
        break;
    case 2:
        low = luaL_checkinteger(L, 1);
        high = luaL_checkinteger(L, 2);
        break;
    default: return luaL_error(L, "wrong number of arguments");
    }
    luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
    lua_pushinteger(L, (lua_Integer)(random_up_to(task, (uint64_t)high - (uint64_t)low) + (uint64_t)low));
    return 1;
}

/* Does nothing: the seed comes from the host and is recorded with the delivery. Scripts that seed still run. */
static int math_randomseed(lua_State *L) {
    (void)L;
    return 0;
}

const luaL_Reg moonbus_math_functions[] = {{"random", math_random}, {"randomseed", math_randomseed}, {NULL, NULL}};
