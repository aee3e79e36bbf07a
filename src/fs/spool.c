#include "fs/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/fdio.h"

void spool_init(struct spool *s, size_t memory_max)
{
    *s = (struct spool){.fd = -1};
    buf_init(&s->memory, memory_max);
}

void spool_release(struct spool *s)
{
    if (s->fd >= 0)
        close(s->fd);
    buf_release(&s->memory);
    s->fd = -1;
    s->size = 0;
}

/* Where O_TMPFILE is not known (overlay filesystems before Linux 6.6), the name is taken away at once. */
static int make_file(const char *folder)
{
    char name[4096];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
        return fd < 0 ? -errno : fd;
    if (snprintf(name, sizeof name, "%s/perdura.XXXXXX", folder) >= (int)sizeof name)
        return -ENAMETOOLONG;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    (void)unlink(name);
    return fd;
}

/* /tmp comes last: it lies in memory on many machines. */
int spool_file(struct error *e)
{
    const char *const folders[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    int fd = -ENOENT, first = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (!folders[i] || !*folders[i])
            continue;
        fd = make_file(folders[i]);
        if (fd >= 0)
            return fd;
        first = first ? first : fd;
    }
    return error_set_sentence(e, first, "no temporary file in TMPDIR, /var/tmp or /tmp: %s", strerror(-first));
}

static int write_file(int fd, const void *bytes, size_t n, struct error *e)
{
    int r = fdio_write(fd, bytes, n);
    return r < 0 ? error_set_sentence(e, r, "a temporary file (TMPDIR) can't be written: %s", strerror(-r)) : 0;
}

/* What is in memory goes to the file, and whatever comes after it. */
static int spill(struct spool *s, struct error *e)
{
    int fd = spool_file(e);
    if (fd < 0)
        return fd;
    int r = write_file(fd, s->memory.data, s->memory.len, e);
    if (r < 0) {
        close(fd);
        return r;
    }
    buf_release(&s->memory);
    s->fd = fd;
    return 0;
}

int spool_add(struct spool *s, const void *bytes, size_t n, struct error *e)
{
    int r = 0;
    if (s->fd < 0 && n > s->memory.max - s->memory.len)
        r = spill(s, e);
    if (r < 0)
        return r;
    r = s->fd >= 0 ? write_file(s->fd, bytes, n, e) : buf_add(&s->memory, bytes, n);
    if (r == -ENOMEM)
        error_set_sentence(e, r, "out of memory");
    if (r == 0)
        s->size += (int64_t)n;
    return r;
}

int spool_read(const struct spool *s, int64_t offset, void *to, size_t n, size_t *ret_n)
{
    int64_t left = s->size > offset ? s->size - offset : 0;
    if ((int64_t)n > left)
        n = (size_t)left;
    int r = 0;
    if (s->fd >= 0)
        r = fdio_read(s->fd, to, n, offset);
    else if (n)
        memcpy(to, s->memory.data + offset, n);
    if (r == 0)
        *ret_n = n;
    return r;
}
