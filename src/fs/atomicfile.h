/* Files that are complete or absent, whatever is killed.
 *
 * The rules:
 *  1. Bytes are written to a temporary file in <root>/.perdura/tmp.XXXXXX/, a folder of this process alone, on the
 *     same filesystem as the target.
 *  2. The temporary's content is on the medium before the rename: fdatasync(2) for a few files, one syncfs(2) for many.
 *  3. rename(2) gives it its name in one step; without leave to replace, RENAME_NOREPLACE (a file that appeared
 *     meanwhile wins), else RENAME_EXCHANGE and a look at what came out (a file that was written meanwhile goes back,
 *     if need be by whoever sweeps after us: fs/naming.h).
 *  4. The owner holds a flock(2) in its folder while it lives. Whoever opens a staging folder first removes those
 *     whose lock it can take: their owners are dead. No clock, no process id, so it holds across containers too.
 *
 *     staging_open -> [ atomicfile_write ]... -> atomicfile_publish -> ... -> staging_sync -> staging_close
 *
 * One staging may be shared by threads; one atomicfile belongs to one thread. Texts are written to follow
 * the path, which they do not repeat. */
#ifndef FS_ATOMICFILE_H
#define FS_ATOMICFILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "fs/staging.h"

struct atomicfile;

/* Has a say right before a file gets its name: enter answers 0, and leave follows once it is done, or why not. */
struct atomicfile_gate {
    int (*enter)(void *arg, const struct atomicfile *f);
    void (*leave)(void *arg);
    void *arg;
};

struct atomicfile {
    char name[STAGING_NAME_SIZE]; /* inside the staging folder; empty once published or dropped */
    const char *path;             /* where it shall go; borrowed, must live until published or dropped */
    int replace;                  /* 0: only if nothing is there; 1: replace the file that `seen` is, and no other */
    struct stat seen;             /* with replace: st_dev, st_ino, st_size and st_mtim of that file */
    const struct atomicfile_gate *gate; /* NULL: none */
    uint64_t mark;                      /* the gate's */
    int64_t atime_ns;                   /* last access to be set, since 1970; 0: the time of writing */
    struct stat made;                   /* once written: the temporary's st_dev, st_ino, st_size and st_mtim */
    int result;                         /* after publishing: 0 or an -errno, see there */
    struct error error;                 /* the same in words */
};

/* Writes one temporary: n bytes, mtime as given (nanoseconds since 1970; INT64_MIN leaves it as it is), mode 0666 less
 * umask. Fills f->name; the caller sets path, replace and seen. -errno (-ENOSPC for a full disk); nothing is left. */
int atomicfile_write(struct staging *s, struct atomicfile *f, const void *bytes, size_t n, int64_t mtime_ns,
                     struct error *e) __attribute__((warn_unused_result));

/* Likewise for bytes that come piece by piece: atomicfile_open returns a descriptor, which is written to, and
 * atomicfile_close closes it. With a code below 0 as `outcome`, or when it fails itself, nothing is left. */
int atomicfile_open(struct staging *s, struct atomicfile *f, struct error *e) __attribute__((warn_unused_result));
int atomicfile_close(struct staging *s, struct atomicfile *f, int fd, int64_t mtime_ns, int outcome, struct error *e)
    __attribute__((warn_unused_result));

/* Likewise, the first n bytes of an open file. One that has fewer: -EIO. */
int atomicfile_copy(struct staging *s, struct atomicfile *f, int from, int64_t n, int64_t mtime_ns, struct error *e)
    __attribute__((warn_unused_result));

/* Syncs and renames `count` temporaries, making folders as needed; each one's outcome is in its `result`. A few files
 * are synced one by one, and their folders too; more get one syncfs(2), and their folders' entries are left to a later
 * staging_sync(). Temporaries that could not be published are removed. Returns the number published, or -errno when
 * the sync itself failed (then none was renamed and every result holds that error).
 *
 * Results: -EEXIST something else is there now, -EISDIR a folder is there, -ENOENT with replace nothing is there any
 * more, -EXDEV the folder is a mount point or lies beneath one, what the gate said, or another -errno. */
int atomicfile_publish(struct staging *s, struct atomicfile *files, int count) __attribute__((warn_unused_result));

/* Removes a temporary that shall not be published; one that was published or dropped already is left as it is. */
void atomicfile_drop(struct staging *s, struct atomicfile *f);

/* Removes the file that `seen` (see above) is, and no other: it is taken aside first, and one that was written
 * meanwhile goes back. 0; -EEXIST: it was another one; -ENOENT, or another -errno. */
int atomicfile_remove(struct staging *s, const char *path, const struct stat *seen) __attribute__((warn_unused_result));

/* Likewise where nothing can be taken aside, as on a full disk: what is written between the look and the removal is
 * lost. */
int atomicfile_remove_now(int root_fd, const char *path, const struct stat *seen) __attribute__((warn_unused_result));

#endif
