/* For LD_PRELOAD: a disk that is slow. Each read at a file's start whose path begins with SLOW_FOLDER takes
 * SLOW_READ_MS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_slow(int fd, off_t at)
{
    char link[64], path[4096];
    const char *folder = getenv("SLOW_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = at == 0 && folder ? readlink(link, path, sizeof path) : -1;
    return n > 0 && (size_t)n > strlen(folder) && memcmp(path, folder, strlen(folder)) == 0;
}

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    static ssize_t (*next)(int, void *, size_t, off_t);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "pread");
    if (is_slow(fd, at))
        usleep((useconds_t)atoi(getenv("SLOW_READ_MS")) * 1000);
    return next(fd, to, n, at);
}

ssize_t pread64(int fd, void *to, size_t n, off_t at)
{
    return pread(fd, to, n, at);
}

ssize_t __pread_chk(int fd, void *to, size_t n, off_t at, size_t room)
{
    (void)room;
    return pread(fd, to, n, at);
}

ssize_t __pread64_chk(int fd, void *to, size_t n, off_t at, size_t room)
{
    (void)room;
    return pread(fd, to, n, at);
}
