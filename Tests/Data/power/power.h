/* What the disk shim writes down of each change that is not synced yet, so that a power cut can be made of it.
 *
 * For each file under the watched folder there is a log `SIDE/NAME.log` of records, one after the other:
 *
 * | field | what |
 * |---|---|
 * | kind | POWER_WRITE, POWER_RESIZE, POWER_CREATE, POWER_UNLINK |
 * | size | bytes that the change wrote |
 * | old_size | bytes of the file before that lie where it wrote; they follow the record, and then the new ones |
 * | offset | where it wrote; of a resize: the new length |
 * | old_length | the file's length before |
 *
 * A sync of the file empties its log. The log is written before the file, and with plain writes: it is for processes that are killed, and the
 * kernel keeps what those have written. */
#ifndef POWER_H
#define POWER_H

#include <stdint.h>

enum { POWER_WRITE = 1, POWER_RESIZE, POWER_CREATE, POWER_UNLINK };

struct power_record {
    uint32_t kind;
    uint32_t size;
    uint32_t old_size;
    uint32_t zero;
    int64_t offset;
    int64_t old_length;
};

/* What goes wrong at once: the first 4 bytes of `SIDE/control`, which the shim maps. */
enum {
    FAULT_NONE = 0,
    FAULT_FULL = 1,      /* ENOSPC on each write that makes a file longer */
    FAULT_WRITE = 2,     /* EIO on each write */
    FAULT_SYNC = 3,      /* EIO on each sync */
    FAULT_READ_ONLY = 4, /* EROFS on each change */
    FAULT_LYING_SYNC = 5 /* a sync of the write-ahead log does nothing and says that it did: what synchronous=NORMAL comes to */
};

#endif
