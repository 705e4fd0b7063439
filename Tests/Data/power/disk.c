/* A disk that fails when it is told to, for one folder, by preloading:
 *
 *     cc -O1 -shared -fPIC -o disk.so disk.c -ldl
 *     LD_PRELOAD=disk.so DISK_FOLDER=/path/of/journal DISK_SIDE=/path/of/side moonbus run …
 *
 * It writes down each change of a file that is not synced (power.h); `cut` undoes them after the process was killed. And it makes calls fail
 * as `SIDE/control` says. Everything outside of the folder goes straight through.
 *
 * Changes by mmap are not seen: SQLite makes none here, because in exclusive locking mode its index is in memory. */
#define _GNU_SOURCE
#include "power.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES_MAX = 4096 };

/* By descriptor: the log of what is not synced, or 0; and whether it is the folder itself, or the write-ahead log. */
static struct { int log; char is_folder, is_wal; } files[FILES_MAX];
static char folder[PATH_MAX], side[PATH_MAX];
static size_t folder_size;
static volatile uint32_t *control;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define NEXT(name) ((__typeof__(&name))next(#name))
static void *next(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

static void fail(const char *what) {
    dprintf(2, "disk.c: %s: %s\n", what, strerror(errno));
    _exit(99);
}

__attribute__((constructor)) static void start(void) {
    const char *watched = getenv("DISK_FOLDER"), *beside = getenv("DISK_SIDE");
    if (!watched || !beside) return;
    snprintf(folder, sizeof folder, "%s/", watched);
    snprintf(side, sizeof side, "%s", beside);
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/control", side);
    int file = NEXT(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || NEXT(ftruncate)(file, 4096) != 0) fail("control");
    control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (control == MAP_FAILED) fail("control");
    NEXT(close)(file);
    folder_size = strlen(folder);
}

static uint32_t fault(void) { return control ? *control : FAULT_NONE; }

/* The name of a path in the folder, "" for the folder itself, NULL for anything else. */
static const char *name_in_folder(const char *path) {
    if (!folder_size || !path) return NULL;
    char full[PATH_MAX];
    if (path[0] != '/') {
        if (!getcwd(full, sizeof full) || strlen(full) + strlen(path) + 2 > sizeof full) return NULL;
        strcat(strcat(full, "/"), path);
    } else {
        snprintf(full, sizeof full, "%s", path);
    }
    /* SQLite makes paths absolute; what is relative here has no dots in it. */
    if (strncmp(full, folder, folder_size - 1) != 0) return NULL;
    if (full[folder_size - 1] == 0) return path + strlen(path);
    if (full[folder_size - 1] != '/' || strchr(full + folder_size, '/')) return NULL;
    return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

static int open_log(const char *name) {
    char path[PATH_MAX + 300];
    snprintf(path, sizeof path, "%s/%s.log", side, name);
    int log = NEXT(open)(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) fail(path);
    return log;
}

static void put(int log, const void *bytes, size_t size) {
    if (size && NEXT(write)(log, bytes, size) != (ssize_t)size) fail("log");
}

static int64_t length(int file) {
    struct stat status;
    if (fstat(file, &status) != 0) fail("fstat");
    return status.st_size;
}

static int is_watched(int file) { return file >= 0 && file < FILES_MAX && files[file].log > 0; }

/* Writes down what a write of `bytes` at `offset` changes. In one piece: a log that ends in the middle of a record is cut off there. */
static void note_write(int file, const void *bytes, size_t size, int64_t offset) {
    struct power_record record = {POWER_WRITE, (uint32_t)size, 0, 0, offset, length(file)};
    char *piece = malloc(sizeof record + 2 * size);
    if (!piece) fail("malloc");
    ssize_t old = NEXT(pread)(file, piece + sizeof record, size, offset);
    record.old_size = old > 0 ? (uint32_t)old : 0;
    memcpy(piece, &record, sizeof record);
    memcpy(piece + sizeof record + record.old_size, bytes, size);
    put(files[file].log, piece, sizeof record + record.old_size + size);
    free(piece);
}

static void note_resize(int file, int64_t to) {
    int64_t from = length(file);
    uint32_t lost = to < from ? (uint32_t)(from - to) : 0;
    struct power_record record = {POWER_RESIZE, 0, lost, 0, to, from};
    char *piece = malloc(sizeof record + lost);
    if (!piece) fail("malloc");
    memcpy(piece, &record, sizeof record);
    if (lost && NEXT(pread)(file, piece + sizeof record, lost, to) != (ssize_t)lost) fail("pread");
    put(files[file].log, piece, sizeof record + lost);
    free(piece);
}

/* What keeps a change from being made, as errno; 0: nothing. */
static int refusal(int file, int64_t end) {
    switch (fault()) {
    case FAULT_FULL: return end > length(file) ? ENOSPC : 0;
    case FAULT_WRITE: return EIO;
    case FAULT_READ_ONLY: return EROFS;
    default: return 0;
    }
}

/* MARK: Opening */

static int opened(int file, const char *name, int flags, int is_new) {
    if (file < 0 || file >= FILES_MAX) return file;
    files[file].is_folder = *name == 0;
    files[file].is_wal = strlen(name) > 4 && strcmp(name + strlen(name) - 4, "-wal") == 0;
    files[file].log = *name == 0 ? open_log("folder") : open_log(name);
    if (is_new) {
        struct power_record record = {POWER_CREATE, 0, 0, 0, 0, 0};
        put(files[file].log, &record, sizeof record);
    } else if (flags & O_TRUNC && *name) {
        errno = ENOTSUP;
        fail("O_TRUNC");
    }
    return file;
}

static int open_watched(int (*function)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    const char *name = name_in_folder(path);
    if (!name) return function(path, flags, mode);
    int is_new = *name && flags & O_CREAT && access(path, F_OK) != 0;
    if (fault() == FAULT_READ_ONLY && (is_new || (flags & O_ACCMODE) != O_RDONLY)) {
        errno = EROFS;
        return -1;
    }
    if (fault() == FAULT_FULL && is_new) {
        errno = ENOSPC;
        return -1;
    }
    pthread_mutex_lock(&lock);
    int file = opened(function(path, flags, mode), name, flags, is_new);
    pthread_mutex_unlock(&lock);
    return file;
}

#define MODE \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode = va_arg(arguments, mode_t); \
        va_end(arguments); \
    }

int open(const char *path, int flags, ...) {
    MODE
    return open_watched(NEXT(open), path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE
    return open_watched(NEXT(open64), path, flags, mode);
}

int close(int file) {
    if (is_watched(file)) {
        NEXT(close)(files[file].log);
        files[file].log = 0;
    }
    return NEXT(close)(file);
}

int unlink(const char *path) {
    const char *name = name_in_folder(path);
    if (!name || !*name) return NEXT(unlink)(path);
    if (fault() == FAULT_READ_ONLY) {
        errno = EROFS;
        return -1;
    }
    /* It is gone only once the folder is synced: until then a copy is kept. */
    char kept[PATH_MAX + 300];
    snprintf(kept, sizeof kept, "%s/%s.unlinked", side, name);
    NEXT(unlink)(kept);
    if (link(path, kept) != 0) return NEXT(unlink)(path);
    return NEXT(unlink)(path);
}

/* MARK: Changing */

static ssize_t write_watched(int file, const void *bytes, size_t size, int64_t offset, int moves) {
    if (offset < 0) offset = lseek(file, 0, SEEK_CUR);
    int number = refusal(file, offset + (int64_t)size);
    if (number) {
        errno = number;
        return -1;
    }
    pthread_mutex_lock(&lock);
    note_write(file, bytes, size, offset);
    ssize_t count = moves ? NEXT(write)(file, bytes, size) : NEXT(pwrite)(file, bytes, size, offset);
    pthread_mutex_unlock(&lock);
    return count;
}

ssize_t write(int file, const void *bytes, size_t size) {
    return is_watched(file) ? write_watched(file, bytes, size, -1, 1) : NEXT(write)(file, bytes, size);
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) {
    return is_watched(file) ? write_watched(file, bytes, size, offset, 0) : NEXT(pwrite)(file, bytes, size, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset) {
    return is_watched(file) ? write_watched(file, bytes, size, offset, 0) : NEXT(pwrite64)(file, bytes, size, offset);
}

ssize_t pwritev(int file, const struct iovec *pieces, int count, off_t offset) {
    if (!is_watched(file)) return NEXT(pwritev)(file, pieces, count, offset);
    ssize_t total = 0;
    for (int index = 0; index < count; index++) {
        ssize_t size = pwrite(file, pieces[index].iov_base, pieces[index].iov_len, offset + total);
        if (size < 0) return total ? total : size;
        total += size;
    }
    return total;
}

static int resize_watched(int file, int64_t to) {
    int number = refusal(file, to);
    if (number) {
        errno = number;
        return -1;
    }
    pthread_mutex_lock(&lock);
    note_resize(file, to);
    int status = NEXT(ftruncate)(file, to);
    pthread_mutex_unlock(&lock);
    return status;
}

int ftruncate(int file, off_t to) { return is_watched(file) ? resize_watched(file, to) : NEXT(ftruncate)(file, to); }
int ftruncate64(int file, off64_t to) { return is_watched(file) ? resize_watched(file, to) : NEXT(ftruncate64)(file, to); }

/* Room that is asked for ahead would be a change that is not written down: nobody here needs it. */
int fallocate(int file, int mode, off_t offset, off_t size) {
    if (!is_watched(file)) return NEXT(fallocate)(file, mode, offset, size);
    errno = EOPNOTSUPP;
    return -1;
}

int posix_fallocate(int file, off_t offset, off_t size) {
    return is_watched(file) ? EOPNOTSUPP : NEXT(posix_fallocate)(file, offset, size);
}

/* MARK: Syncing */

static int sync_watched(int (*function)(int), int file) {
    if (fault() == FAULT_SYNC) {
        errno = EIO;
        return -1;
    }
    if (fault() == FAULT_LYING_SYNC && files[file].is_wal) return 0;
    pthread_mutex_lock(&lock);
    int status = function(file);
    if (status == 0 && NEXT(ftruncate)(files[file].log, 0) != 0) fail("log");
    if (status == 0 && files[file].is_folder) {
        /* Now the unlinked files are gone for good. */
        const char *names[] = {"moonbus.db-wal", "moonbus.db-journal"};
        for (unsigned index = 0; index < sizeof names / sizeof *names; index++) {
            char kept[PATH_MAX + 300];
            snprintf(kept, sizeof kept, "%s/%s.unlinked", side, names[index]);
            NEXT(unlink)(kept);
        }
    }
    pthread_mutex_unlock(&lock);
    return status;
}

int fsync(int file) { return is_watched(file) ? sync_watched(NEXT(fsync), file) : NEXT(fsync)(file); }
int fdatasync(int file) { return is_watched(file) ? sync_watched(NEXT(fdatasync), file) : NEXT(fdatasync)(file); }
