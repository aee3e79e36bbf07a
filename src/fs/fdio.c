#include "fs/fdio.h"

#include <errno.h>
#include <unistd.h>

#define PIECE (64 << 10)

int fdio_write(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

int fdio_read(int fd, void *to, size_t n, int64_t offset)
{
    char *at = to;
    while (n) {
        ssize_t got = pread(fd, at, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        at += got;
        offset += got;
        n -= (size_t)got;
    }
    return 0;
}

int fdio_copy(int to, int from, int64_t n)
{
    char piece[PIECE];
    int r = 0;
    for (int64_t at = 0; r == 0 && at < n; at += PIECE) {
        size_t some = n - at < PIECE ? (size_t)(n - at) : PIECE;
        r = fdio_read(from, piece, some, at);
        if (r == 0)
            r = fdio_write(to, piece, some);
    }
    return r;
}
