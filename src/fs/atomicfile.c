#include "fs/atomicfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/fdio.h"
#include "fs/fserror.h"
#include "fs/naming.h"
#include "fs/safepath.h"

/* Up to this many files, one fdatasync each is quicker than a syncfs, which also waits for what others wrote. */
#define FEW 4

/* From this size on, writeback starts at once, so that the sync before the rename finds little left to do. */
#define EARLY_WRITEBACK_BYTES (64 * 1024)

/* One call of atomicfile_publish: the folder last opened is kept, for consecutive files often share it. */
struct publishing {
    struct staging *s;
    struct atomicfile *files;
    int one_by_one;     /* files and folders are synced each for itself */
    int folder_fd;      /* -1 when none is open */
    const char *path;   /* of the file for whose sake the folder was opened */
    size_t path_len;    /* of the folder's part of it */
    int folder_is_new;  /* it was made, and so its own entry must be synced, too */
    int folder_changed; /* something was renamed into it */
    int first;          /* index of the first file that went into it */
};

static int settle(int fd, int64_t atime_ns, int64_t mtime_ns, struct stat *ret)
{
    if (mtime_ns != INT64_MIN || atime_ns) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
        if (atime_ns)
            times[0] = clock_timespec(atime_ns);
        if (mtime_ns != INT64_MIN)
            times[1] = clock_timespec(mtime_ns);
        if (futimens(fd, times) < 0)
            return -errno;
    }
    if (fstat(fd, ret) < 0)
        return -errno;
    if (ret->st_size > EARLY_WRITEBACK_BYTES)
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* A hint; the sync before the rename decides. */
    return 0;
}

int atomicfile_open(struct staging *s, struct atomicfile *f, struct error *e)
{
    char name[STAGING_NAME_SIZE];
    int fd = staging_create(s, name);
    if (fd < 0)
        return fserror_set(e, fd, "can't be written (its temporary file can't be made)");

    memcpy(f->name, name, sizeof name);
    return fd;
}

int atomicfile_close(struct staging *s, struct atomicfile *f, int fd, int64_t mtime_ns, int outcome, struct error *e)
{
    int r = outcome < 0 ? outcome : settle(fd, f->atime_ns, mtime_ns, &f->made);
    if (close(fd) < 0 && r == 0) /* NFS may tell of a full disk here. */
        r = -errno;
    if (r < 0) {
        atomicfile_drop(s, f);
        return outcome < 0 ? outcome : fserror_set(e, r, "can't be written");
    }
    return 0;
}

int atomicfile_write(struct staging *s, struct atomicfile *f, const void *bytes, size_t n, int64_t mtime_ns,
                     struct error *e)
{
    int fd = atomicfile_open(s, f, e);
    if (fd < 0)
        return fd;
    int r = fdio_write(fd, bytes, n);
    if (r < 0)
        fserror_set(e, r, "can't be written");
    return atomicfile_close(s, f, fd, mtime_ns, r, e);
}

int atomicfile_copy(struct staging *s, struct atomicfile *f, int from, int64_t n, int64_t mtime_ns, struct error *e)
{
    int fd = atomicfile_open(s, f, e);
    if (fd < 0)
        return fd;
    int r = fdio_copy(fd, from, n);
    if (r < 0)
        fserror_set(e, r, "can't be written");
    return atomicfile_close(s, f, fd, mtime_ns, r, e);
}

void atomicfile_drop(struct staging *s, struct atomicfile *f)
{
    if (f->name[0] && !naming_has_note(staging_folder(s), f->name))
        (void)unlinkat(staging_folder(s), f->name, 0);
    f->name[0] = '\0';
}

