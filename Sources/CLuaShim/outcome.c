/* Outcome records: what a run came to, as docs/frames.md ("Outcome record") lays it out. */
#include "internal.h"

typedef struct {
    uint64_t delivery;
    uint8_t status, zero[3];
    uint32_t effects_size, detail_size, record_size;
} record_header;

_Static_assert(sizeof(record_header) == MOONBUS_RECORD_HEADER, "docs/frames.md");
_Static_assert(sizeof(moonbus_delivery) == 64, "docs/frames.md");

void moonbus_outcome_append(moonbus_context *context, moonbus_task *task, uint64_t identifier, moonbus_status status, const void *detail,
                            size_t detail_size) {
    moonbus_lane *lane = context->lane;
    uint8_t *start = lane->output + lane->output_size;
    bool keeps_effects = task != NULL && (status == MOONBUS_DONE || status == MOONBUS_WAITING);
    size_t effects_size = keeps_effects ? task->effects_size : 0;
    uint8_t *end = start + MOONBUS_RECORD_HEADER + effects_size;
    if (detail != NULL && detail_size > 0) memcpy(end, detail, detail_size); /* DONE: its result is there already */
    size_t size = MOONBUS_RECORD_HEADER + effects_size + detail_size, padded = (size + 7) & ~(size_t)7;
    if (padded != size) memset(start + size, 0, padded - size);
    *(record_header *)start = (record_header){
        .delivery = identifier,
        .status = (uint8_t)status,
        .effects_size = (uint32_t)effects_size,
        .detail_size = (uint32_t)detail_size,
        .record_size = (uint32_t)padded,
    };
    lane->output_size += padded;
    lane->output_count++;
}

void moonbus_outcome_done(moonbus_context *context, moonbus_task *task, uint64_t identifier) {
    moonbus_lane *lane = context->lane;
    if (MOONBUS_LIKELY(lane->done_count < MOONBUS_DONE_MAX)) lane->done[lane->done_count++] = identifier;
    else moonbus_outcome_append(context, task, identifier, MOONBUS_DONE, NULL, 0);
}

void moonbus_outcome_append_fault(moonbus_context *context, moonbus_task *task, uint64_t identifier, moonbus_status status) {
    char *json = context->lane->scratch;
    size_t size = moonbus_fault_encode(&context->lane->fault, json, MOONBUS_FAULT_JSON_MAX);
    moonbus_outcome_append(context, task, identifier, status, json, size);
}
