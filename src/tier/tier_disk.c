#include "tier/tier_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "config/config.h"
#include "fs/make_folder.h"
#include "fs/safepath.h"
#include "image/stale_files.h"

#define REPLACE_TRIES 5
#define RETIRED_MAX   8

struct root {
    const struct config_collection *collection;
    int fd;                               /* -1 until it is needed */
    struct staging *staging;              /* NULL until it is needed */
    struct staging *retired[RETIRED_MAX]; /* of folders that are gone; somebody may still be using them */
    int retired_count;
    struct write_epoch *gate;
};

struct tier_disk {
    struct lock lock; /* over the opening of folders */
    int64_t memory_max_bytes, max_bytes;
    struct tier_disk_known *known;
    struct stale_files *stale;
    atomic_ullong changes; /* so many there were */
    size_t count;
    struct root roots[];
};

struct tier_disk *tier_disk_new(const struct config_collection *collections, size_t count, int64_t memory_max_bytes,
                                int64_t max_bytes)
{
    struct tier_disk *disk = calloc(1, sizeof *disk + count * sizeof disk->roots[0]);
    if (!disk)
        return NULL;
    lock_init(&disk->lock, LOCK_disk_folders);
    disk->memory_max_bytes = memory_max_bytes;
    disk->max_bytes = max_bytes;
    disk->known = tier_disk_known_new();
    disk->stale = stale_files_new();
    int complete = disk->known && disk->stale;
    for (size_t i = 0; i < count && complete; i++, disk->count++) {
        disk->roots[i] =
            (struct root){.collection = &collections[i], .fd = -1, .gate = write_epoch_new(&disk->changes)};
        complete = disk->roots[i].gate != NULL;
    }
    if (complete)
        return disk;
    tier_disk_free(disk);
    return NULL;
}

void tier_disk_free(struct tier_disk *disk)
{
    if (!disk)
        return;
    for (size_t i = 0; i < disk->count; i++) {
        staging_close(disk->roots[i].staging);
        for (int k = 0; k < disk->roots[i].retired_count; k++)
            staging_close(disk->roots[i].retired[k]);
        if (disk->roots[i].fd >= 0)
            close(disk->roots[i].fd);
        write_epoch_free(disk->roots[i].gate);
    }
    tier_disk_known_free(disk->known);
    stale_files_free(disk->stale);
    lock_destroy(&disk->lock);
    free(disk);
}

struct tier_disk_known *tier_disk_known(struct tier_disk *disk)
{
    return disk->known;
}

struct stale_files *tier_disk_stale_files(struct tier_disk *disk)
{
    return disk->stale;
}

int64_t tier_disk_memory_max_bytes(const struct tier_disk *disk)
{
    return disk->memory_max_bytes;
}

int64_t tier_disk_max_bytes(const struct tier_disk *disk)
{
    return disk->max_bytes;
}

uint64_t tier_disk_epoch(struct tier_disk *disk)
{
    return atomic_load(&disk->changes);
}

static struct root *find(struct tier_disk *disk, const char *collection)
{
    for (size_t i = 0; i < disk->count; i++)
        if (strcmp(disk->roots[i].collection->name, collection) == 0)
            return &disk->roots[i];
    return NULL;
}

void tier_disk_changed(struct tier_disk *disk, const struct image_key *key)
{
    struct root *root = find(disk, key->collection);
    if (root)
        write_epoch_changed(root->gate, key->path);
}

int tier_disk_changed_since(struct tier_disk *disk, const struct image_key *key, uint64_t mark)
{
    struct root *root = find(disk, key->collection);
    return !root || write_epoch_changed_since(root->gate, key->path, mark);
}

static void count(struct tier_disk *disk, const struct image_key *key, enum tier_disk_kind kind, int by)
{
    struct root *root = find(disk, key->collection);
    if (root)
        write_epoch_count(root->gate, key->path, kind, by);
}

void tier_disk_begin(struct tier_disk *disk, const struct image_key *key, enum tier_disk_kind kind)
{
    count(disk, key, kind, 1);
}

