#include "fs/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lock.h"
#include "fs/fserror.h"
#include "fs/naming.h"
#include "fs/safepath.h"

#define PREFIX    "tmp."
#define LOCK_NAME "lock"
#define NAME_SIZE (sizeof PREFIX + 16)

/* Each attempt fails only when a sweeper or a closing process came between; nobody has such luck often. */
#define MAKE_TRIES 1000

/* A folder and its lock, both held. */
struct staging_place {
    int fd;
    int lock_fd;
    char name[NAME_SIZE];
};

struct staging {
    int root_fd;
    atomic_uint_fast64_t last_name; /* of the temporaries: never used twice, not even in a folder made anew */
    struct lock remake_lock;        /* for place.name, and so that one thread alone makes the folder anew */
    struct staging_place place;     /* its descriptors keep their numbers as long as the staging lives */
};

static int open_own(int root_fd)
{
    return safepath_open(root_fd, SAFEPATH_OWN_FOLDER, O_RDONLY | O_DIRECTORY, SAFEPATH_NO_LINKS);
}

static int open_folder(int own_fd, const char *name)
{
    int fd = openat(own_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Lists what fd holds through a descriptor of its own. NULL and errno. */
static DIR *open_list(int fd)
{
    int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    if (!dir && list_fd >= 0) {
        int code = errno;
        close(list_fd);
        errno = code;
    }
    return dir;
}

static int is_there(int fd, const char *name)
{
    struct stat st;
    return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* 0 when the lock is ours or the filesystem has none, -EWOULDBLOCK when somebody else has it. */
static int lock_or_go_without(int lock_fd)
{
    int r;
    do
        r = flock(lock_fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
    while (r == -EINTR);
    int has_none = r == -ENOLCK || r == -EOPNOTSUPP || r == -ENOSYS || r == -EINVAL;
    return has_none ? 0 : r;
}

/* Creates and takes the lock in the folder just made. Returns its descriptor, or -errno. */
static int take_new_lock(int fd)
{
    int lock_fd = openat(fd, LOCK_NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock_fd < 0)
        return -errno;
    int r = lock_or_go_without(lock_fd);
    if (r == 0 && !is_there(fd, LOCK_NAME))
        r = -ENOENT;
    if (r < 0) {
        close(lock_fd);
        return r;
    }
    return lock_fd;
}

static void remove_own(int root_fd)
{
    /* Fails while somebody has a folder in it, and that is meant so. */
    (void)unlinkat(root_fd, SAFEPATH_OWN_FOLDER, AT_REMOVEDIR);
}

static int random_name(char name[NAME_SIZE])
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return -EIO;
    snprintf(name, NAME_SIZE, PREFIX "%016" PRIx64, number);
    return 0;
}

/* One attempt at a folder with a lock. *ret_raced is set when it failed because somebody removed what we just made. */
static int try_make_place(int root_fd, struct staging_place *ret, int *ret_raced)
{
    struct staging_place p = {.fd = -1, .lock_fd = -1};
    *ret_raced = 0;
    if (mkdirat(root_fd, SAFEPATH_OWN_FOLDER, 0700) < 0 && errno != EEXIST)
        return -errno;

    int made = 0;
    int own_fd = open_own(root_fd);
    int r = own_fd < 0 ? own_fd : random_name(p.name);
    if (r < 0)
        goto out;
    r = mkdirat(own_fd, p.name, 0700) < 0 ? -errno : 0;
    if (r < 0)
        goto out;
    made = 1;
    r = p.fd = open_folder(own_fd, p.name);
    if (r < 0)
        goto out;
    r = p.lock_fd = take_new_lock(p.fd);
    if (r < 0)
        goto out;
    *ret = p;
    r = 0;
out:
    if (r < 0) {
        *ret_raced = r == -ENOENT || r == -ESTALE || r == -EWOULDBLOCK || r == -EEXIST;
        if (p.fd >= 0)
            close(p.fd);
        if (made)
            (void)unlinkat(own_fd, p.name, AT_REMOVEDIR);
    }
    if (own_fd >= 0)
        close(own_fd);
    return r;
}

static int make_place(int root_fd, struct staging_place *ret)
{
    int r = -EAGAIN;
    int raced = 1;
    for (int i = 0; i < MAKE_TRIES && raced; i++)
        r = try_make_place(root_fd, ret, &raced);
    return r;
}

/* 1 when an entry went, 0 when it is not to go now, or -errno. What may be somebody else's is put back first. */
static int remove_entry(int root_fd, int fd, const char *name)
{
    switch (naming_entry(fd, name)) {
    case NAMING_NOTE: /* it goes with its temporary */
        return 0;
    case NAMING_TEMPORARY: {
        int r = naming_recover(root_fd, fd, name);
        if (r < 0)
            return r;
        r = unlinkat(fd, name, 0) == 0 ? 1 : errno == ENOENT ? 0 : -errno;
        if (r >= 0)
            naming_forget(fd, name);
        return r;
    }
    default:
        return unlinkat(fd, name, 0) == 0;
    }
}

/* One pass over a folder's temporaries: how many were removed, and in *ret_left how many could not be. */
static int remove_pass(int root_fd, DIR *dir, int *ret_left)
{
    int removed = 0;
    int left = 0;
    for (struct dirent *d; (d = readdir(dir));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 || strcmp(d->d_name, LOCK_NAME) == 0)
            continue;
        int r = remove_entry(root_fd, dirfd(dir), d->d_name);
        removed += r > 0;
        left += r < 0;
    }
    *ret_left = left;
    return removed;
}

/* Removes a folder whose lock is held. The lock goes last and only from an empty folder: one without a lock is never
 * swept. Returns how many temporaries went. */
static int remove_place(int root_fd, int own_fd, const char *name, int fd)
{
    DIR *dir = open_list(fd);
    if (!dir)
        return 0;

    int removed = 0;
    int left;
    /* Removing may make the listing skip entries. */
    for (int n; (n = remove_pass(root_fd, dir, &left)) > 0; rewinddir(dir))
        removed += n;
    closedir(dir);
    if (left == 0) {
        (void)unlinkat(fd, LOCK_NAME, 0);
        (void)unlinkat(own_fd, name, AT_REMOVEDIR);
    }
    return removed;
}

static int sweep_place(int root_fd, int own_fd, const char *name)
{
    int removed = 0;
    int fd = open_folder(own_fd, name);
    if (fd < 0)
        return 0;
    int lock_fd = openat(fd, LOCK_NAME, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (lock_fd >= 0) {
        if (flock(lock_fd, LOCK_EX | LOCK_NB) == 0)
            removed = remove_place(root_fd, own_fd, name, fd);
        close(lock_fd);
    } else if (errno == ENOENT) {
        (void)unlinkat(own_fd, name, AT_REMOVEDIR);
    }
    close(fd);
    return removed;
}

int staging_sweep(int root_fd)
{
    int own_fd = open_own(root_fd);
    if (own_fd < 0)
        return own_fd == -ENOENT ? 0 : own_fd;

    int removed = 0;
    DIR *dir = open_list(own_fd);
    if (!dir) {
        removed = -errno;
        goto out;
    }
    for (struct dirent *d; (d = readdir(dir));)
        if (strncmp(d->d_name, PREFIX, strlen(PREFIX)) == 0)
            removed += sweep_place(root_fd, own_fd, d->d_name);
    closedir(dir);
    remove_own(root_fd);
out:
    close(own_fd);
    return removed;
}

int staging_open(int root_fd, struct staging **ret, struct error *e)
{
    struct staging *s = calloc(1, sizeof *s);
    if (!s)
        return fserror_set(e, -ENOMEM, "can't hold temporary files");

    (void)staging_sweep(root_fd); /* What keeps it from sweeping and matters keeps us from making, too. */
    s->root_fd = root_fd;
    int r = make_place(root_fd, &s->place);
    if (r < 0) {
        free(s);
        return fserror_set(e, r, "can't hold temporary files (in its folder " SAFEPATH_OWN_FOLDER ")");
    }
    lock_init(&s->remake_lock, LOCK_staging);
    *ret = s;
    return 0;
}

void staging_close(struct staging *s)
{
    if (!s)
        return;
    int own_fd = open_own(s->root_fd);
    if (own_fd >= 0) {
        remove_place(s->root_fd, own_fd, s->place.name, s->place.fd);
        close(own_fd);
        remove_own(s->root_fd);
    }
    close(s->place.lock_fd);
    close(s->place.fd);
    lock_destroy(&s->remake_lock);
    free(s);
}

int staging_sync(int root_fd)
{
    if (syncfs(root_fd) == 0)
        return 0;
    if (errno != ENOSYS && errno != EPERM)
        return -errno;
    sync(); /* a seccomp filter refuses the call: this one waits for all filesystems */
    return 0;
}

/* dup3 puts the new folder under the old descriptors in one step, so that other threads need no lock to use them. */
static int remake(struct staging *s)
{
    struct staging_place p;
    int r = 0;
    lock_take(&s->remake_lock);
    if (is_there(s->place.fd, LOCK_NAME)) /* Another thread was faster. */
        goto out;
    r = make_place(s->root_fd, &p);
    if (r < 0)
        goto out;
    if (dup3(p.lock_fd, s->place.lock_fd, O_CLOEXEC) < 0 || dup3(p.fd, s->place.fd, O_CLOEXEC) < 0)
        r = -errno;
    else
        memcpy(s->place.name, p.name, sizeof p.name);
    close(p.fd);
    close(p.lock_fd);
out:
    lock_give(&s->remake_lock);
    return r;
}

int staging_create(struct staging *s, char name[STAGING_NAME_SIZE])
{
    char own[STAGING_NAME_SIZE];
    snprintf(own, sizeof own, "%" PRIuFAST64, atomic_fetch_add(&s->last_name, 1) + 1);

    int fd = -1;
    for (int i = 0; i < 2 && fd < 0; i++) {
        fd = openat(s->place.fd, own, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd >= 0)
            break;
        int r = -errno;
        if (i > 0 || (r != -ENOENT && r != -ESTALE))
            return r;
        r = remake(s);
        if (r < 0)
            return r;
    }
    memcpy(name, own, sizeof own);
    return fd;
}

int staging_folder(const struct staging *s)
{
    return s->place.fd;
}

int staging_root(const struct staging *s)
{
    return s->root_fd;
}
