#include "fs/readfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/fserror.h"

#define TRIES            5
#define RETRY_NS         (5 * NS_PER_MS)
#define TICK_WAIT_MAX_NS (20 * NS_PER_MS)
#define FUTURE_LIMIT_NS  (1000 * NS_PER_MS)
#define NS_PER_MS        INT64_C(1000000)

typedef int open_fn(int root_fd, const char *path, int flags, enum safepath_links links);

static int open_by(open_fn *open_path, struct readfile *f, int root_fd, const char *path, enum safepath_links links,
                   struct error *e)
{
    /* O_NONBLOCK: opening a FIFO would wait for its writer. O_NOATIME is for the owner only. */
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
    int fd = open_path(root_fd, path, flags | O_NOATIME, links);
    if (fd == -EPERM)
        fd = open_path(root_fd, path, flags, links);
    if (fd == -ENXIO)
        return error_set(e, fd, "is a socket or a device, and only files are read: remove it");
    if (fd < 0)
        return fserror_set(e, fd, "can't be opened");

    struct stat st;
    int r = 0;
    if (fstat(fd, &st) < 0)
        r = fserror_set(e, -errno, "can't be looked at");
    else if (S_ISDIR(st.st_mode))
        r = error_set(e, -EISDIR, "is a folder, and only files are read: name a file in it");
    else if (!S_ISREG(st.st_mode))
        r = error_set(e, -ENXIO, "is a FIFO or a device, and only files are read: remove it");
    if (r < 0) {
        close(fd);
        return r;
    }
    *f = (struct readfile){.fd = fd, .st = st};
    return 0;
}

int readfile_open(struct readfile *f, int root_fd, const char *path, enum safepath_links links, struct error *e)
{
    return open_by(safepath_open, f, root_fd, path, links, e);
}

int readfile_open_cached(struct readfile *f, int root_fd, const char *path, enum safepath_links links)
{
    return open_by(safepath_open_cached, f, root_fd, path, links, NULL);
}

