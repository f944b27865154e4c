/* A library for LD_PRELOAD that makes a file system misbehave below one folder, when a control file says so.

   Environment: COGTUI_SOAK_CONTROL, a file with `struct control`, shared by all processes and written by the harness;
   COGTUI_SOAK_ROOT, the folder; COGTUI_SOAK_SHADOW, a folder on the same file system that records what was synced.

   Shadow, for a simulated loss of power (tests/soak/power_loss.py): `f-INODE` is the content of a file at its last
   sync, `l-INODE` a hard link that keeps the inode from being used again, and `d-INODE` the entries of a folder at its
   last sync, each `INODE NAME` with a NUL at its end. What is below a folder `index` is left out: it can be rebuilt.

   Calls are made by syscall(), so that this needs no look-up of the functions it replaces. Calls that libc makes inside
   itself (fopen, and so C++ streams) are not seen. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FULL = 1, READ_ONLY = 2, WRITE_ERROR = 4, READ_ERROR = 8, SHORT = 16 };

struct control {
    uint32_t faults;   /* bits of the enum above */
    uint32_t permille; /* of the calls to which WRITE_ERROR, READ_ERROR and SHORT apply */
    int64_t budget;    /* bytes that can still be written before FULL applies */
    int64_t clock_ns;  /* added to the wall clock */
    uint64_t seed;
    uint64_t calls;    /* calls that were looked at */
    uint64_t injected; /* calls that failed or were cut short */
};

static struct control *control;
static char root[PATH_MAX];
static size_t root_length;
static const char *shadow;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("COGTUI_SOAK_CONTROL"), *folder = getenv("COGTUI_SOAK_ROOT");
    if (!path || !folder || strlen(folder) >= sizeof root) return;
    strcpy(root, folder);
    root_length = strlen(root);
    shadow = getenv("COGTUI_SOAK_SHADOW");
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (mapped != MAP_FAILED) control = mapped;
}