void tier_disk_end(struct tier_disk *disk, const struct image_key *key, enum tier_disk_kind kind)
{
    count(disk, key, kind, -1);
}

int tier_disk_is_under_way(struct tier_disk *disk, const struct image_key *key, enum tier_disk_kind kind)
{
    struct root *root = find(disk, key->collection);
    return root && write_epoch_is_under_way(root->gate, key->path, kind);
}

const struct atomicfile_gate *tier_disk_copies(struct tier_disk *disk, const char *collection)
{
    struct root *root = find(disk, collection);
    return root ? write_epoch_ops(root->gate) : NULL;
}

static int open_root(struct root *root, enum tier_disk_folder folder, struct error *e)
{
    const char *path = root->collection->root;
    if (root->fd >= 0)
        return 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && folder == TIER_DISK_MAKE) {
        int r = make_folder(path, e);
        if (r < 0)
            return r;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return error_set(e, -errno, "the folder %s of collection \"%s\" can't be opened: %s; set %s", path,
                         root->collection->name, strerror(errno),
                         strcmp(root->collection->name, "media") == 0 ? "PERDURA_MEDIA_ROOT" : "PERDURA_COLLECTIONS");
    root->fd = fd;
    return 0;
}

static int acquire(struct tier_disk *disk, const char *collection, enum tier_disk_folder folder,
                   struct staging **ret_staging, struct root **ret, struct error *e)
{
    struct root *root = find(disk, collection);
    if (!root)
        return error_set(e, -ENOENT, "the collection \"%s\" has no folder here; name it in PERDURA_COLLECTIONS",
                         collection);
    lock_take(&disk->lock);
    int r = open_root(root, folder, e);
    if (r == 0 && ret_staging && !root->staging)
        r = staging_open(root->fd, &root->staging, e);
    if (r == 0 && ret_staging)
        *ret_staging = root->staging;
    lock_give(&disk->lock);
    if (r == 0)
        *ret = root;
    return r;
}

int tier_disk_root(struct tier_disk *disk, const char *collection, enum tier_disk_folder folder, int *ret_fd,
                   struct error *e)
{
    struct root *root;
    int r = acquire(disk, collection, folder, NULL, &root, e);
    if (r == 0)
        *ret_fd = root->fd;
    return r;
}

int tier_disk_staging(struct tier_disk *disk, const char *collection, struct staging **ret, struct error *e)
{
    struct root *root;
    return acquire(disk, collection, TIER_DISK_MAKE, ret, &root, e);
}

int tier_disk_in_place(struct tier_disk *disk, const char *collection, struct error *e)
{
    struct root *root = find(disk, collection);
    struct stat opened, named;
    lock_take(&disk->lock);
    int fd = root ? root->fd : -1;
    lock_give(&disk->lock);
    if (fd < 0 || fstat(fd, &opened) < 0)
        return 0;
    if (stat(root->collection->root, &named) == 0 && named.st_dev == opened.st_dev && named.st_ino == opened.st_ino)
        return 0;
    return error_set_sentence(
        e, -ESTALE,
        "the folder %s of collection \"%s\" was moved, removed or replaced meanwhile: see what is there "
        "now, then run this again",
        root->collection->root, collection);
}

/* dup3 changes in one step what the descriptor stands for. A staging of the old folder makes its own folder anew when
 * that is gone; one that is still there, elsewhere, is of no use any more. */
static int replace_root(struct root *root, int fd, struct error *e)
{
    int r = dup3(fd, root->fd, O_CLOEXEC) < 0 ? error_set_sentence(e, -errno, "the folder can't be opened anew") : 1;
    close(fd);
    if (r == 1 && root->staging && root->retired_count < RETIRED_MAX) {
        root->retired[root->retired_count++] = root->staging;
        root->staging = NULL;
    }
    return r;
}

