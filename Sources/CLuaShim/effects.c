/* Effects: staged behind the lane's finished outcome records, where the record that will carry them is written.
 *
 *   output region   [finished records][24 bytes for the header][effects of the run in progress][detail]
 *
 * A run that ends well turns them into a record without a copy; a run that fails leaves them to be overwritten. A task
 * that waits takes its effects along (to the C heap) and brings them back when it goes on: one run at a time stages.
 */
#include "internal.h"

#include <stdlib.h>

static uint8_t *staged(const moonbus_lane *lane) {
    return lane->output + lane->output_size + MOONBUS_RECORD_HEADER;
}

uint8_t *moonbus_effects_end(moonbus_context *context, size_t *room) {
    uint32_t size = context->lane->run.task->effects_size, max = context->options.effect_bytes_max;
    *room = size < max ? max - size : 0;
    return staged(context->lane) + size;
}

void moonbus_effects_advance(moonbus_context *context, size_t size) {
    context->lane->run.task->effects_size += (uint32_t)size;
}

bool moonbus_output_has_room(const moonbus_context *context) {
    size_t most = MOONBUS_RECORD_HEADER + context->options.effect_bytes_max + MOONBUS_FAULT_JSON_MAX + MOONBUS_RESULT_MAX + 64;
    return MOONBUS_OUTPUT_RESERVED - context->lane->output_size > most;
}

bool moonbus_effects_set_aside(moonbus_context *context, moonbus_task *task) {
    task->effects = NULL;
    if (task->effects_size == 0) return true;
    if (context->arena.used + context->aside_size + task->effects_size > context->arena.cap) return false;
    task->effects = malloc(task->effects_size);
    if (task->effects == NULL) return false;
    memcpy(task->effects, staged(context->lane), task->effects_size);
    task->aside_size = task->effects_size;
    context->aside_size += task->aside_size;
    return true;
}

void moonbus_effects_drop(moonbus_context *context, moonbus_task *task) {
    if (task->effects == NULL) return;
    free(task->effects);
    task->effects = NULL;
    context->aside_size -= task->aside_size;
}

void moonbus_effects_bring_back(moonbus_context *context, moonbus_task *task) {
    if (task->effects == NULL) return;
    memcpy(staged(context->lane), task->effects, task->effects_size);
    moonbus_effects_drop(context, task);
}

bool moonbus_context_stage(moonbus_context *context, const void *effect, size_t size) {
    moonbus_task *task = context->lane->run.task;
    if (task == NULL || task->is_load) return false;
    size_t room;
    uint8_t *end = moonbus_effects_end(context, &room);
    if (size > room) return false;
    memcpy(end, effect, size);
    moonbus_effects_advance(context, size);
    return true;
}

bool moonbus_context_checkpoint(moonbus_context *context) {
    moonbus_task *task = context->lane->run.task;
    if (task == NULL || task->is_load || !moonbus_output_has_room(context)) return false;
    moonbus_outcome_append(context, task, task->identifier, MOONBUS_WAITING, NULL, 0);
    task->effects_size = 0;
    task->emit_base = task->emit_count;
    return moonbus_output_has_room(context);
}