/* Reads at most n bytes from the start, until `enough` are there or the file ends. The number of bytes or -errno. */
static ssize_t read_start(int fd, char *to, size_t n, size_t enough)
{
    size_t have = 0;
    while (have < enough) {
        ssize_t got = pread(fd, to + have, n - have, (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

int readfile_head(const struct readfile *f, void *head, size_t n, size_t *ret_n, struct error *e)
{
    ssize_t got = read_start(f->fd, head, n, n);
    if (got < 0)
        return fserror_set(e, (int)got, "can't be read");
    *ret_n = (size_t)got;
    return 0;
}

static int same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           clock_ns(a->st_mtim) == clock_ns(b->st_mtim) && clock_ns(a->st_ctim) == clock_ns(b->st_ctim);
}

/* How long until the coarse clock is past `stamp`; 0 when it is, or when the stamp is so far ahead that somebody set
 * it and no write did. */
static int64_t tick_left_ns(struct timespec stamp)
{
    struct timespec now;
    struct timespec tick;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    clock_getres(CLOCK_REALTIME_COARSE, &tick);
    int64_t ahead = clock_ns(stamp) - clock_ns(now);
    return ahead < 0 || ahead > FUTURE_LIMIT_NS ? 0 : ahead + clock_ns(tick);
}

static int64_t ticks_left_ns(const struct stat *st)
{
    int64_t by_mtime = tick_left_ns(st->st_mtim);
    int64_t by_ctime = tick_left_ns(st->st_ctim);
    return by_mtime > by_ctime ? by_mtime : by_ctime;
}

/* Filesystems stamp files with the coarse clock, which moves every 1 to 10 ms. A file written in the current tick can
 * be written once more within it, after we read it, and keep the very same mtime and ctime: no comparison would ever
 * notice (git calls such a file "racily clean"). Once the clock is past both stamps, each further write sets them
 * anew. The clock may be late (a virtual CPU that is not run), so it is looked at again. Stamps that stay ahead of the
 * clock come from a file server's: the wait is limited.
 *
 * 1 when the file may be read, 0 when it is not as in st any more, -errno. */
static int wait_out_tick(int fd, const struct stat *st)
{
    int64_t waited = 0, left;
    while ((left = ticks_left_ns(st)) > 0 && waited < TICK_WAIT_MAX_NS) {
        if (left > TICK_WAIT_MAX_NS - waited)
            left = TICK_WAIT_MAX_NS - waited;
        clock_sleep_ns(left);
        waited += left;
    }
    if (!waited)
        return 1;

    struct stat after;
    if (fstat(fd, &after) < 0)
        return -errno;
    return same(st, &after);
}

/* Reads st->st_size bytes to `to`, which has room for one more. 1 when the file held exactly those before and after, 0
 * when it moved, -errno. */
static int read_steady(int fd, char *to, const struct stat *st)
{
    size_t size = (size_t)st->st_size;
    ssize_t got = read_start(fd, to, size + 1, size);
    if (got < 0)
        return (int)got;
    if (got != st->st_size)
        return 0;

    struct stat after;
    if (fstat(fd, &after) < 0)
        return -errno;
    return same(st, &after);
}

/* One try, with the file as it is now. 1 when the bytes were added to `into`, 0 when the file moved, -errno and a text.
 * With ret_fresh NULL it waits until the file is not fresh; else that only says whether there was something to wait
 * for. */
static int try_all(int fd, const struct stat *st, size_t max_bytes, struct buf *into, struct stat *ret_st,
                   int *ret_fresh, struct error *e)
{
    int r = 1;
    if (ret_fresh)
        *ret_fresh = ticks_left_ns(st) > 0;
    else
        r = wait_out_tick(fd, st);
    if (r < 0)
        return fserror_set(e, r, "can't be looked at");
    size_t size = (size_t)st->st_size;
    if (size > max_bytes) {
        *ret_st = *st;
        return error_set(e, -EFBIG, "is %zu bytes large, at most %zu are taken: make it smaller or raise the limit",
                         size, max_bytes);
    }
    if (r == 0)
        return 0;

    char *to;
    r = buf_reserve(into, size, &to);
    if (r == -EMSGSIZE)
        return error_set(e, r, "is %zu bytes large, more than there is room for: make it smaller or raise the limit",
                         size);
    if (r < 0)
        return fserror_set(e, r, "can't be read");
    r = read_steady(fd, to, st);
    to[r == 1 ? size : 0] = '\0';
    if (r < 0)
        return fserror_set(e, r, "can't be read");
    if (r == 1) {
        into->len += size;
        *ret_st = *st;
    }
    return r;
}

static int read_all(const struct readfile *f, size_t max_bytes, struct buf *into, struct stat *ret_st, int *ret_fresh,
                    struct error *e)
{
    struct stat st = f->st;
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            clock_sleep_ns(RETRY_NS);
        if (i > 0 && fstat(f->fd, &st) < 0)
            return fserror_set(e, -errno, "can't be looked at");
        int r = try_all(f->fd, &st, max_bytes, into, ret_st, ret_fresh, e);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return error_set(e, -EBUSY, "is still being written; the next run takes it");
}

int readfile_all(const struct readfile *f, size_t max_bytes, struct buf *into, struct stat *ret_st, struct error *e)
{
    return read_all(f, max_bytes, into, ret_st, NULL, e);
}

int readfile_at_once(const struct readfile *f, size_t max_bytes, struct buf *into, struct stat *ret_st, int *ret_fresh,
                     struct error *e)
{
    return read_all(f, max_bytes, into, ret_st, ret_fresh, e);
}

/* One try: 1, 0 when the file moved, -errno. */
static int try_visit(int fd, readfile_visit_fn *visit, void *arg, struct stat *ret_st, int *ret_fresh, struct error *e)
{
    struct stat st, after;
    int r = fstat(fd, &st) < 0 ? -errno : 1;
    if (r == 1 && ret_fresh)
        *ret_fresh = ticks_left_ns(&st) > 0;
    else if (r == 1)
        r = wait_out_tick(fd, &st);
    if (r < 0)
        return fserror_set(e, r, "can't be looked at");
    if (r == 0)
        return 0;
    r = visit(arg, fd, &st, e);
    if (fstat(fd, &after) < 0)
        return fserror_set(e, -errno, "can't be looked at");
    if (!same(&st, &after)) /* whatever came of it */
        return 0;
    *ret_st = st;
    return r < 0 ? r : 1;
}

int readfile_visit(const struct readfile *f, readfile_visit_fn *visit, void *arg, struct stat *ret_st, int *ret_fresh,
                   struct error *e)
{
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            clock_sleep_ns(RETRY_NS);
        int r = try_visit(f->fd, visit, arg, ret_st, ret_fresh, e);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return error_set(e, -EBUSY, "is still being written; the next run takes it");
}

void readfile_close(struct readfile *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

int readfile(int root_fd, const char *path, enum safepath_links links, size_t max_bytes, struct buf *into,
             struct stat *ret_st, struct error *e)
{
    struct readfile f;
    int r = readfile_open(&f, root_fd, path, links, e);
    if (r < 0)
        return r;
    r = readfile_all(&f, max_bytes, into, ret_st, e);
    readfile_close(&f);
    return r;
}
