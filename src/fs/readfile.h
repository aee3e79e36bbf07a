/* Reading whole files that other programs may be writing at the same moment.
 *
 * What readfile_all hands out is what the file held at one point in time: it compares size, mtime, ctime and inode
 * before and after, and reads again when they moved. Nothing but a regular file is read; a FIFO or device in a file's
 * place is refused and never waited for. Texts are written to follow the path, which they do not repeat.
 *
 *     readfile_open -> [ readfile_head ] -> [ readfile_all ] -> readfile_close
 *
 * One readfile belongs to one thread. */
#ifndef FS_READFILE_H
#define FS_READFILE_H

#include <stddef.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/error.h"
#include "fs/safepath.h"

struct readfile {
    int fd;
    struct stat st; /* as it was when the file was opened */
};

/* Opens `path` beneath root_fd. -EISDIR for a folder, -ENXIO for a FIFO, socket or device, or what safepath_open
 * answers; there is nothing to close then. */
int readfile_open(struct readfile *f, int root_fd, const char *path, enum safepath_links links, struct error *e)
    __attribute__((warn_unused_result));

/* Likewise, if no disk has to be waited for; else -EAGAIN (safepath_open_cached). */
int readfile_open_cached(struct readfile *f, int root_fd, const char *path, enum safepath_links links)
    __attribute__((warn_unused_result));

/* Reads up to n bytes from the file's start and sets *ret_n to how many there were. For a first look only: the file
 * may be being written. */
int readfile_head(const struct readfile *f, void *head, size_t n, size_t *ret_n, struct error *e)
    __attribute__((warn_unused_result));

/* Appends the whole file to `into` and sets *ret_st to what it was while it was read. Sleeps a few ms when the file is
 * fresh, some 100 at worst. Larger than max_bytes: -EFBIG, nothing is read, and *ret_st is set nevertheless. Still
 * changing after some tries: -EBUSY. More than `into` may hold: -EMSGSIZE. On failure `into` holds what it held. */
int readfile_all(const struct readfile *f, size_t max_bytes, struct buf *into, struct stat *ret_st, struct error *e)
    __attribute__((warn_unused_result));

/* As readfile_all, without the wait for a fresh file. *ret_fresh tells that it was one: it may be written once more and
 * keep the very stamps that *ret_st has, so whoever takes it must come back and read it with readfile_all. */
int readfile_at_once(const struct readfile *f, size_t max_bytes, struct buf *into, struct stat *ret_st, int *ret_fresh,
                     struct error *e) __attribute__((warn_unused_result));

/* As readfile_all, for files that are too large for memory: `visit` reads the st->st_size bytes from the descriptor by
 * pread(2), and is called again when the file moved meanwhile. What it returns below 0 is returned, with its text.
 * ret_fresh may be NULL: then a fresh file is waited for. */
typedef int readfile_visit_fn(void *arg, int fd, const struct stat *st, struct error *e);

int readfile_visit(const struct readfile *f, readfile_visit_fn *visit, void *arg, struct stat *ret_st, int *ret_fresh,
                   struct error *e) __attribute__((warn_unused_result));

void readfile_close(struct readfile *f);

/* All of it in one call. */
int readfile(int root_fd, const char *path, enum safepath_links links, size_t max_bytes, struct buf *into,
             struct stat *ret_st, struct error *e) __attribute__((warn_unused_result));

#endif