static int below_root(const char *path) {
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int fd_below_root(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return below_root(path);
}

static int path_below_root(int folder, const char *path) {
    char whole[PATH_MAX];
    if (!path) return 0;
    if (path[0] == '/') return below_root(path);
    if (folder != AT_FDCWD) return fd_below_root(folder);
    return getcwd(whole, sizeof whole) && below_root(whole);
}

/* A number below 1000 that depends on the seed and on how many calls there were. */
static unsigned draw(void) {
    uint64_t x = control->seed + 0x9E3779B97F4A7C15ULL * (1 + __atomic_fetch_add(&control->calls, 1, __ATOMIC_RELAXED));
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return (unsigned)((x ^ (x >> 31)) % 1000);
}

static int fail(int number) {
    __atomic_fetch_add(&control->injected, 1, __ATOMIC_RELAXED);
    errno = number;
    return -1;
}

/* Whether bytes replace others of the file: that needs no space, on a full disk neither. */
static int replaces(int fd, size_t count, off_t offset) {
    struct stat there;
    if (fstat(fd, &there) || !S_ISREG(there.st_mode)) return 0;
    if (offset < 0) {
        if (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND) return 0;
        offset = (off_t)syscall(SYS_lseek, fd, 0L, SEEK_CUR);
    }
    return offset >= 0 && offset + (off_t)count <= there.st_size;
}

/* How many of `count` bytes may be written at an offset, or the file's own if negative; -1 with errno if none. */
static ssize_t allowed(int fd, size_t count, off_t offset) {
    if (!control || !control->faults || !count) return (ssize_t)count;
    int kept = errno;
    int ours = fd_below_root(fd);
    errno = kept;
    if (!ours) return (ssize_t)count;
    uint32_t faults = control->faults;
    unsigned number = draw();
    if (faults & READ_ONLY) return fail(EROFS);
    if ((faults & WRITE_ERROR) && number < control->permille) return fail(EIO);
    if ((faults & FULL) && !replaces(fd, count, offset)) {
        int64_t left = __atomic_fetch_sub(&control->budget, (int64_t)count, __ATOMIC_RELAXED);
        if (left <= 0) return fail(ENOSPC);
        if (left < (int64_t)count) {
            fail(0);
            return (ssize_t)left;
        }
    }
    if ((faults & SHORT) && count > 1 && number < control->permille) {
        fail(0);
        return (ssize_t)(1 + number % (count - 1));
    }
    return (ssize_t)count;
}

/* 0, or -1 with errno, for a call that makes or changes an entry. */
static int entry(int folder, const char *path) {
    if (!control || !control->faults) return 0;
    int kept = errno;
    int ours = path_below_root(folder, path);
    errno = kept;
    if (!ours) return 0;
    unsigned number = draw();
    if (control->faults & READ_ONLY) return fail(EROFS);
    if ((control->faults & FULL) && control->budget <= 0) return fail(ENOSPC);
    if ((control->faults & WRITE_ERROR) && number < control->permille) return fail(EIO);
    return 0;
}

static int readable(int fd) {
    if (!control || !(control->faults & READ_ERROR)) return 0;
    int kept = errno;
    int ours = fd_below_root(fd);
    errno = kept;
    return ours && draw() < control->permille ? fail(EIO) : 0;
}

ssize_t write(int fd, const void *data, size_t count) {
    ssize_t some = allowed(fd, count, -1);
    return some < 0 ? -1 : syscall(SYS_write, fd, data, (size_t)some);
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset) {
    ssize_t some = allowed(fd, count, offset);
    return some < 0 ? -1 : syscall(SYS_pwrite64, fd, data, (size_t)some, offset);
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t offset) { return pwrite64(fd, data, count, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    size_t total = 0;
    for (int each = 0; each < count; each++) total += parts[each].iov_len;
    ssize_t some = allowed(fd, total, -1);
    if (some < 0) return -1;
    if ((size_t)some < total && count) {
        size_t first = parts[0].iov_len < (size_t)some ? parts[0].iov_len : (size_t)some;
        return syscall(SYS_write, fd, parts[0].iov_base, first);
    }
    return syscall(SYS_writev, fd, parts, count);
}

ssize_t read(int fd, void *data, size_t count) {
    return readable(fd) ? -1 : syscall(SYS_read, fd, data, count);
}

ssize_t pread64(int fd, void *data, size_t count, off64_t offset) {
    return readable(fd) ? -1 : syscall(SYS_pread64, fd, data, count, offset);
}

ssize_t pread(int fd, void *data, size_t count, off_t offset) { return pread64(fd, data, count, offset); }

static int open_at(int folder, const char *path, int flags, mode_t mode) {
    if (control && control->faults) {
        struct stat there;
        int writes = (flags & O_ACCMODE) != O_RDONLY;
        int makes = (flags & O_CREAT) && syscall(SYS_newfstatat, folder, path, &there, 0) < 0;
        if ((makes || (writes && (control->faults & READ_ONLY))) && entry(folder, path)) return -1;
    }
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define MODE_OF(flags)                               \
    mode_t mode = 0;                                 \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list rest;                                \
        va_start(rest, flags);                       \
        mode = va_arg(rest, mode_t);                 \
        va_end(rest);                                \
    }

int open(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE_OF(flags) return open_at(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE_OF(flags) return open_at(folder, path, flags, mode); }

int mkdirat(int folder, const char *path, mode_t mode) {
    return entry(folder, path) ? -1 : (int)syscall(SYS_mkdirat, folder, path, mode);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* A rename and a removal need no space. */
static int changes(int folder, const char *path) {
    if (!control || !(control->faults & (READ_ONLY | WRITE_ERROR))) return 0;
    return entry(folder, path);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    return changes(to, new) ? -1 : (int)syscall(SYS_renameat2, from, old, to, new, flags);
}
int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }
int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int linkat(int from, const char *old, int to, const char *new, int flags) {
    return entry(to, new) ? -1 : (int)syscall(SYS_linkat, from, old, to, new, flags);
}
int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

/* The inode of a removed folder may be used again, by one whose entries were never synced. */
int unlinkat(int folder, const char *path, int flags) {
    struct stat there;
    if (changes(folder, path)) return -1;
    int known = shadow && (flags & AT_REMOVEDIR) &&
                !syscall(SYS_newfstatat, folder, path, &there, AT_SYMLINK_NOFOLLOW);
    int result = (int)syscall(SYS_unlinkat, folder, path, flags);
    if (!result && known) {
        char name[PATH_MAX];
        int kept = errno;
        snprintf(name, sizeof name, "%s/d-%lu", shadow, (unsigned long)there.st_ino);
        syscall(SYS_unlinkat, AT_FDCWD, name, 0);
        errno = kept;
    }
    return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

/* Copies the first `size` bytes of a file, or the entries of a folder, to a new file aside. */
static int copy_state(int fd, const struct stat *status, const char *aside) {
    int out = (int)syscall(SYS_openat, AT_FDCWD, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) return -1;
    char link[64], block[1 << 16];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (S_ISDIR(status->st_mode)) {
        DIR *folder = opendir(link);
        struct dirent *found;
        while (folder && (found = readdir(folder))) {
            if (!strcmp(found->d_name, ".") || !strcmp(found->d_name, "..")) continue;
            int n = snprintf(block, sizeof block, "%lu %s", (unsigned long)found->d_ino, found->d_name);
            syscall(SYS_write, out, block, (size_t)n + 1);
        }
        if (folder) closedir(folder);
    } else {
        int in = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
        off_t left = status->st_size;
        while (in >= 0 && left > 0) {
            ssize_t n = syscall(SYS_read, in, block, left < (off_t)sizeof block ? (size_t)left : sizeof block);
            if (n <= 0) break;
            syscall(SYS_write, out, block, (size_t)n);
            left -= n;
        }
        if (in >= 0) syscall(SYS_close, in);
    }
    syscall(SYS_close, out);
    return 0;
}

static int sync_fd(int fd, long number) {
    char link[64], path[PATH_MAX], aside[PATH_MAX], name[PATH_MAX];
    struct stat status;
    int kept = errno, ours = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (n > 0) {
        path[n] = 0;
        ours = control && below_root(path);
    }
    errno = kept;
    if (ours && control->faults) {
        unsigned drawn = draw();
        if ((control->faults & WRITE_ERROR) && drawn < control->permille) return fail(EIO);
        if (control->faults & READ_ONLY) return fail(EROFS);
    }
    int records = ours && shadow && !strstr(path, "/index/") && !fstat(fd, &status);
    if (records) {
        snprintf(aside, sizeof aside, "%s/t-%d-%ld", shadow, getpid(), (long)syscall(SYS_gettid));
        records = !copy_state(fd, &status, aside);
    }
    errno = kept;
    int result = (int)syscall(number, fd);
    if (records && !result) {
        int is_folder = S_ISDIR(status.st_mode);
        snprintf(name, sizeof name, "%s/%c-%lu", shadow, is_folder ? 'd' : 'f', (unsigned long)status.st_ino);
        syscall(SYS_renameat2, AT_FDCWD, aside, AT_FDCWD, name, 0);
        if (!is_folder) {
            snprintf(name, sizeof name, "%s/l-%lu", shadow, (unsigned long)status.st_ino);
            syscall(SYS_linkat, AT_FDCWD, link, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
        }
        errno = kept;
    }
    return result;
}

int fsync(int fd) { return sync_fd(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_fd(fd, SYS_fdatasync); }

/* The wall clock, moved; other clocks and the times of files are not. */
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (!result && clock == CLOCK_REALTIME && control && control->clock_ns) {
        int64_t total = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + control->clock_ns;
        now->tv_sec = total / 1000000000;
        now->tv_nsec = total % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise)) return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (where) *where = precise.tv_sec;
    return precise.tv_sec;
}
