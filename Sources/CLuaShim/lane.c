/* Lanes: the thread that runs contexts, its output region and its page. */
#include "internal.h"
#include "library.h"

#include <sys/mman.h>
#include <time.h>

const char moonbus_key_null, moonbus_key_modules, moonbus_key_wait;

enum { KEPT_SIZE = 1 << 20 }; /* bytes of a region that stay resident when it is cleared */

static void *reserve(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void release(void *region, size_t size) {
    if (region != NULL) munmap(region, size);
}

static void release_regions(moonbus_lane *lane) {
    release(lane->output, MOONBUS_OUTPUT_RESERVED);
    release(lane->scratch, MOONBUS_SCRATCH_RESERVED);
    release(lane->unescaped, MOONBUS_SCRATCH_RESERVED);
}

moonbus_lane *moonbus_lane_enter(moonbus_page *page) {
    moonbus_stack_slots_calibrate();
    moonbus_library_prepare();
    moonbus_lane *lane = moonbus_lane_slot();
    if (lane == NULL) return NULL;
    lane->output = reserve(MOONBUS_OUTPUT_RESERVED);
    lane->scratch = reserve(MOONBUS_SCRATCH_RESERVED);
    lane->unescaped = reserve(MOONBUS_SCRATCH_RESERVED);
    if (lane->output == NULL || lane->scratch == NULL || lane->unescaped == NULL) {
        release_regions(lane);
        moonbus_watchdog_remove(lane);
        return NULL;
    }
    lane->output_size = lane->output_high = lane->scratch_high = lane->unescaped_high = 0;
    lane->output_count = lane->done_count = 0;
    lane->page = page != NULL ? page : &lane->own_page;
    lane->thread = pthread_self();
    pthread_getcpuclockid(lane->thread, &lane->cpu_clock);
    moonbus_watchdog_add(lane);
    return lane;
}

void moonbus_lane_leave(moonbus_lane *lane) {
    release_regions(lane);
    moonbus_watchdog_remove(lane); /* last: from here on the slot may be another thread's */
}

const uint8_t *moonbus_lane_output(const moonbus_lane *lane, size_t *size, uint32_t *count) {
    *size = lane->output_size;
    *count = lane->output_count;
    return lane->output;
}

uint32_t moonbus_lane_ticks(const moonbus_lane *lane) {
    return atomic_load_explicit(&lane->ticks, memory_order_relaxed);
}

const uint64_t *moonbus_lane_done(const moonbus_lane *lane, uint32_t *count) {
    *count = lane->done_count;
    return lane->done;
}

static void give_back(void *region, size_t *high) {
    if (*high <= KEPT_SIZE) return;
    madvise((char *)region + KEPT_SIZE, *high - KEPT_SIZE, MADV_DONTNEED);
    *high = KEPT_SIZE;
}

void moonbus_lane_output_clear(moonbus_lane *lane) {
    if (lane->output_size > lane->output_high) lane->output_high = lane->output_size;
    give_back(lane->output, &lane->output_high);
    give_back(lane->scratch, &lane->scratch_high);
    give_back(lane->unescaped, &lane->unescaped_high);
    lane->output_size = 0;
    lane->output_count = lane->done_count = 0;
}

void moonbus_page_finished(moonbus_page *page, uint64_t bytes) {
    __atomic_store_n(&page->finished, bytes, __ATOMIC_RELEASE);
}
