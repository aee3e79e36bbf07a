#include "fs/atime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define DAY_S            86400
#define MOUNTS_MAX_BYTES (1 << 20)
#define ADVICE           "mount it with relatime, or leave PERDURA_CLEANUP_DAYS off"

/* "\040" stands for a blank in /proc/self/mountinfo. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at; to++) {
        unsigned code;
        if (*at == '\\' && sscanf(at, "\\%3o", &code) == 1) {
            *to = (char)code;
            at += 4;
        } else {
            *to = *at++;
        }
    }
    *to = '\0';
}

static int is_beneath(const char *path, const char *root)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
    return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static int has_noatime(const char *options)
{
    for (const char *at = options; (at = strstr(at, "noatime")); at++)
        if ((at == options || at[-1] == ',') && (at[7] == ',' || at[7] == '\0'))
            return 1;
    return 0;
}

int atime_mount(const char *mounts, const char *root, char *ret, size_t size)
{
    char point[PATH_MAX], options[512];
    for (const char *line = mounts; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (sscanf(line, "%*s %*s %*s %*s %4095s %511s", point, options) != 2)
            continue;
        unescape(point);
        if (!is_beneath(point, root) || !has_noatime(options))
            continue;
        (void)snprintf(ret, size, "%s", point);
        return 1;
    }
    return 0;
}

static int read_mounts(struct buf *ret)
{
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n;
    char part[4096];
    int r = 0;
    while (r == 0 && (n = read(fd, part, sizeof part)) > 0)
        r = buf_add(ret, part, (size_t)n);
    close(fd);
    return r;
}

/* Where /proc is not mounted, the probe alone decides. */
static int check_mounts(const char *root, struct error *e)
{
    char real[PATH_MAX], point[PATH_MAX];
    struct buf mounts;
    int r = 0;
    buf_init(&mounts, MOUNTS_MAX_BYTES);
    if (realpath(root, real) && read_mounts(&mounts) == 0 && mounts.data &&
        atime_mount(mounts.data, real, point, sizeof point))
        r = error_set(e, -ENOTSUP, "%s is mounted with noatime: %s", point, ADVICE);
    buf_release(&mounts);
    return r;
}

/* Whether reading changes the access time of a file that was last read two days ago. -errno. */
static int probe(int folder, const char *name, int fd)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - 2 * DAY_S}, {.tv_sec = time(NULL) - 3 * DAY_S}};
    struct stat before, after;
    char byte = 0;
    if (write(fd, &byte, 1) != 1 || futimens(fd, times) < 0 || fstat(fd, &before) < 0)
        return -errno;
    int reader = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (reader < 0)
        return -errno;
    int r = read(reader, &byte, 1) == 1 && fstat(reader, &after) == 0
                ? clock_ns(after.st_atim) > clock_ns(before.st_atim)
                : -EIO;
    close(reader);
    return r;
}

int atime_check(struct staging *s, const char *root, struct error *e)
{
    char name[STAGING_NAME_SIZE];
    struct statvfs fs;
    int fd = staging_create(s, name);
    if (fd < 0)
        return error_set(e, fd, "access times in %s cannot be tested: no file can be created: %s", root, strerror(-fd));
    int r = probe(staging_folder(s), name, fd);
    (void)unlinkat(staging_folder(s), name, 0);
    int by_mount = fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_NOATIME);
    close(fd);
    if (r < 0)
        return error_set(e, r, "access times in %s cannot be tested: %s", root, strerror(-r));
    if (r == 0)
        return error_set(e, -ENOTSUP, "reading a file in %s does not change its access time%s: %s", root,
                         by_mount ? " (mounted with noatime)" : "", ADVICE);
    return check_mounts(root, e);
}
