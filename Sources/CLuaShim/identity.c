/* Who a delivery is: what the ids of the events that it emits derive from. The definition is that of Identity.swift
 * (MoonbusEvents), and both must agree: SipHash-2-4-128 of the event's id, a zero byte and its source, under the
 * subscription's key.
 *
 * Most handlers emit nothing, so it is made when it is first asked for. A run that waits loses its records with the frame
 * that they came in: moonbus_identity_keep is called before that.
 */
#include "internal.h"
#include "event.h"

typedef struct {
    uint64_t v0, v1, v2, v3, tail;
    size_t count;
} siphash;

static inline uint64_t rotate(uint64_t word, int by) {
    return word << by | word >> (64 - by);
}

static void siphash_round(siphash *hash) {
    hash->v0 += hash->v1;
    hash->v1 = rotate(hash->v1, 13) ^ hash->v0;
    hash->v0 = rotate(hash->v0, 32);
    hash->v2 += hash->v3;
    hash->v3 = rotate(hash->v3, 16) ^ hash->v2;
    hash->v0 += hash->v3;
    hash->v3 = rotate(hash->v3, 21) ^ hash->v0;
    hash->v2 += hash->v1;
    hash->v1 = rotate(hash->v1, 17) ^ hash->v2;
    hash->v2 = rotate(hash->v2, 32);
}

static void absorb(siphash *hash, uint64_t word) {
    hash->v3 ^= word;
    siphash_round(hash);
    siphash_round(hash);
    hash->v0 ^= word;
}

static void update(siphash *hash, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    for (size_t index = 0; index < size; index++) {
        hash->tail |= (uint64_t)at[index] << (hash->count++ % 8 * 8);
        if (hash->count % 8 != 0) continue;
        absorb(hash, hash->tail);
        hash->tail = 0;
    }
}

static void finish(siphash *hash, uint64_t out[2]) {
    absorb(hash, hash->tail | (uint64_t)(hash->count & 0xff) << 56);
    hash->v2 ^= 0xee;
    for (int index = 0; index < 4; index++) siphash_round(hash);
    out[0] = hash->v0 ^ hash->v1 ^ hash->v2 ^ hash->v3;
    hash->v1 ^= 0xdd;
    for (int index = 0; index < 4; index++) siphash_round(hash);
    out[1] = hash->v0 ^ hash->v1 ^ hash->v2 ^ hash->v3;
}

void moonbus_identity_keep(moonbus_task *task, const uint8_t *record) {
    if (task->has_identity) return;
    const uint64_t *key = task->delivery.subscription_key;
    siphash hash = {
        .v0 = key[0] ^ 0x736f6d6570736575,
        .v1 = key[1] ^ 0x646f72616e646f6d ^ 0xee,
        .v2 = key[0] ^ 0x6c7967656e657261,
        .v3 = key[1] ^ 0x7465646279746573,
    };
    size_t id_size, source_size;
    const char *id = moonbus_event_id(record, &id_size), *source = moonbus_event_source(record, &source_size);
    update(&hash, id, id_size);
    update(&hash, "", 1);
    update(&hash, source, source_size);
    finish(&hash, task->identity);
    task->has_identity = true;
}

bool moonbus_context_identity(moonbus_context *context, uint64_t identity[2]) {
    moonbus_run *run = &context->lane->run;
    if (run->task == NULL || run->task->is_load) return false;
    if (!run->task->has_identity) moonbus_identity_keep(run->task, run->records[0]);
    memcpy(identity, run->task->identity, sizeof run->task->identity);
    return true;
}
