/* Makes a power cut of a killed process: `cut FOLDER SIDE SEED`.
 *
 * What disk.c wrote down was not synced. All of it is undone, from the last change to the first; then a few of the changes are made again,
 * because a disk may have got around to any of them, in any order, and the last one of those may be torn in the middle, at a sector.
 * Which ones, the seed says; seed 0: none. Prints the number of changes and of those that were made again. */
#define _GNU_SOURCE
#include "power.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHANGES_MAX = 1 << 16, SECTOR = 512 };

static uint64_t state;

static uint64_t draw(uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

static void fail(const char *what) {
    fprintf(stderr, "cut.c: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void undo(const char *path, const struct power_record *record) {
    if (record->kind == POWER_CREATE) {
        unlink(path);
        return;
    }
    int file = open(path, O_RDWR);
    if (file < 0) {
        if (errno == ENOENT) return;
        fail(path);
    }
    const char *old = (const char *)(record + 1);
    int64_t at = record->offset;
    if (pwrite(file, old, record->old_size, at) != (ssize_t)record->old_size) fail(path);
    if (ftruncate(file, record->old_length) != 0) fail(path);
    close(file);
}

static void redo(const char *path, const struct power_record *record, int is_torn) {
    if (record->kind != POWER_WRITE) return;
    int file = open(path, O_RDWR);
    if (file < 0) return;
    size_t size = record->size;
    if (is_torn) size = draw(size / SECTOR + 1) * SECTOR;
    if (size > record->size) size = record->size;
    const char *new = (const char *)(record + 1) + record->old_size;
    if (pwrite(file, new, size, record->offset) != (ssize_t)size) fail(path);
    close(file);
}

static void cut(const char *path, const char *log, int *changes, int *remade) {
    int file = open(log, O_RDWR);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) fail(log);
    size_t size = (size_t)status.st_size;
    char *bytes = malloc(size + 1);
    if (!bytes || read(file, bytes, size) != (ssize_t)size) fail(log);
    static const struct power_record *records[CHANGES_MAX];
    int count = 0;
    for (size_t at = 0; at + sizeof(struct power_record) <= size;) {
        const struct power_record *record = (const struct power_record *)(bytes + at);
        size_t whole = sizeof *record + record->old_size + record->size;
        /* Killed while it wrote this down: the change itself was not made. */
        if (at + whole > size) break;
        if (count == CHANGES_MAX) fail("too many changes");
        records[count++] = record;
        at += whole;
    }
    for (int index = count - 1; index >= 0; index--) undo(path, records[index]);
    *changes += count;
    if (state && count && access(path, F_OK) == 0) {
        /* One cut in three keeps nothing, one a beginning, one any of them. */
        int how = (int)draw(3), kept = how == 1 ? (int)draw(count + 1) : count;
        for (int index = 0; how && index < kept; index++) {
            if (how == 2 && draw(2)) continue;
            redo(path, records[index], index == kept - 1);
            ++*remade;
        }
    }
    if (ftruncate(file, 0) != 0) fail(log);
    close(file);
    free(bytes);
}

int main(int count, char **arguments) {
    if (count != 4) return 64;
    const char *folder = arguments[1], *side = arguments[2];
    state = strtoull(arguments[3], NULL, 10);
    int changes = 0, remade = 0;
    DIR *entries = opendir(side);
    if (!entries) fail(side);
    /* Files that were unlinked come back first: their last changes may have to be undone, too. */
    for (struct dirent *entry; (entry = readdir(entries));) {
        char *end = strstr(entry->d_name, ".unlinked");
        if (!end) continue;
        char from[PATH_MAX], to[PATH_MAX];
        snprintf(from, sizeof from, "%s/%s", side, entry->d_name);
        snprintf(to, sizeof to, "%s/%.*s", folder, (int)(end - entry->d_name), entry->d_name);
        if (access(to, F_OK) == 0) unlink(from);
        else if (rename(from, to) != 0) fail(from);
    }
    rewinddir(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        size_t size = strlen(entry->d_name);
        if (size < 5 || strcmp(entry->d_name + size - 4, ".log") != 0) continue;
        char path[PATH_MAX], log[PATH_MAX];
        snprintf(path, sizeof path, "%s/%.*s", folder, (int)(size - 4), entry->d_name);
        snprintf(log, sizeof log, "%s/%s", side, entry->d_name);
        if (strcmp(entry->d_name, "folder.log") != 0) cut(path, log, &changes, &remade);
    }
    closedir(entries);
    printf("{\"changes\":%d,\"remade\":%d}\n", changes, remade);
    return 0;
}