static int sync_one(struct staging *s, const struct atomicfile *f)
{
    int fd = openat(staging_folder(s), f->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno; /* It is gone: the rename will say so, and of this one alone. */
    int r = fdatasync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static int sync_temporaries(struct publishing *p, int count)
{
    int r = 0;
    if (!p->one_by_one) {
        r = syncfs(staging_folder(p->s)) < 0 ? -errno : 0;
        if (r != -ENOSYS && r != -EPERM)
            return r;
        p->one_by_one = 1; /* a seccomp filter refuses the call */
        r = 0;
    }
    for (int i = 0; i < count && r == 0; i++)
        r = sync_one(p->s, &p->files[i]);
    return r;
}

static int sync_folder(int fd)
{
    /* EINVAL: a filesystem that has no such thing for folders. */
    return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

/* Syncs every folder above the one at `path` (its first `len` bytes), up to the root. */
static int sync_ancestors(int root_fd, const char *path, size_t len)
{
    char above[SAFEPATH_MAX + 1];
    int r = 0;
    while (len > 0 && r == 0) {
        while (len > 0 && path[--len] != '/')
            ;
        snprintf(above, sizeof above, "%.*s", len ? (int)len : 1, len ? path : ".");
        int fd = safepath_open(root_fd, above, O_RDONLY | O_DIRECTORY, SAFEPATH_NO_LINKS);
        if (fd < 0)
            return fd;
        r = sync_folder(fd);
        close(fd);
    }
    return r;
}

/* Done with the folder, before file `end`. A few files are durable when publishing returns; many wait for
 * staging_sync. */
static void folder_leave(struct publishing *p, int end)
{
    if (p->folder_fd < 0)
        return;
    int r = 0;
    if (p->one_by_one && p->folder_changed) {
        r = sync_folder(p->folder_fd);
        if (r == 0 && p->folder_is_new)
            r = sync_ancestors(staging_root(p->s), p->path, p->path_len);
    }
    for (int i = p->first; r < 0 && i < end; i++)
        if (p->files[i].result == 0)
            p->files[i].result = fserror_set(&p->files[i].error, r, "is in place, but its folder can't be synced");
    close(p->folder_fd);
    p->folder_fd = -1;
}

static size_t folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

/* Opens the folder of file i, unless it is the one that is open. */
static int folder_enter(struct publishing *p, int i, enum safepath_make make)
{
    const char *path = p->files[i].path;
    size_t len = folder_len(path);
    if (p->folder_fd >= 0 && len == p->path_len && memcmp(path, p->path, len) == 0)
        return 0;
    folder_leave(p, i);

    const char *name;
    int is_new = 0;
    int fd = make == SAFEPATH_MAKE_ANEW ? -ENOENT
                                        : safepath_open_parent(staging_root(p->s), path, SAFEPATH_MAKE_NONE, &name);
    if (fd == -ENOENT && !p->files[i].replace) {
        is_new = 1;
        fd = safepath_open_parent(staging_root(p->s), path, make, &name);
    }
    if (fd < 0)
        return fd;
    p->folder_fd = fd;
    p->folder_is_new = is_new;
    p->folder_changed = 0;
    p->path = path;
    p->path_len = len;
    p->first = i;
    return 0;
}

static int give_name_now(struct publishing *p, const struct atomicfile *f)
{
    const char *name = f->path + p->path_len + (p->path_len > 0);
    int from_fd = staging_folder(p->s);
    if (!f->replace)
        return naming_new(from_fd, f->name, p->folder_fd, name);
    int r = naming_check(p->folder_fd, name, &f->seen);
    return r < 0 ? r : naming_exchange(from_fd, f->name, p->folder_fd, name, f->path, &f->seen);
}

static int give_name(struct publishing *p, const struct atomicfile *f)
{
    const struct atomicfile_gate *gate = f->gate;
    int r = gate ? gate->enter(gate->arg, f) : 0;
    if (r < 0)
        return r;
    r = give_name_now(p, f);
    if (gate)
        gate->leave(gate->arg);
    return r;
}

static int explain(struct error *e, int r)
{
    switch (r) {
    case -EEXIST:
        return error_set(e, r, "was written by somebody else meanwhile: that file is kept");
    case -ECANCELED:
        return error_set(e, r, "was stored anew or deleted meanwhile");
    case -EISDIR:
        return error_set(e, r, "is a folder on disk and a file in the collection: rename the folder");
    case -EXDEV:
        return error_set(e, r,
                         "lies on another filesystem than the collection's folder; make it a collection of its own "
                         "(PERDURA_COLLECTIONS)");
    case -ENOENT:
        return error_set(e, r,
                         "was removed meanwhile, or its temporary file in " SAFEPATH_OWN_FOLDER " was: "
                         "the next run sees what is there now");
    default:
        return fserror_set(e, r, "can't be put in its place");
    }
}

static void publish_one(struct publishing *p, int i)
{
    struct atomicfile *f = &p->files[i];
    int r = folder_enter(p, i, SAFEPATH_MAKE);
    if (r == 0)
        r = give_name(p, f);
    if (r == -ENOENT && !f->replace) {
        /* The folder may have been removed since it was opened, or before, where only a cache of the filesystem still
         * has it: once more, from the root. */
        folder_leave(p, i);
        r = folder_enter(p, i, SAFEPATH_MAKE_ANEW);
        if (r == 0)
            r = give_name(p, f);
    }

    if (r < 0) {
        f->result = explain(&f->error, r);
        atomicfile_drop(p->s, f);
        return;
    }
    p->folder_changed = 1;
    f->result = 0;
    f->error.code = 0;
    f->error.text[0] = '\0';
    f->name[0] = '\0';
}

int atomicfile_publish(struct staging *s, struct atomicfile *files, int count)
{
    struct publishing p = {.s = s, .files = files, .one_by_one = count <= FEW, .folder_fd = -1};
    int r = sync_temporaries(&p, count);
    if (r < 0) {
        for (int i = 0; i < count; i++) {
            files[i].result = fserror_set(&files[i].error, r, "can't be synced to the disk");
            atomicfile_drop(s, &files[i]);
        }
        return r;
    }

    for (int i = 0; i < count; i++)
        publish_one(&p, i);
    folder_leave(&p, count);

    int published = 0;
    for (int i = 0; i < count; i++)
        published += files[i].result == 0;
    return published;
}

static int remove_from(struct staging *s, int folder_fd, const char *name, const char *path, const struct stat *seen)
{
    char aside[STAGING_NAME_SIZE];
    int r = naming_check(folder_fd, name, seen);
    int fd = r < 0 ? r : staging_create(s, aside);
    if (fd < 0)
        return fd;
    close(fd);
    r = naming_displace(folder_fd, name, staging_folder(s), aside, path, seen);
    return r < 0 ? r : sync_folder(folder_fd);
}

int atomicfile_remove(struct staging *s, const char *path, const struct stat *seen)
{
    const char *name;
    int folder_fd = safepath_open_parent(staging_root(s), path, SAFEPATH_MAKE_NONE, &name);
    if (folder_fd < 0)
        return folder_fd;
    int r = remove_from(s, folder_fd, name, path, seen);
    close(folder_fd);
    return r;
}

int atomicfile_remove_now(int root_fd, const char *path, const struct stat *seen)
{
    const char *name;
    int folder_fd = safepath_open_parent(root_fd, path, SAFEPATH_MAKE_NONE, &name);
    if (folder_fd < 0)
        return folder_fd;
    int r = naming_check(folder_fd, name, seen);
    if (r == 0)
        r = unlinkat(folder_fd, name, 0) < 0 ? -errno : sync_folder(folder_fd);
    close(folder_fd);
    return r;
}