int tier_disk_reopen(struct tier_disk *disk, const char *collection, struct error *e)
{
    struct root *root = find(disk, collection);
    struct stat opened, named;
    if (!root)
        return error_set_sentence(e, -ENOENT, "the collection \"%s\" has no folder here", collection);
    lock_take(&disk->lock);
    int r = open_root(root, TIER_DISK_EXISTING, e);
    if (r == 0 && stat(root->collection->root, &named) < 0)
        r = error_set_sentence(e, -errno, "the folder %s is not there: %s", root->collection->root, strerror(errno));
    if (r == 0 && fstat(root->fd, &opened) == 0 && (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino)) {
        int fd = open(root->collection->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? error_set_sentence(e, -errno, "the folder %s can't be opened: %s", root->collection->root,
                                        strerror(errno))
                   : replace_root(root, fd, e);
    }
    lock_give(&disk->lock);
    return r;
}

void tier_disk_sync(struct tier_disk *disk)
{
    for (size_t i = 0; i < disk->count; i++)
        if (disk->roots[i].fd >= 0)
            (void)!staging_sync(disk->roots[i].fd);
}

static int write_temporary(struct staging *staging, struct atomicfile *file, const struct image *image, struct error *e)
{
    const struct image_meta *meta = &image->meta;
    return image->bytes ? atomicfile_write(staging, file, image->bytes, (size_t)meta->size, meta->mtime_ns, e)
                        : atomicfile_copy(staging, file, image->fd, meta->size, meta->mtime_ns, e);
}

int tier_disk_write(struct tier_disk *disk, const struct image *image, struct error *e)
{
    struct staging *staging;
    struct root *root;
    int r = acquire(disk, image->meta.key.collection, TIER_DISK_MAKE, &staging, &root, e);
    for (int tries = 0; r == 0 && tries < REPLACE_TRIES; tries++) {
        struct atomicfile file = {0};
        r = write_temporary(staging, &file, image, e);
        if (r < 0)
            return r;
        file.path = image->meta.key.path;
        file.replace = fstatat(root->fd, file.path, &file.seen, AT_SYMLINK_NOFOLLOW) == 0;
        r = atomicfile_publish(staging, &file, 1);
        if (r >= 0)
            r = file.result;
        if (r != -EEXIST && !(r == -ENOENT && file.replace)) {
            if (r < 0 && e)
                *e = file.error;
            return r;
        }
        r = 0; /* someone else was quicker: look again */
    }
    return r < 0 ? r : error_set(e, -EBUSY, "is being replaced by another program again and again; try again");
}

int tier_disk_look(struct tier_disk *disk, const struct image_key *key, struct stat *ret)
{
    int root = -1;
    int r = tier_disk_root(disk, key->collection, TIER_DISK_EXISTING, &root, NULL);
    int fd = r < 0 ? r : safepath_open(root, key->path, O_PATH | O_NOFOLLOW, SAFEPATH_BENEATH);
    if (fd < 0)
        return fd;
    r = fstat(fd, ret) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int tier_disk_check_removal(struct tier_disk *disk, const struct image_key *key, struct error *e)
{
    const char *name;
    int root = -1;
    int r = tier_disk_root(disk, key->collection, TIER_DISK_EXISTING, &root, e);
    if (r < 0)
        return r;
    int folder = safepath_open_parent(root, key->path, SAFEPATH_MAKE_NONE, &name);
    r = folder < 0 ? folder : faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
    if (folder >= 0)
        close(folder);
    return r < 0 ? error_set(e, r, "cannot be removed: its folder: %s", strerror(-r)) : 0;
}

int tier_disk_remove(struct tier_disk *disk, const struct image_key *key, const struct stat *seen, struct error *e)
{
    struct staging *staging;
    struct root *root;
    int root_fd;
    int r = acquire(disk, key->collection, TIER_DISK_EXISTING, &staging, &root, e);
    if (r == 0)
        r = atomicfile_remove(staging, key->path, seen);
    if ((r == -ENOSPC || r == -EDQUOT) && tier_disk_root(disk, key->collection, TIER_DISK_EXISTING, &root_fd, e) == 0)
        r = atomicfile_remove_now(root_fd, key->path, seen);
    return r < 0 ? error_set(e, r, "can't be removed: %s", strerror(-r)) : 0;
}
