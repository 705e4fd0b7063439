/* Tasks and runs: between context.c, run.c and deliver.c. */
#ifndef MOONBUS_TASKS_H
#define MOONBUS_TASKS_H
#include "internal.h"

/* An idle task, or a new one; NULL when out of memory. */
moonbus_task *moonbus_task_take(moonbus_context *context);
void moonbus_task_release(moonbus_context *context, moonbus_task *task);
/* Its thread cannot be used again; the next take gives it a new one. Does not raise: unref only writes to a table. */
void moonbus_task_drop_thread(moonbus_context *context, moonbus_task *task);
moonbus_task *moonbus_task_waiting(const moonbus_context *context, uint64_t identifier);
void moonbus_tasks_free(moonbus_context *context);

/* Prepares the lane's run for `task`; the caller then fills in the body's input. */
moonbus_run *moonbus_run_prepare(moonbus_context *context, moonbus_task *task, uint32_t cpu_us);
/* Runs the function on the task's stack, or goes on where it waits. The result is the run's status, or KILLED, or
 * WAITING. Unless WAITING or KILLED, the task's stack is empty again and ready for use. */
moonbus_status moonbus_run_go(moonbus_context *context, moonbus_task *task);
/* Called by a body whose protected call failed: sets the run's status and fault from the error on top of the stack.
 * Runs inside the kill zone, since a __tostring may run. Stack [-1, +0, never raises]. */
void moonbus_run_failed(lua_State *L, int lua_status);

#endif
