/* A disk that fails when it is told to, for crash.py: loaded into the service with LD_PRELOAD.
 *
 * CRASH_DISK_FOLDER  what lies below it is concerned.
 * CRASH_DISK_FAULT   a file; while it is there, what changes the disk fails with the errno whose number stands in it.
 * CRASH_DISK_SYNCED  a file that gets a line `SIZE PATH` whenever a file has been synced: so much of it outlasts a loss of power.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_ours(const char *path) {
    const char *folder = getenv("CRASH_DISK_FOLDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_ours(path);
}

/* The errno that is asked for, or 0. */
static int fault(void) {
    const char *file = getenv("CRASH_DISK_FAULT");
    if (!file || access(file, F_OK) != 0) return 0;
    int saved = errno, number = 0;
    FILE *opened = fopen(file, "r");
    if (opened) {
        if (fscanf(opened, "%d", &number) != 1) number = 0;
        fclose(opened);
    }
    errno = saved;
    return number;
}

static int fails_path(const char *path) {
    int number = is_ours(path) ? fault() : 0;
    if (number) errno = number;
    return number;
}

static int fails_fd(int fd) {
    char path[4096];
    int number = fault();
    if (number && path_of(fd, path, sizeof path)) {
        errno = number;
        return number;
    }
    return 0;
}

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

static int opens(const char *name, const char *path, int flags, mode_t mode) {
    /* A full disk still opens what is there. */
    int changes = (flags & (O_WRONLY | O_RDWR)) && !(is_ours(path) && fault() == ENOSPC && !(flags & O_TRUNC));
    if ((changes || (flags & O_TRUNC)) && fails_path(path)) return -1;
    return REAL(name, int (*)(const char *, int, ...))(path, flags, mode);
}

#define OPEN(name)                                                             \
    int name(const char *path, int flags, ...) {                               \
        va_list rest;                                                          \
        va_start(rest, flags);                                                 \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;              \
        va_end(rest);                                                          \
        return opens(#name, path, flags, mode);                                \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = REAL("write", ssize_t (*)(int, const void *, size_t));
    return fails_fd(fd) ? -1 : real(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real) real = REAL("writev", ssize_t (*)(int, const struct iovec *, int));
    return fails_fd(fd) ? -1 : real(fd, parts, count);
}

#define PWRITE(name, offset_type)                                                         \
    ssize_t name(int fd, const void *bytes, size_t count, offset_type offset) {            \
        static ssize_t (*real)(int, const void *, size_t, offset_type);                    \
        if (!real) real = REAL(#name, ssize_t (*)(int, const void *, size_t, offset_type)); \
        return fails_fd(fd) ? -1 : real(fd, bytes, count, offset);                         \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

static int synced(int fd, int (*real)(int)) {
    const char *list = getenv("CRASH_DISK_SYNCED");
    char path[4096], line[4200];
    struct stat64 before;
    if (fails_fd(fd)) return -1;
    int known = list && path_of(fd, path, sizeof path) && fstat64(fd, &before) == 0 && S_ISREG(before.st_mode);
    /* Disks are slow, so that a kill meets what is written and not synced. */
    if (known && strstr(path, "/events/")) usleep(60000);
    int result = real(fd);
    if (result == 0 && known) {
        int length = snprintf(line, sizeof line, "%lld %s\n", (long long)before.st_size, path);
        int out = REAL("open", int (*)(const char *, int, ...))(list, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (out >= 0) {
            REAL("write", ssize_t (*)(int, const void *, size_t))(out, line, length);
            close(out);
        }
    }
    return result;
}

int fsync(int fd) { return synced(fd, REAL("fsync", int (*)(int))); }
int fdatasync(int fd) { return synced(fd, REAL("fdatasync", int (*)(int))); }

#define TRUNCATE(name, length_type)                                            \
    int name(int fd, length_type length) {                                     \
        return fails_fd(fd) && fault() != ENOSPC ? -1 : REAL(#name, int (*)(int, length_type))(fd, length); \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    return fails_path(to) ? -1 : REAL("rename", int (*)(const char *, const char *))(from, to);
}
int unlink(const char *path) {
    return is_ours(path) && fault() == EROFS ? (errno = EROFS, -1) : REAL("unlink", int (*)(const char *))(path);
}
int mkdir(const char *path, mode_t mode) {
    return fails_path(path) ? -1 : REAL("mkdir", int (*)(const char *, mode_t))(path, mode);
}
