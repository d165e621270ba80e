/* Remembers what a disk holds when power fails, for one directory of one process: of each file the
 * bytes as of its last fsync, of each directory the names as of its last fsync. Preloaded into the
 * process (LD_PRELOAD). WEFT_DURABLE_OF names the directory, WEFT_DURABLE where to remember:
 *
 *   files/KEY    the bytes of a file that were fsynced
 *   names/KEY    the names in a directory that were fsynced: "KEY NAME" per line
 *
 * KEY is inode, birth second and birth nanosecond, so that an inode that is used again is another
 * file. What the process did to the disk before it was started with this is put there beforehand.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define KEY_LENGTH 80
#define MOST_FILES 4096

struct file {
    char key[KEY_LENGTH];
    off_t from, to; /* what was written since the last fsync lies in between */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[MOST_FILES];
static int count;

static void give_up(const char *why) {
    fprintf(stderr, "power.c: %s: %s\n", why, strerror(errno));
    abort();
}

static const char *durable(void) { return getenv("WEFT_DURABLE"); }

/* Whether the descriptor is of something in the directory, and its key if so. */
static int tracked(int fd, struct statx *is, char *key) {
    const char *root = getenv("WEFT_DURABLE_OF");
    if (!root || !durable()) return 0;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, is)) return 0;
    if (!S_ISREG(is->stx_mode) && !S_ISDIR(is->stx_mode)) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    size_t length = strlen(root);
    if (n < (ssize_t)length || strncmp(path, root, length)) return 0;
    snprintf(key, KEY_LENGTH, "%llu-%lld-%u", (unsigned long long)is->stx_ino,
             (long long)is->stx_btime.tv_sec, is->stx_btime.tv_nsec);
    return 1;
}

static struct file *find(const char *key) {
    for (int i = 0; i < count; i++)
        if (!strcmp(files[i].key, key)) return &files[i];
    if (count == MOST_FILES) give_up("too many files");
    struct file *file = &files[count++];
    snprintf(file->key, KEY_LENGTH, "%s", key);
    file->from = file->to = 0;
    return file;
}

static void written(int fd, off_t from, off_t to) {
    int before = errno;
    struct statx is;
    char key[KEY_LENGTH];
    if (to > from && tracked(fd, &is, key)) {
        pthread_mutex_lock(&lock);
        struct file *file = find(key);
        if (file->from == file->to) {
            file->from = from;
            file->to = to;
        } else {
            if (from < file->from) file->from = from;
            if (to > file->to) file->to = to;
        }
        pthread_mutex_unlock(&lock);
    }
    errno = before;
}

static void keep_bytes(int fd, const char *key, off_t size) {
    char path[PATH_MAX], buffer[65536];
    snprintf(path, sizeof path, "%s/files/%s", durable(), key);
    int to = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (to < 0) give_up(path);
    struct file *file = find(key);
    /* Reading through a descriptor of its own: this one may be for writing only. */
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int from = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    if (from < 0) give_up(link);
    for (off_t at = file->from; at < file->to && at < size;) {
        off_t want = file->to - at;
        if (want > (off_t)sizeof buffer) want = sizeof buffer;
        ssize_t n = syscall(SYS_pread64, from, buffer, (size_t)want, at);
        if (n < 0) give_up("reading");
        if (n == 0) break;
        if (syscall(SYS_pwrite64, to, buffer, (size_t)n, at) != n) give_up("writing");
        at += n;
    }
    if (syscall(SYS_ftruncate, to, size)) give_up("truncating");
    file->from = file->to = 0;
    syscall(SYS_close, from);
    syscall(SYS_close, to);
}

static void keep_names(int fd, const char *key) {
    char path[PATH_MAX], temporary[PATH_MAX], link[64];
    snprintf(path, sizeof path, "%s/names/%s", durable(), key);
    snprintf(temporary, sizeof temporary, "%s/names/.%s", durable(), key);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    DIR *directory = opendir(link);
    FILE *out = fopen(temporary, "w");
    if (!directory || !out) give_up(temporary);
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        struct statx is;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (statx(dirfd(directory), entry->d_name, AT_SYMLINK_NOFOLLOW,
                  STATX_BASIC_STATS | STATX_BTIME, &is))
            continue;
        fprintf(out, "%llu-%lld-%u %s\n", (unsigned long long)is.stx_ino,
                (long long)is.stx_btime.tv_sec, is.stx_btime.tv_nsec, entry->d_name);
    }
    closedir(directory);
    fclose(out);
    if (rename(temporary, path)) give_up(path);
}

static void synced(int fd) {
    int before = errno;
    struct statx is;
    char key[KEY_LENGTH];
    if (tracked(fd, &is, key)) {
        pthread_mutex_lock(&lock);
        if (S_ISDIR(is.stx_mode))
            keep_names(fd, key);
        else
            keep_bytes(fd, key, (off_t)is.stx_size);
        pthread_mutex_unlock(&lock);
    }
    errno = before;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) {
    int result = REAL(fsync)(fd);
    if (!result) synced(fd);
    return result;
}

int fdatasync(int fd) {
    int result = REAL(fdatasync)(fd);
    if (!result) synced(fd);
    return result;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t n = syscall(SYS_write, fd, bytes, length);
    if (n > 0) {
        off_t to = lseek(fd, 0, SEEK_CUR);
        if (to >= n) written(fd, to - n, to);
    }
    return n;
}

ssize_t writev(int fd, const struct iovec *parts, int number) {
    ssize_t n = syscall(SYS_writev, fd, parts, number);
    if (n > 0) {
        off_t to = lseek(fd, 0, SEEK_CUR);
        if (to >= n) written(fd, to - n, to);
    }
    return n;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    ssize_t n = syscall(SYS_pwrite64, fd, bytes, length, at);
    if (n > 0) written(fd, at, at + n);
    return n;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    return pwrite64(fd, bytes, length, at);
}

int ftruncate64(int fd, off64_t length) {
    int result = syscall(SYS_ftruncate, fd, length);
    /* What lies behind the end is gone, whatever is written there later. */
    if (!result) written(fd, length, length + 1);
    return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }
